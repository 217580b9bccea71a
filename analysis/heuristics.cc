// SPDX-License-Identifier: Apache-2.0
#include "analysis/heuristics.h"

#include <algorithm>
#include <vector>

namespace heapledger {
namespace {

// A pointer that multiple inheritance would explain, to be proven with the target's words.
struct Candidate {
  std::uint32_t target;
  std::uint32_t offset;
  friend auto operator<=>(const Candidate&, const Candidate&) = default;
};

// Words of the inferior read in ascending order of address, neighbours together.
class AscendingReader {
 public:
  explicit AscendingReader(const Memory& memory) : memory_(memory) {}

  // `end_of_run`: how far the caller knows it will ask for words close to each other.
  std::uint64_t word(Address address, Address end_of_run) {
    if (address < begin_ || address + 8 > begin_ + buffer_.size() * 8) {
      const std::uint64_t bytes = std::clamp<std::uint64_t>(end_of_run - address, 8, kMost) & ~7ull;
      buffer_.assign(bytes / 8, 0);
      begin_ = address;
      memory_.read_up_to(address, std::as_writable_bytes(std::span(buffer_)));
    }
    return buffer_[(address - begin_) / 8];
  }

 private:
  static constexpr std::uint64_t kMost = 256 << 10;
  const Memory& memory_;
  Address begin_ = 0;
  std::vector<std::uint64_t> buffer_;
};

class Settler {
 public:
  Settler(const ScanInput& input, const ScanOptions& options, const HugeArray<std::uint8_t>& traits,
          Graph& graph)
      : input_(input), options_(options), traits_(traits), graph_(graph) {}

  void settle() {
    each([this](std::uint32_t target, std::uint32_t& offset_word) { return decide(target, offset_word); });
    if (candidates_.empty()) return;
    prove_multiple_inheritance();
    each([this](std::uint32_t target, std::uint32_t& offset_word) {
      const std::uint32_t offset = offset_word & EdgeStore::kMaxOffset;
      if (offset_word == offset &&
          std::binary_search(candidates_.begin(), candidates_.end(), Candidate{target, offset})) {
        offset_word = EdgeStore::pack(offset, Heuristic::multiple_inheritance);
      }
      return true;
    });
  }

 private:
  // Calls decide(target, offset_word) for every interior edge and root word; false makes it void.
  template <typename Decide>
  void each(Decide&& decide) {
    graph_.edges.for_each_interior([&](std::uint32_t& word, std::uint32_t& offset_word) {
      if (!decide(word & EdgeStore::kTarget, offset_word)) {
        word = (word & EdgeStore::kLast) | EdgeStore::kVoid;
      }
    });
    for (RootPiece& piece : graph_.root_pieces) {
      std::erase_if(piece.words, [&](RootWord& word) {
        return word.interior() && !decide(word.target, word.offset);
      });
    }
  }

  bool decide(std::uint32_t target, std::uint32_t& offset_word) {
    const std::uint32_t offset = offset_word & EdgeStore::kMaxOffset;
    const std::uint8_t traits = traits_[target];
    if (offset == 8 && graph_.blocks[target].size == 8) {  // one past the end
      if (!options_.heuristics || (traits & BlockTraits::kEmptyArray) == 0) return false;
      offset_word = EdgeStore::pack(offset, Heuristic::newarray);
      return true;
    }
    if (!options_.heuristics || traits == 0) return true;
    Heuristic found = Heuristic::none;
    if (offset == 24 && (traits & BlockTraits::kStdString) != 0) found = Heuristic::stdstring;
    if (offset == 8 && (traits & (BlockTraits::kNewArray | BlockTraits::kEmptyArray)) != 0) {
      found = Heuristic::newarray;
    }
    if (offset == 8 && (traits & BlockTraits::kLength64) != 0) found = Heuristic::length64;
    if (found != Heuristic::none) {
      offset_word = EdgeStore::pack(offset, found);
    } else if ((traits & BlockTraits::kMaybeVtable) != 0 && offset % 8 == 0 &&
               offset < EdgeStore::kMaxOffset) {
      candidates_.push_back({target, offset});
    }
    return true;
  }

