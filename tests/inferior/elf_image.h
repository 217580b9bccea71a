// SPDX-License-Identifier: Apache-2.0
//
// ELF files written by hand: a header, program headers, contents.
#pragma once

#include <elf.h>

#include <cstring>
#include <string>
#include <vector>

#include "inferior/address.h"

namespace heapledger::testing {

struct Segment {
  Address address;
  std::string bytes;        // what the file has
  std::uint64_t memory_size;
  std::uint32_t flags = 0;
  std::uint32_t type = PT_LOAD;
};

inline std::vector<std::byte> elf_image(std::uint16_t type, const std::vector<Segment>& segments) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<std::uint16_t>(segments.size());
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  std::uint64_t offset = sizeof header + segments.size() * sizeof(Elf64_Phdr);
  for (const Segment& segment : segments) {
    Elf64_Phdr p{};
    p.p_type = segment.type;
    p.p_flags = segment.flags;
    p.p_offset = offset;
    p.p_vaddr = segment.address;
    p.p_filesz = segment.bytes.size();
    p.p_memsz = segment.memory_size;
    file.append(reinterpret_cast<const char*>(&p), sizeof p);
    offset += segment.bytes.size();
  }
  for (const Segment& segment : segments) file += segment.bytes;
  std::vector<std::byte> bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  return bytes;
}

}  // namespace heapledger::testing
