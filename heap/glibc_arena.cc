// SPDX-License-Identifier: Apache-2.0
//
// Static initialisers found in the file, arenas and their heaps read from memory.
#include "heap/glibc_arena.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace heapledger {
namespace {

constexpr std::size_t kMostArenas = 65536;
constexpr std::size_t kMostHeaps = 1u << 21;  // 2^47 / 64 MiB

std::uint64_t word_in(std::span<const std::byte> bytes, std::uint64_t at) {
  std::uint64_t value = 0;
  if (at + sizeof value <= bytes.size()) {
    std::memcpy(&value, bytes.data() + at, sizeof value);
  }
  return value;
}

// The file's contents of the writable segments, by link-time address.
struct Data {
  std::uint64_t address;
  std::span<const std::byte> bytes;
};
std::vector<Data> writable_data(const ElfFile& elf) {
  std::vector<Data> data;
  for (const ElfSegment& s : elf.segments()) {
    if (s.type == PT_LOAD && (s.flags & PF_W) != 0) {
      data.push_back({s.address, elf.at(s.address, s.file_size)});
    }
  }
  return data;
}

// Zero everywhere but in `next`, whose contents the relocation decides, and attached_threads.
bool is_arena_initialiser(std::span<const std::byte> bytes, const GlibcLayout::Arena& arena) {
  for (std::uint64_t at = 0; at < arena.size; at += 8) {
    const std::uint64_t expected = at == arena.attached_threads ? 1 : 0;
    if (at != arena.next && word_in(bytes, at) != expected) {
      return false;
    }
  }
  return true;
}

// Link-time addresses of words that will hold their own address minus `distance`: by a relative
// relocation with an addend (RELA), or in place (RELR, and programs at fixed addresses).
std::vector<std::uint64_t> self_pointers(const ElfFile& elf, std::uint64_t distance) {
  std::vector<std::uint64_t> found;
  for (const Data& data : writable_data(elf)) {
    for (std::uint64_t at = (0 - data.address) & 7; at + 8 <= data.bytes.size(); at += 8) {
      if (word_in(data.bytes, at) == data.address + at - distance) {
        found.push_back(data.address + at);
      }
    }
  }
  for (const ElfSection& section : elf.sections()) {
    if (section.type != SHT_RELA) {
      continue;
    }
    const auto bytes = elf.contents(section);
    for (std::uint64_t at = 0; at + sizeof(Elf64_Rela) <= bytes.size(); at += sizeof(Elf64_Rela)) {
      Elf64_Rela r;
      std::memcpy(&r, bytes.data() + at, sizeof r);
      if (ELF64_R_TYPE(r.r_info) == R_X86_64_RELATIVE &&
          static_cast<std::uint64_t>(r.r_addend) == r.r_offset - distance) {
        found.push_back(r.r_offset);
      }
    }
  }
  return found;
}

std::optional<std::uint64_t> object_symbol(const ElfFile& elf, const char* name,
                                           std::uint64_t size) {
  const auto symbol = elf.symbol(name);
  const bool fits = symbol && symbol->type == STT_OBJECT && symbol->size == size;
  return fits ? std::optional(symbol->value) : std::nullopt;
}

std::optional<std::uint64_t> main_arena_in(const ElfFile& elf, const GlibcLayout& layout) {
  if (const auto symbol = object_symbol(elf, "main_arena", layout.arena.size)) {
    return symbol;
  }
  std::set<std::uint64_t> found;
  for (const std::uint64_t place : self_pointers(elf, layout.arena.next)) {
    const std::uint64_t start = place - layout.arena.next;
    const auto bytes = elf.at(start, layout.arena.size);
    if (!bytes.empty() && is_arena_initialiser(bytes, layout.arena)) {
      found.insert(start);
    }
  }
  return found.size() == 1 ? std::optional(*found.begin()) : std::nullopt;
}

// trim_threshold, top_pad, mmap_threshold, arena_test, then n_mmaps = 0 and n_mmaps_max = 65536.
bool is_parameters_initialiser(std::span<const std::byte> bytes,
                               const GlibcLayout::Parameters& parameters) {
  constexpr std::uint64_t kThreshold = 128 * 1024;
  std::uint32_t counts[2];
  std::memcpy(counts, bytes.data() + parameters.mapped_count, sizeof counts);
  return word_in(bytes, 0) == kThreshold && word_in(bytes, 8) == kThreshold &&
         word_in(bytes, 16) == kThreshold && word_in(bytes, 24) == 8 && counts[0] == 0 &&
         counts[1] == 65536;
}

std::optional<std::uint64_t> parameters_in(const ElfFile& elf,
                                           const GlibcLayout::Parameters& parameters) {
  std::vector<std::uint64_t> found;
  for (const Data& data : writable_data(elf)) {
    for (std::uint64_t at = (0 - data.address) & 7; at + parameters.size <= data.bytes.size();
         at += 8) {
      if (is_parameters_initialiser(data.bytes.subspan(at), parameters)) {
        found.push_back(data.address + at);
      }
    }
  }
  return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
}

// A static program mostly does not say its release; mp_ tells two families of layouts apart.
std::optional<unsigned> minor_by_parameters(const ElfFile& elf) {
  for (const unsigned minor : {36u, 33u}) {
    if (parameters_in(elf, glibc_layout(minor)->parameters)) {
      return minor;
    }
  }
  return std::nullopt;
}

bool contains_glibc(const Module& module) {
  if (module.elf == nullptr || !module.is_program || module.elf->has_interpreter()) {
    return false;
  }
  return main_arena_in(*module.elf, *glibc_layout(36)).has_value();
}

Result<Glibc> inspect(const Module& module) {
  if (module.elf == nullptr) {
    return fail("cannot find the heap: {} is not there, or not the one of this process", module.path);
  }
  const ElfFile& elf = *module.elf;
  Glibc glibc;
  glibc.module = &module;
  const auto stated = glibc_minor(elf);
  const auto minor = stated ? stated : minor_by_parameters(elf);
  const auto layout = minor ? glibc_layout(*minor) : std::nullopt;
  if (!layout) {
    return fail("cannot read the heap of {}: {}", module.name,
                minor ? fmt::format("glibc 2.{} is not supported (2.28 to 2.41 are)", *minor)
                      : "its release is unknown");
  }
  glibc.minor = stated.value_or(0);
  glibc.layout = *layout;
  const auto arena = main_arena_in(elf, *layout);
  if (!arena) {
    return fail("cannot read the heap of {}: main_arena was not found", module.name);
  }
  glibc.main_arena = module.bias + *arena;
  if (const auto parameters = parameters_in(elf, layout->parameters)) {
    glibc.parameters = module.bias + *parameters;
  }
  return glibc;
}

std::optional<Arena> read_arena(const Memory& memory, const GlibcLayout& layout, Address address) {
  std::vector<std::byte> bytes(layout.arena.size);
  if (!memory.read(address, bytes)) {
    return std::nullopt;
  }
  Arena arena;
  arena.address = address;
  arena.contiguous = (word_in(bytes, layout.arena.flags & ~7u) >> 32 & 2) == 0;
  arena.top = word_in(bytes, layout.arena.top);
  arena.system_bytes = word_in(bytes, layout.arena.system_mem);
  for (std::uint32_t i = 0; i < layout.arena.fastbin_count; ++i) {
    arena.fastbins.push_back(word_in(bytes, layout.arena.fastbins + 8 * i));
  }
  return arena;
}

// 64 MiB, or four huge pages where malloc uses them (glibc.malloc.hugetlb).
std::uint64_t heap_alignment(const Memory& memory, const Glibc& glibc) {
  const std::uint32_t at = glibc.layout.parameters.hugepage_size;
  const auto huge = at != 0 && glibc.parameters
                        ? memory.read_value<std::uint64_t>(*glibc.parameters + at)
                        : std::nullopt;
  const bool used = huge && *huge != 0 && (*huge & (*huge - 1)) == 0 && *huge < 1ull << 40;
  return used ? 4 * *huge : kHeapMaxSize;
}

Address aligned_chunk(Address a) { return (a + 15) & ~Address{15}; }

}  // namespace

