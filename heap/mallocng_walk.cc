// SPDX-License-Identifier: Apache-2.0
//
// Context, meta areas, metas in order of their groups' addresses, slots. Layouts: struct malloc_context,
// meta_area, meta and group of musl 1.2.1 to 1.2.5 on x86-64 (src/malloc/mallocng/meta.h). The process may
// be in the middle of a call, or hostile: what does not fit is told, and its memory is unknown.
#include "heap/mallocng_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>

#include "heap/window.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kUnit = 16;     // bytes
constexpr std::uint64_t kTrailer = 4;   // bytes at a slot's end, in front of the next one
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kFirstArea = 56;  // in struct malloc_context
constexpr std::uint64_t kAreaHead = 24;   // of struct meta_area: check, next, nslots
constexpr std::uint64_t kMetaSize = 40;
constexpr std::size_t kMostAreas = 1u << 18;         // of 101 groups each
constexpr std::uint64_t kMostData = 1ull << 30;       // bytes of a module in which the context is looked for
constexpr std::size_t kMostMessages = 16;
constexpr unsigned kOwnMapping = 63;      // the size class of a block with a mapping of its own
constexpr std::array<std::uint16_t, 48> kSizeClasses{
    1,   2,   3,   4,   5,    6,    7,    8,    9,    10,   12,   15,   18,   20,   25,   31,
    36,  42,  50,  63,  72,   84,   102,  127,  146,  170,  204,  255,  292,  340,  409,  511,
    584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191};

// What stands in front of a block: byte -3.
constexpr unsigned kIndexMask = 31;
constexpr unsigned kLongRest = 5;   // bits 7..5: the rest's length is in the slot's last word
constexpr unsigned kGroup = 6;      // the slot holds a group
constexpr unsigned kMoved = 7 << 5; // at a slot's start: the block begins further on

struct Meta {
  Address address = 0;
  Address group = 0;
  std::uint32_t free = 0;  // a bit a slot
  unsigned last = 0;       // slot
  unsigned size_class = 0;
  std::uint64_t pages = 0;  // of a mapping of its own

  // Bytes from one slot to the next; 0: no such group can be.
  std::uint64_t stride() const {
    if (last == 0 && pages != 0) return pages < (1u << 30) ? pages * kPage - kUnit : 0;
    return size_class < kSizeClasses.size() ? kUnit * kSizeClasses[size_class] : 0;
  }
  AddressRange range() const { return {group, group + kUnit + (last + 1) * stride()}; }
  // A mapping of its own is as many pages as are needed.
  bool has_sound_size() const {
    return stride() != 0 && (pages == 0 || pages == (range().size() + kPage - 1) / kPage);
  }
};

