// SPDX-License-Identifier: Apache-2.0
//
// A set of blocks, one bit each: of ten million blocks it fits into a second-level cache, where their
// nodes are a cache miss each. Threads that change one set at once would take that from each other -
// every line would wander between their caches - so none offers it: each has a set, or a part, of its own.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "analysis/huge_array.h"

namespace heapledger {

class BlockSet {
 public:
  explicit BlockSet(std::uint32_t count) : words_((std::size_t{count} + 63) / 64) {}

  BlockSet copy() const {
    BlockSet set;
    set.words_ = HugeArray<std::uint64_t>(words_.size());
    std::copy_n(words_.data(), words_.size(), set.words_.data());
    return set;
  }

  bool contains(std::uint32_t b) const { return (words_[b >> 6] & bit(b)) != 0; }
  void insert(std::uint32_t b) { words_[b >> 6] |= bit(b); }
  // Removes b; was it a member?
  bool take(std::uint32_t b) {
    const bool member = contains(b);
    words_[b >> 6] &= ~bit(b);
    return member;
  }
  void insert(const BlockSet& others) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= others.words_[i];
  }
  void remove(const BlockSet& others) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~others.words_[i];
  }
  void keep(const BlockSet& others) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= others.words_[i];
  }
  bool empty() const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] != 0) return false;
    }
    return true;
  }
  void prefetch(std::uint32_t b) const { __builtin_prefetch(&words_[b >> 6]); }

  // Calls visit(block) for each member from `first` on and below `last`, a multiple of 64 or the end,
  // by address. Not for members that are inserted meanwhile.
  template <typename Visit>
  void for_each(std::uint32_t first, std::uint32_t last, Visit&& visit) const {
    for (std::uint32_t i = first / 64; i < (std::uint64_t{last} + 63) / 64; ++i) {
      for (std::uint64_t left = words_[i]; left != 0; left &= left - 1) {
        visit(i * 64 + static_cast<std::uint32_t>(std::countr_zero(left)));
      }
    }
  }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for_each(0, static_cast<std::uint32_t>(words_.size() * 64), visit);
  }

 private:
  BlockSet() = default;
  static std::uint64_t bit(std::uint32_t b) { return std::uint64_t{1} << (b & 63); }

  HugeArray<std::uint64_t> words_;
};

}  // namespace heapledger
