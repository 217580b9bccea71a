// SPDX-License-Identifier: Apache-2.0
#include "analysis/flood.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "analysis/prefetch.h"
#include "analysis/workers.h"

namespace heapledger {
namespace {

constexpr std::uint32_t kWide = 1 << 14;   // a millisecond's work or so: worth starting threads for
constexpr std::uint32_t kShare = 1 << 10;  // what a thread takes at a time
constexpr std::uint64_t kTell = 1 << 20;

}  // namespace

bool Flood::run(std::span<const std::uint32_t> heads, BlockSet& open) {
  for (std::size_t i = 0; i < heads.size(); ++i) {
    prefetch_ahead(graph_, heads.data(), i, heads.size(), [&](std::uint32_t b) { open.prefetch(b); });
    if (!search(heads[i], open)) return false;
  }
  return true;
}

bool Flood::search(std::uint32_t head, BlockSet& open) {
  std::uint32_t tail = 0;
  const auto push = [&](std::uint32_t b) { queue_[tail++] = b; };
  label(head, head, open, push);
  for (std::uint32_t i = 0; i < tail;) {
    std::uint32_t scanned = 1;
    if (threads_ > 1 && tail - i >= kWide) {
      scanned = tail - i;
      tail = search_widely(i, tail, head, open);
    } else {
      prefetch_ahead(graph_, queue_.data(), i, tail, [&](std::uint32_t b) { open.prefetch(b); });
      label(queue_[i], head, open, push);
    }
    i += scanned;
    if (!tell(scanned)) return false;
  }
  return tell(1);
}

// Scans queue_[begin..end), all threads together; returns the new end of the queue.
std::uint32_t Flood::search_widely(std::uint32_t begin, std::uint32_t end, std::uint32_t head,
                                   BlockSet& open) {
  std::atomic<std::uint32_t> next = begin;
  std::vector<std::vector<std::uint32_t>> found(threads_);
  on_threads(threads_, [&](unsigned thread) {
    const auto push = [&own = found[thread]](std::uint32_t b) { own.push_back(b); };
    for (std::uint32_t at; (at = next.fetch_add(kShare)) < end;) {
      const std::uint32_t last = std::min(at + kShare, end);
      for (; at < last; ++at) {
        prefetch_ahead(graph_, queue_.data(), at, last, [&](std::uint32_t b) { open.prefetch(b); });
        label(queue_[at], head, open, push);
      }
    }
  });
  for (const std::vector<std::uint32_t>& own : found) {
    std::copy(own.begin(), own.end(), queue_.data() + end);
    end += static_cast<std::uint32_t>(own.size());
  }
  return end;
}

// A block with an earlier label needs no scan: what it leads to has that label or a still earlier one.
template <typename Push>
void Flood::label(std::uint32_t b, std::uint32_t head, BlockSet& open, Push&& push) {
  Node& node = graph_.nodes[b];
  if (node.parent != kNoParent && before_(node.parent, head)) return;
  node.parent = head;
  graph_.edges.for_each(node.row, [&](const Edge& edge) {
    if (open.take(edge.target)) push(edge.target);
    return true;
  });
}

bool Flood::tell(std::uint32_t more) {
  done_ += more;
  if (done_ < next_tell_) return true;
  next_tell_ = done_ + kTell;
  return !progress_ || progress_(std::min<std::uint64_t>(done_, graph_.count()), graph_.count(),
                                 "grouping what is lost");
}

}  // namespace heapledger