template <typename T>
T read_as(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

Meta meta_of(Address address, const std::byte* bytes) {
  Meta meta;
  meta.address = address;
  meta.group = read_as<Address>(bytes + 16);
  meta.free = read_as<std::uint32_t>(bytes + 24) | read_as<std::uint32_t>(bytes + 28);
  const auto bits = read_as<std::uint64_t>(bytes + 32);
  meta.last = bits & 31;
  meta.size_class = bits >> 6 & 63;
  meta.pages = bits >> 12;
  return meta;
}

struct Context {
  Address address = 0;
  std::uint64_t secret = 0;
  Address first_area = 0;
};

bool may_contain(const Module& module) {
  return is_musl(module) ||
         (module.is_program && module.elf != nullptr && !module.elf->has_interpreter());
}

std::optional<Context> context_in(const Memory& memory, AddressRange data) {
  Window window(memory);
  const Address end = data.begin + std::min(data.size(), kMostData);
  for (Address at = data.begin; at + kFirstArea + 8 <= end; at += 8) {
    const Address area = window.word(at + kFirstArea).value_or(0);
    if (area == 0 || area % kPage != 0) continue;
    const std::uint64_t secret = window.word(at).value_or(0);
    if (secret == 0 || memory.read_value<std::uint64_t>(area) != secret) continue;
    return Context{at, secret, area};
  }
  return std::nullopt;
}

std::optional<Context> find_context(const Memory& memory, const Mappings& mappings,
                                    const Module& module) {
  for (const Mapping& m : mappings) {
    if (!m.readable || !m.writable) continue;
    const AddressRange data{std::max(m.range.begin, module.range.begin),
                            std::min(m.range.end, module.range.end)};
    if (data.begin >= data.end) continue;
    if (const auto context = context_in(memory, data)) return context;
  }
  return std::nullopt;
}

class Walk {
 public:
  Walk(const Memory& memory, const Mappings& mappings, const Context& context)
      : memory_(memory), mappings_(mappings), context_(context), window_(memory) {
    for (const Mapping& m : mappings) slots_left_ += m.range.size() / kUnit;
  }

  HeapWalk run() {
    read_areas();
    std::sort(metas_.begin(), metas_.end(),
              [](const Meta& a, const Meta& b) { return a.group < b.group; });
    for (const Meta& meta : metas_) {
      if (slots_left_ < meta.last + 1) {
        tell("there are more slots than memory");
        break;
      }
      slots_left_ -= meta.last + 1;
      walk_group(meta);
    }
    sort_blocks(out_.used);
    sort_blocks(out_.free);
    out_.requested_sizes = true;
    out_.metadata.push_back({context_.address, context_.address + kFirstArea + 16});
    if (untold_ != 0) out_.messages.push_back(fmt::format("{} more such places", untold_));
    return std::move(out_);
  }

 private:
  void tell(std::string message) {
    if (out_.messages.size() < kMostMessages) {
      out_.messages.push_back(std::move(message));
    } else {
      ++untold_;
    }
  }

  void read_areas() {
    std::set<Address> seen;
    std::array<std::byte, kPage> page;
    for (Address area = context_.first_area; area != 0; area = read_as<Address>(page.data() + 8)) {
      const bool fresh = seen.insert(area).second && seen.size() <= kMostAreas;
      if (!fresh || area % kPage != 0 || !memory_.read(area, page) ||
          read_as<std::uint64_t>(page.data()) != context_.secret) {
        return tell(fmt::format("the list of meta areas breaks at {:#x}", area));
      }
      out_.regions.push_back({area, area + kPage});
      const std::uint64_t count = std::min<std::uint64_t>(read_as<std::uint32_t>(page.data() + 16),
                                                          (kPage - kAreaHead) / kMetaSize);
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t at = kAreaHead + i * kMetaSize;
        const Meta meta = meta_of(area + at, page.data() + at);
        if (meta.group != 0) metas_.push_back(meta);
      }
    }
  }

  bool is_mapped(AddressRange range) const {
    const Mapping* m = range.begin < range.end ? find_mapping(mappings_, range.begin) : nullptr;
    const Mapping* const end = mappings_.data() + mappings_.size();
    while (m != nullptr && m->range.end < range.end) {
      const bool adjoins = m + 1 != end && m[1].range.begin == m->range.end;
      m = adjoins ? m + 1 : nullptr;
    }
    return m != nullptr;
  }

  void walk_group(const Meta& meta) {
    const AddressRange range = meta.range();
    const bool fits = meta.has_sound_size() && meta.group % kUnit == 0 && is_mapped(range) &&
                      window_.word(meta.group) == meta.address;
    if (!fits) return tell(fmt::format("the group of meta {:#x} is damaged", meta.address));
    // A group inside another one's slot lies in a region already.
    if (out_.regions.empty() || !covered_.contains(range.begin)) {
      out_.regions.push_back(range);
      covered_ = range;
    }
    for (unsigned i = 0; i <= meta.last; ++i) {
      const Address start = meta.group + kUnit + i * meta.stride();
      if ((meta.free >> i & 1) != 0) {
        out_.free.push_back({start, meta.stride() - kTrailer});
      } else {
        walk_slot(meta, i, start);
      }
    }
  }

  void walk_slot(const Meta& meta, unsigned index, Address start) {
    const Address end = start + meta.stride() - kTrailer;
    const auto begin = block_begin(meta, index, start, end);
    const auto rest = begin ? rest_of(*begin, end) : std::nullopt;
    if (!rest) {
      out_.unknown.push_back({start, end});
      return tell(fmt::format("slot {} of the group {:#x} makes no sense", index, meta.group));
    }
    if (*rest == kHoldsGroup) return;
    out_.used.push_back({*begin, end - *rest - *begin});
    if (meta.size_class == kOwnMapping) ++out_.mapped;
  }

  unsigned byte_at(Address address) {
    return unsigned(window_.word(address & ~Address{7}).value_or(0) >> (address & 7) * 8 & 0xff);
  }
  std::uint32_t two_bytes(Address address) { return byte_at(address) | byte_at(address + 1) << 8; }

  // What malloc returned: at the slot's start, or further on, where its index and its distance from the
  // group's first slot stand in front of it. The distance is cut off at 16 bits in a slot's start.
  std::optional<Address> block_begin(const Meta& meta, unsigned index, Address start, Address end) {
    if (byte_at(start - 3) != kMoved) {
      return is_begin(meta, index, start) ? std::optional(start) : std::nullopt;
    }
    for (Address begin = start + kUnit * two_bytes(start - 2); begin <= end; begin += kUnit << 16) {
      if (begin != start && is_begin(meta, index, begin)) return begin;
    }
    return std::nullopt;
  }

  bool is_begin(const Meta& meta, unsigned index, Address begin) {
    if ((byte_at(begin - 3) & kIndexMask) != index) return false;
    const std::uint64_t units = (begin - meta.group) / kUnit - 1;
    if (byte_at(begin - 4) == 0) return two_bytes(begin - 2) == units;
    return (two_bytes(begin - 8) | two_bytes(begin - 6) << 16) == units;
  }

  static constexpr std::uint64_t kHoldsGroup = ~std::uint64_t{0};

  // Bytes between a block's end and the slot's.
  std::optional<std::uint64_t> rest_of(Address begin, Address end) {
    std::uint64_t rest = byte_at(begin - 3) >> 5;
    if (rest == kGroup) return kHoldsGroup;
    if (rest > kGroup) return std::nullopt;
    if (rest == kLongRest) rest = two_bytes(end - 4) | std::uint64_t{two_bytes(end - 2)} << 16;
    if (rest > end - begin) return std::nullopt;
    return rest;
  }

  const Memory& memory_;
  const Mappings& mappings_;
  const Context& context_;
  std::uint64_t slots_left_ = 0;
  Window window_;
  std::vector<Meta> metas_;
  AddressRange covered_;  // the outermost group walked last
  std::uint64_t untold_ = 0;
  HeapWalk out_;
};

}  // namespace

bool may_have_mallocng(const std::vector<Module>& modules) {
  return std::any_of(modules.begin(), modules.end(), may_contain);
}

Result<HeapWalk> walk_mallocng_heap(const Memory& memory, const Mappings& mappings,
                                    const std::vector<Module>& modules) {
  for (const Module& module : modules) {
    if (!may_contain(module)) continue;
    if (const auto context = find_context(memory, mappings, module)) return Walk(memory, mappings, *context).run();
  }
  return fail("cannot find the heap: neither glibc's, nor one of musl's that is in use");
}

}  // namespace heapledger
