// SPDX-License-Identifier: Apache-2.0
#include "plugin/loader_state.h"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <fstream>
#include <string>

namespace heapledger::plugin {
namespace {

struct ProgramHeaders {
  Address address = 0;
  std::uint64_t count = 0;
};

ProgramHeaders program_headers(std::uint64_t pid) {
  ProgramHeaders result;
  std::ifstream file("/proc/" + std::to_string(pid) + "/auxv", std::ios::binary);
  Elf64_auxv_t entry;
  while (file.read(reinterpret_cast<char*>(&entry), sizeof entry) && entry.a_type != AT_NULL) {
    if (entry.a_type == AT_PHDR) result.address = entry.a_un.a_val;
    if (entry.a_type == AT_PHNUM) result.count = entry.a_un.a_val;
  }
  return result;
}

// Address of the program's dynamic section, 0 when it has none.
Address dynamic_section(const ProgramHeaders& headers, const Memory& memory) {
  constexpr std::uint64_t kMost = 256;
  Address self = 0, dynamic = 0;
  for (std::uint64_t i = 0; i < headers.count && i < kMost; ++i) {
    auto header = memory.read_value<Elf64_Phdr>(headers.address + i * sizeof(Elf64_Phdr));
    if (!header) return 0;
    if (header->p_type == PT_PHDR) self = header->p_vaddr;
    if (header->p_type == PT_DYNAMIC) dynamic = header->p_vaddr;
  }
  return dynamic == 0 || self == 0 ? 0 : headers.address - self + dynamic;
}

Address debug_structure(Address dynamic, const Memory& memory) {
  constexpr int kMost = 512;
  for (int i = 0; dynamic != 0 && i < kMost; ++i, dynamic += sizeof(Elf64_Dyn)) {
    auto entry = memory.read_value<Elf64_Dyn>(dynamic);
    if (!entry || entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_DEBUG) return entry->d_un.d_ptr;
  }
  return 0;
}

}  // namespace

bool loader_is_consistent(std::uint64_t pid, const Memory& memory) {
  Address debug = debug_structure(dynamic_section(program_headers(pid), memory), memory);
  if (debug == 0) return true;
  auto state = memory.read_value<std::uint32_t>(debug + offsetof(r_debug, r_state));
  return !state || *state == r_debug::RT_CONSISTENT;
}

}  // namespace heapledger::plugin
