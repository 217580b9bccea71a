// SPDX-License-Identifier: Apache-2.0
#include "analysis/block_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "analysis/heuristics.h"
#include "inferior/printable.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kWindow = 256 * 1024;  // bytes a read
constexpr std::uint64_t kHead = 64;            // bytes of a block that are looked at
// A shape's number has 16 bits: behind so many, objects of further types are told apart by size alone
// (text and none of every size class are fewer than 2,500).
constexpr std::size_t kMostShapes = 60'000;
constexpr std::uint64_t kExact = 1024;         // usable bytes: glibc's small chunks, one class a size

// Heads of blocks in ascending order of address, neighbours read together.
class HeadReader {
 public:
  explicit HeadReader(const Memory& memory) : memory_(memory), bytes_(kWindow) {}

  std::span<const std::byte> head(const Block& block) {
    const std::uint64_t want = std::min(block.size, kHead);
    if (block.start < begin_ || block.start + want > begin_ + size_) {
      begin_ = block.start;
      const std::size_t ask = block.size >= kWindow ? want : kWindow;  // neighbours are far away
      size_ = memory_.read_up_to(begin_, std::span(bytes_).first(ask));
    }
    const std::uint64_t offset = block.start - begin_;
    return std::span<const std::byte>(bytes_).subspan(offset, std::min(want, size_ - std::min(size_, offset)));
  }

 private:
  const Memory& memory_;
  std::vector<std::byte> bytes_;
  Address begin_ = 0;
  std::uint64_t size_ = 0;
};

std::uint64_t size_class(std::uint64_t size) { return size < kExact ? size : std::bit_floor(size); }

// At least four printable characters and a 0 behind them, or nothing but printable ones.
bool is_text(std::span<const std::byte> head) {
  std::size_t length = 0;
  for (const std::byte byte : head) {
    const auto c = std::to_integer<unsigned char>(byte);
    if (c == 0) return length >= 4;
    const bool printable = (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n' || c == '\r';
    if (!printable) return false;
    ++length;
  }
  return length >= 16;
}

// "Foo" of "vtable for Foo"; without that symbol the vtable's place.
std::string type_of(Target& target, Address vtable) {
  constexpr std::string_view kVtableFor = "vtable for ";
  const auto name = target.name_data(vtable);
  if (name && name->symbol.starts_with(kVtableFor)) {
    return one_line(name->symbol.substr(kVtableFor.size()));
  }
  if (name && !name->symbol.empty()) return "";  // other data: not a vtable after all
  return fmt::format("a class with the vtable {:#x}", vtable);
}

struct Key {
  std::uint64_t min_size;
  std::uint64_t vtable;
  BlockShape::Guess guess;
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  std::size_t operator()(const Key& key) const {
    return std::size_t((key.min_size * 0x9e3779b97f4a7c15u ^ key.vtable * 0xc2b2ae3d27d4eb4fu) +
                       static_cast<unsigned>(key.guess));
  }
};

class Classifier {
 public:
  Classifier(Target& target, const Mappings& mappings) : target_(target), mappings_(mappings) {
    note_files(mappings, files_);
    is_vtable_.emplace(target.memory(), files_);
  }

  Key key_of(const Block& block, std::span<const std::byte> head) {
    Key key{size_class(block.size), 0, BlockShape::Guess::none};
    std::uint64_t first = 0;
    if (head.size() >= sizeof first) std::memcpy(&first, head.data(), sizeof first);
    if (type_of_object(first) != nullptr) {
      key.guess = BlockShape::Guess::object;
      key.vtable = first;
    } else if (is_text(head) && find_mapping(mappings_, first) == nullptr) {  // "`pUUUU" is a pointer
      key.guess = BlockShape::Guess::text;
    }
    return key;
  }

  BlockShape shape(const Key& key) {
    BlockShape shape{.min_size = key.min_size, .max_size = key.min_size, .guess = key.guess,
                     .vtable = key.vtable};
    if (key.min_size >= kExact) shape.max_size = key.min_size * 2 - 1;
    if (key.guess == BlockShape::Guess::object) shape.type = *type_of_object(key.vtable);
    return shape;
  }

 private:
  // nullptr: no object.
  const std::string* type_of_object(std::uint64_t first) {
    if (!(*is_vtable_)(first)) return nullptr;
    const auto [it, fresh] = types_.try_emplace(first);
    if (fresh) it->second = type_of(target_, first);
    return it->second.empty() ? nullptr : &it->second;
  }

  Target& target_;
  const Mappings& mappings_;
  RootSet files_;  // only its ranges of files
  std::optional<VtableTest> is_vtable_;
  std::unordered_map<std::uint64_t, std::string> types_;
};

}  // namespace

BlockShapes::BlockShapes(Target& target, const Mappings& mappings, const Ledger& ledger) {
  const auto blocks = ledger.untracked();
  if (blocks.empty()) return;
  ids_.resize(blocks.size());
  Classifier classifier(target, mappings);
  HeadReader reader(target.memory());
  std::unordered_map<Key, std::uint16_t, KeyHash> known;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    Key key = classifier.key_of(blocks[i], reader.head(blocks[i]));
    if (shapes_.size() >= kMostShapes && key.vtable != 0 && !known.contains(key)) {
      key = {key.min_size, 0, BlockShape::Guess::none};
    }
    const auto [it, fresh] = known.try_emplace(key, std::uint16_t(shapes_.size()));
    if (fresh) shapes_.push_back(classifier.shape(key));
    ids_[i] = it->second;
  }
}

std::string shape_words(const BlockShape& shape) {
  std::string words = shape.min_size == shape.max_size
                          ? fmt::format("{} usable bytes", shape.min_size)
                          : fmt::format("{} to {} usable bytes", shape.min_size, shape.max_size);
  if (shape.guess == BlockShape::Guess::text) words += ", text";
  if (shape.guess == BlockShape::Guess::object) words += ", object of " + shape.type;
  return words;
}

}  // namespace heapledger
