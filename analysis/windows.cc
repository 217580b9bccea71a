// SPDX-License-Identifier: Apache-2.0
#include "analysis/windows.h"

#include <algorithm>
#include <cstring>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
// Below this, reading on through a gap is cheaper than another system call.
constexpr std::uint64_t kBridge = 16 << 10;
// Below this, asking which pages are present costs more than reading them.
constexpr std::uint64_t kWorthAsking = 64 << 10;

Address down8(Address a) { return a & ~Address{7}; }
Address up8(Address a) { return (a + 7) & ~Address{7}; }

// Below this, the windows themselves cost little.
constexpr std::uint64_t kLarge = std::uint64_t{256} << 20;

// The parts of a large range that were ever touched, apart by more than a window. Multiples of 8 stay such.
std::vector<AddressRange> parts_of(AddressRange range, const TouchedParts& present) {
  if (!present || range.size() < kLarge) return {range};
  std::vector<AddressRange> parts;
  for (const AddressRange part : present(range)) {
    if (!parts.empty() && part.begin - parts.back().end < kWindowBytes) {
      parts.back().end = part.end;
    } else {
      parts.push_back(part);
    }
  }
  return parts;
}

void zero(AddressRange whole, AddressRange part, std::byte* bytes) {
  const Address begin = std::max(whole.begin, part.begin);
  const Address end = std::min(whole.end, part.end);
  if (begin < end) std::memset(bytes + (begin - whole.begin), 0, end - begin);
}

}  // namespace

std::vector<Window> block_windows(std::span<const Block> blocks, const TouchedParts& present) {
  std::vector<Window> windows;
  const auto count = static_cast<std::uint32_t>(blocks.size());
  for (std::uint32_t i = 0; i < count;) {
    if (blocks[i].size > kWindowBytes) {
      const AddressRange whole{up8(blocks[i].start), down8(blocks[i].start + blocks[i].size)};
      for (const AddressRange part : parts_of(whole, present)) {
        for (Address a = part.begin; a < part.end; a += kWindowBytes) {
          windows.push_back({Window::Kind::slice, {a, std::min(a + kWindowBytes, part.end)}, i, i + 1});
        }
      }
      ++i;
      continue;
    }
    Window window{Window::Kind::blocks, {down8(blocks[i].start), 0}, i, i};
    Address end = blocks[i].start;
    for (; i < count && blocks[i].size <= kWindowBytes; ++i) {
      const Address block_end = blocks[i].start + blocks[i].size;
      if (blocks[i].start - end > kBridge) break;
      if (block_end - window.range.begin > kWindowBytes && window.last != window.first) break;
      end = block_end;
      window.last = i + 1;
    }
    window.range.end = std::max(down8(end), window.range.begin);
    windows.push_back(window);
  }
  return windows;
}

std::vector<Window> root_windows(std::span<const Root> roots, const TouchedParts& present,
                                 std::vector<RootPiece>& pieces) {
  // The strongest kind first: the mark breaks ties by this order.
  std::vector<std::uint32_t> order(roots.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return roots[a].kind < roots[b].kind; });
  std::vector<Window> windows;
  for (const std::uint32_t r : order) {
    if (!roots[r].words.empty()) pieces.push_back({r, 0, true, {}});
    const AddressRange whole{up8(roots[r].range.begin), down8(roots[r].range.end)};
    for (const AddressRange part : parts_of(whole, roots[r].shared ? TouchedParts() : present)) {
      for (Address a = part.begin; a < part.end; a += kWindowBytes) {
        windows.push_back({Window::Kind::root,
                           {a, std::min(a + kWindowBytes, part.end)},
                           static_cast<std::uint32_t>(pieces.size()),
                           0});
        pieces.push_back({r, a, false, {}});
      }
    }
  }
  return windows;
}

void WindowReader::read(const Window& window, std::span<std::uint64_t> words) {
  std::byte* const bytes = reinterpret_cast<std::byte*>(words.data());
  const bool root = window.kind == Window::Kind::root;
  const Root* const r =
      root ? &input_.roots.roots[graph_.root_pieces[window.first].root] : nullptr;
  if (input_.present && window.range.size() >= kWorthAsking && !(root && r->shared)) {
    std::memset(bytes, 0, window.range.size());
    for (AddressRange part : input_.present(window.range)) {
      part = {std::max(part.begin, window.range.begin), std::min(part.end, window.range.end)};
      if (!part.empty()) read_range(window, part, bytes + (part.begin - window.range.begin));
    }
  } else {
    read_range(window, window.range, bytes);
  }
  const auto& excluded = input_.roots.excluded;
  auto it = std::partition_point(excluded.begin(), excluded.end(), [&](const AddressRange& x) {
    return x.end <= window.range.begin;
  });
  for (; it != excluded.end() && it->begin < window.range.end; ++it) zero(window.range, *it, bytes);
  if (root && !r->through_blocks) cut_blocks(window.range, bytes);
}

void WindowReader::read_range(const Window& window, AddressRange range, std::byte* out) {
  const Address begin = range.begin;
  while (range.begin < range.end) {
    const std::size_t got =
        input_.memory.read_up_to(range.begin, {out + (range.begin - begin), range.size()});
    range.begin += got;
    if (range.begin >= range.end) return;
    const Address next = std::min((range.begin | (kPage - 1)) + 1, range.end);
    std::memset(out + (range.begin - begin), 0, next - range.begin);
    count_unreadable(window, {range.begin, next});
    range.begin = next;
  }
}

void WindowReader::count_unreadable(const Window& window, AddressRange range) {
  std::uint64_t bytes = range.size();
  if (window.kind != Window::Kind::root) {  // what lies between blocks is no loss
    bytes = 0;
    for (std::uint32_t i = window.first; i < window.last; ++i) {
      const AddressRange block = graph_.blocks[i].range();
      const Address begin = std::max(block.begin, range.begin);
      const Address end = std::min(block.end, range.end);
      if (begin < end) bytes += end - begin;
    }
    if (bytes == 0) return;
    unreadable_blocks_ += bytes;
  } else {
    unreadable_roots_ += bytes;
  }
  Address seen = first_unreadable_;
  while (range.begin < seen && !first_unreadable_.compare_exchange_weak(seen, range.begin)) {
  }
}

void WindowReader::cut_blocks(AddressRange range, std::byte* bytes) const {
  for (std::uint32_t i = graph_.index.first_ending_after(range.begin);
       i < graph_.count() && graph_.blocks[i].start < range.end; ++i) {
    zero(range, graph_.blocks[i].range(), bytes);
  }
}

void WindowReader::add_to(Coverage& coverage) const {
  coverage.unreadable_root_bytes += unreadable_roots_;
  coverage.unreadable_block_bytes += unreadable_blocks_;
  if (first_unreadable_ != UINT64_MAX) coverage.first_unreadable = first_unreadable_;
}

}  // namespace heapledger
