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
constexpr unsigned kStripe = 12;  // blocks 2^12 in a row, 512 bytes of a set, belong to one thread
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
  const auto take = [&](std::uint32_t b) {
    if (open.take(b)) queue_[tail++] = b;
  };
  label(head, head, take);
  for (std::uint32_t i = 0; i < tail;) {
    std::uint32_t scanned = 1;
    if (threads_ > 1 && tail - i >= kWide) {
      scanned = tail - i;
      tail = search_widely(i, tail, head, open);
    } else {
      prefetch_ahead(graph_, queue_.data(), i, tail, [&](std::uint32_t b) { open.prefetch(b); });
      label(queue_[i], head, take);
    }
    i += scanned;
    if (!tell(scanned)) return false;
  }
  return tell(1);
}

// Scans queue_[begin..end), all threads together; returns the new end of the queue. First they look at
// `open`, then each takes from its own part of it what all of them have met.
std::uint32_t Flood::search_widely(std::uint32_t begin, std::uint32_t end, std::uint32_t head,
                                   BlockSet& open) {
  const auto owner = [this](std::uint32_t b) { return (b >> kStripe) % threads_; };
  std::vector<std::vector<std::uint32_t>> met(threads_ * threads_);  // by who met it and its owner
  std::atomic<std::uint32_t> next = begin;
  on_threads(threads_, [&](unsigned thread) {
    const auto meet = [&, own = &met[thread * threads_]](std::uint32_t b) {
      if (open.contains(b)) own[owner(b)].push_back(b);
    };
    for (std::uint32_t at; (at = next.fetch_add(kShare)) < end;) {
      const std::uint32_t last = std::min(at + kShare, end);
      for (; at < last; ++at) {
        prefetch_ahead(graph_, queue_.data(), at, last, [&](std::uint32_t b) { open.prefetch(b); });
        label(queue_[at], head, meet);
      }
    }
  });
  std::vector<std::vector<std::uint32_t>> taken(threads_);
  on_threads(threads_, [&](unsigned thread) {
    for (unsigned from = 0; from < threads_; ++from) {
      for (const std::uint32_t b : met[from * threads_ + thread]) {
        if (open.take(b)) taken[thread].push_back(b);
      }
    }
  });
  for (const std::vector<std::uint32_t>& own : taken) {
    std::copy(own.begin(), own.end(), queue_.data() + end);
    end += static_cast<std::uint32_t>(own.size());
  }
  return end;
}

// Calls meet(target) for each pointer of the block. A block with an earlier label needs none of that:
// what it leads to has that label or a still earlier one.
template <typename Meet>
void Flood::label(std::uint32_t b, std::uint32_t head, Meet&& meet) {
  Node& node = graph_.nodes[b];
  if (node.parent != kNoParent && before_(node.parent, head)) return;
  node.parent = head;
  graph_.edges.for_each(node.row, [&](const Edge& edge) {
    meet(edge.target);
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
