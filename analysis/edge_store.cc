// SPDX-License-Identifier: Apache-2.0
#include "analysis/edge_store.h"

namespace heapledger {
namespace {

constexpr std::uint32_t kRoom = 4;  // an interior edge and a jump or end, two words each

}  // namespace

std::uint64_t EdgeStore::words() const {
  std::uint64_t sum = 0;
  for (std::uint32_t c = 0; c < chunk_count_; ++c) sum += used_[c];
  return sum;
}

std::optional<std::uint32_t> EdgeStore::new_chunk() {
  const std::lock_guard lock(mutex_);
  if (chunk_count_ == kMaxChunks) {
    full_ = true;
    return std::nullopt;
  }
  using Chunk = HugeArray<std::uint32_t>;
  const auto pages = chunk_count_ < 4 ? Chunk::Pages::small : Chunk::Pages::huge;
  chunks_[chunk_count_] = Chunk(kChunkWords, pages);
  return chunk_count_++;
}

void EdgeWriter::begin() {
  row_ = kEmptyRow;
  last_ = nullptr;
  count_ = 0;
}

bool EdgeWriter::make_room() {
  if (words_ == nullptr || used_ + kRoom > EdgeStore::kChunkWords) {
    const auto chunk = store_.new_chunk();
    if (!chunk) return false;
    const std::uint32_t first = *chunk << EdgeStore::kChunkShift;
    if (words_ != nullptr) {
      if (count_ != 0) {
        words_[used_++] = EdgeStore::kJump;
        words_[used_++] = first;
        count_ += 2;
      }
      store_.used_[chunk_] = used_;
    }
    chunk_ = *chunk;
    words_ = store_.chunks_[chunk_].data();
    used_ = 0;
  }
  if (count_ == 0) row_ = chunk_ << EdgeStore::kChunkShift | used_;
  return true;
}

void EdgeWriter::add_start(std::uint32_t target) {
  if (!make_room()) return;
  last_ = &words_[used_];
  words_[used_++] = target;
  ++count_;
}

void EdgeWriter::add_interior(std::uint32_t target, std::uint64_t offset) {
  if (!make_room()) return;
  last_ = &words_[used_];
  words_[used_++] = target | EdgeStore::kInterior;
  words_[used_++] = EdgeStore::pack(offset, Heuristic::none);
  count_ += 2;
}

Row EdgeWriter::end() {
  if (count_ == 0) return kEmptyRow;
  if (count_ == 1) return kInlineRow | words_[--used_];
  *last_ |= EdgeStore::kLast;
  return row_;
}

std::optional<EdgeWriter::Part> EdgeWriter::end_part() {
  if (count_ == 0) return std::nullopt;
  const Part part{row_, chunk_ << EdgeStore::kChunkShift | used_};
  words_[used_++] = EdgeStore::kEnd;  // make_room left two words behind every edge
  words_[used_++] = 0;
  return part;
}

void EdgeWriter::link(EdgeStore& store, const Part& part, const Part& next) {
  *store.at(part.link) = EdgeStore::kJump;
  *store.at(part.link + 1) = next.begin;
}

void EdgeWriter::finish() {
  if (words_ != nullptr) store_.used_[chunk_] = used_;
}

}  // namespace heapledger
