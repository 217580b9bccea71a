// SPDX-License-Identifier: Apache-2.0
#include "heap/glibc_descriptors.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>

namespace heapledger {
namespace {

constexpr std::size_t kMostModules = 65536;

// The run-time address of a defined symbol in any module; the loader's and libc's are unique names.
std::optional<Address> find_object(const std::vector<Module>& modules, const char* name) {
  for (const Module& module : modules) {
    if (module.elf != nullptr) {
      if (const auto symbol = module.elf->symbol(name)) {
        return module.bias + symbol->value;
      }
    }
  }
  return std::nullopt;
}

// The link_map of `module`, found on the loader's list (<link.h>: l_addr, l_name, l_ld, l_next).
std::optional<Address> find_link_map(const Memory& memory, const std::vector<Module>& modules,
                                     const Module& module) {
  const auto place = find_object(modules, "_r_debug");
  const auto debug = place ? memory.read_value<r_debug>(*place) : std::nullopt;
  Address at = debug ? reinterpret_cast<Address>(debug->r_map) : 0;
  for (std::size_t steps = 0; at != 0 && steps < kMostModules; ++steps) {
    const auto map = memory.read_value<link_map>(at);
    if (!map) {
      return std::nullopt;
    }
    if (module.range.contains(reinterpret_cast<Address>(map->l_ld))) {
      return at;
    }
    at = reinterpret_cast<Address>(map->l_next);
  }
  return std::nullopt;
}

const ElfSegment* tls_segment(const ElfFile& elf) {
  const auto segments = elf.segments();
  const auto found = std::find_if(segments.begin(), segments.end(),
                                  [](const ElfSegment& s) { return s.type == PT_TLS; });
  return found == segments.end() ? nullptr : &*found;
}

}  // namespace

std::optional<std::uint32_t> descriptor_offset(const std::vector<Module>& modules,
                                               std::string_view name) {
  for (const Module& module : modules) {
    const auto symbol = module.elf == nullptr ? std::nullopt : module.elf->symbol(name);
    if (!symbol) {
      continue;
    }
    const auto bytes = module.elf->at(symbol->value, 12);
    if (bytes.size() == 12) {
      std::uint32_t offset;
      std::memcpy(&offset, bytes.data() + 8, sizeof offset);
      return offset < 65536 ? std::optional(offset) : std::nullopt;
    }
  }
  return std::nullopt;
}

// In ld.so's _rtld_global since 2.34; variables of their own in static programs.
std::vector<Address> thread_list_heads(const std::vector<Module>& modules, const Glibc& glibc) {
  std::vector<Address> heads;
  const auto global = find_object(modules, "_rtld_global");
  for (const char* list : {"_dl_stack_used", "_dl_stack_user"}) {
    const auto offset = descriptor_offset(modules, fmt::format("_thread_db_rtld_global_{}", list));
    if (global && offset) {
      heads.push_back(*global + *offset);
    } else if (const auto own = find_object(modules, list); own && glibc.is_static()) {
      heads.push_back(*own);
    }
  }
  if (heads.size() != 2) {
    heads.clear();
  }
  return heads;
}

std::optional<std::uint64_t> tls_module_id(const Memory& memory, const std::vector<Module>& modules,
                                           const Module& module) {
  const auto map = find_link_map(memory, modules, module);
  const auto field = descriptor_offset(modules, "_thread_db_link_map_l_tls_modid");
  const auto id = map && field ? memory.read_value<std::uint64_t>(*map + *field) : std::nullopt;
  return id && *id != 0 ? id : std::nullopt;
}

std::optional<TlsBlock> libc_tls_block(const Memory& memory, const std::vector<Module>& modules,
                                       const Glibc& glibc) {
  const ElfSegment* segment = tls_segment(*glibc.module->elf);
  if (segment == nullptr) {
    return std::nullopt;
  }
  const std::uint64_t size = std::min<std::uint64_t>(segment->memory_size, 1u << 20);
  if (glibc.is_static()) {  // the program's block ends at the thread pointer (TLS variant II)
    const std::uint64_t alignment = std::max<std::uint64_t>(segment->alignment, 1);
    return TlsBlock{(segment->memory_size + alignment - 1) / alignment * alignment, size};
  }
  const auto map = find_link_map(memory, modules, *glibc.module);
  const auto field = descriptor_offset(modules, "_thread_db_link_map_l_tls_offset");
  const auto distance =
      map && field ? memory.read_value<std::uint64_t>(*map + *field) : std::nullopt;
  if (!distance || *distance == 0 || *distance > 1u << 30) {
    return std::nullopt;
  }
  return TlsBlock{*distance, size};
}

}  // namespace heapledger