Result<Glibc> find_glibc(const std::vector<Module>& modules) {
  for (const Module& module : modules) {
    if ((is_libc(module) && !is_musl(module)) || contains_glibc(module)) {
      return inspect(module);
    }
  }
  return fail("cannot find the heap: no module is glibc");
}

std::vector<Arena> read_arenas(const Memory& memory, const Glibc& glibc,
                               std::vector<std::string>& messages) {
  std::vector<Arena> arenas;
  std::set<Address> seen;
  Address at = glibc.main_arena;
  while (seen.size() < kMostArenas && seen.insert(at).second) {
    auto arena = read_arena(memory, glibc.layout, at);
    if (!arena) {
      messages.push_back(fmt::format("arena {} at {:#x} is unreadable", arenas.size(), at));
      return arenas;
    }
    arena->is_main = at == glibc.main_arena;
    arenas.push_back(std::move(*arena));
    at = memory.read_value<Address>(at + glibc.layout.arena.next).value_or(0);
  }
  if (at != glibc.main_arena) {
    messages.push_back(fmt::format("the ring of {} arenas does not close: {:#x} follows the last",
                                   arenas.size(), at));
  }
  return arenas;
}

std::vector<ArenaHeap> read_heaps(const Memory& memory, const Glibc& glibc, const Arena& arena,
                                  std::vector<std::string>& messages) {
  struct HeapInfo {
    Address arena;
    Address previous;
    std::uint64_t size;
  };
  const std::uint64_t alignment = heap_alignment(memory, glibc);
  std::vector<ArenaHeap> heaps;
  std::set<Address> seen;
  Address at = arena.top & ~(alignment - 1);
  while (at != 0 && seen.size() < kMostHeaps && seen.insert(at).second) {
    const auto info = memory.read_value<HeapInfo>(at);
    if (!info || info->arena != arena.address || info->size > alignment || info->size % 4096 != 0 ||
        at % alignment != 0) {
      messages.push_back(fmt::format("arena {:#x}: heap {:#x} is damaged", arena.address, at));
      break;
    }
    const bool holds_arena = arena.address > at && arena.address < at + info->size;
    const Address first = at + glibc.layout.heap_info_size;
    heaps.push_back({at,
                     holds_arena ? aligned_chunk(arena.address + glibc.layout.arena.size) : first,
                     at + info->size});
    at = info->previous;
  }
  return heaps;
}

}  // namespace heapledger