  // Leaves in candidates_ those that hold.
  void prove_multiple_inheritance() {
    std::sort(candidates_.begin(), candidates_.end());
    candidates_.erase(std::unique(candidates_.begin(), candidates_.end()), candidates_.end());
    VtableTest is_vtable(input_.memory, input_.roots);
    AscendingReader reader(input_.memory);
    Address run_end = 0;
    std::size_t i = 0;
    std::erase_if(candidates_, [&](const Candidate& c) {
      const Address start = graph_.blocks[c.target].start;
      if (start + c.offset + 8 > run_end) run_end = end_of_run(i);
      ++i;
      const std::uint64_t first = reader.word(start, run_end);
      const std::uint64_t inner = reader.word(start + c.offset, run_end);
      return !(is_vtable(inner) && is_vtable(first));
    });
  }

  // From candidate i on: the end of the words it and its close neighbours need. erase_if moves only
  // what lies before i.
  Address end_of_run(std::size_t i) const {
    const auto end_of = [this](const Candidate& c) {
      return graph_.blocks[c.target].start + c.offset + 8;
    };
    Address end = end_of(candidates_[i]);
    for (++i; i < candidates_.size() && graph_.blocks[candidates_[i].target].start < end + 4096; ++i) {
      end = std::max(end, end_of(candidates_[i]));
    }
    return end;
  }

  const ScanInput& input_;
  const ScanOptions& options_;
  const HugeArray<std::uint8_t>& traits_;
  Graph& graph_;
  std::vector<Candidate> candidates_;
};

// A thread's dtv (TCB->dtv points 16 bytes into it) and the segments of _dl_find_object, which ld.so
// aligns by hand: { previous, to_free == start of the block, ... }, each leading to the previous one.
void settle_runtime(const ScanInput& input, Graph& graph) {
  const auto is_segment = [&](Address pointer, const Block& block) {
    const auto to_free = input.memory.read_value<std::uint64_t>(pointer + 8);
    return to_free && *to_free == block.start;
  };
  for (RootPiece& piece : graph.root_pieces) {
    if (piece.in_register) continue;
    std::vector<RootWord> more;
    for (RootWord& word : piece.words) {
      if (!word.interior()) continue;
      const Address slot = piece.base + std::uint64_t{word.position} * 8;
      const std::uint32_t offset = word.offset & EdgeStore::kMaxOffset;
      const auto& slots = input.roots.runtime_slots;
      if (std::binary_search(slots.begin(), slots.end(), slot)) {
        word.offset = EdgeStore::pack(offset, Heuristic::runtime);
      } else if (offset < 128 && contains(input.roots.loader_data, slot)) {
        Address pointer = graph.blocks[word.target].start + offset;
        if (!is_segment(pointer, graph.blocks[word.target])) continue;
        word.offset = EdgeStore::pack(offset, Heuristic::runtime);
        for (int i = 0; i < 64; ++i) {
          pointer = input.memory.read_value<std::uint64_t>(pointer).value_or(0);
          const auto block = graph.index.find(pointer);
          if (!block || !is_segment(pointer, graph.blocks[*block])) break;
          const std::uint64_t inner = pointer - graph.blocks[*block].start;
          if (inner == 0) break;  // an ordinary start pointer of an ordinary block
          more.push_back({*block, word.position, EdgeStore::pack(inner, Heuristic::runtime)});
        }
      }
    }
    piece.words.insert(piece.words.end(), more.begin(), more.end());
  }
}

}  // namespace

bool contains(std::span<const AddressRange> sorted, Address address) {
  const auto it = std::partition_point(sorted.begin(), sorted.end(),
                                       [&](const AddressRange& r) { return r.end <= address; });
  return it != sorted.end() && it->contains(address);
}

bool VtableTest::operator()(Address address) {
  if ((address & 7) != 0 || !contains(roots_.vtable_ranges, address)) return false;
  const auto [it, fresh] = known_.try_emplace(address, false);
  if (fresh) it->second = look(address);
  return it->second;
}

bool VtableTest::look(Address address) const {
  std::uint64_t words[20];
  const std::size_t got =
      memory_.read_up_to(address, std::as_writable_bytes(std::span(words))) / sizeof words[0];
  int functions = 0;
  for (std::size_t i = 0; i < got; ++i) {
    if (words[i] == 0) continue;
    if (!contains(roots_.code_ranges, words[i])) return false;
    if (++functions == 2) return true;
  }
  return false;
}

void settle_interior(const ScanInput& input, const ScanOptions& options,
                     const HugeArray<std::uint8_t>& traits, Graph& graph) {
  Settler(input, options, traits, graph).settle();
  if (options.runtime) settle_runtime(input, graph);
}

}  // namespace heapledger
