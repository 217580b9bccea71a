// SPDX-License-Identifier: Apache-2.0
#include "tracking/code_image.h"

#include <dwarf.h>
#include <elf.h>

#include <algorithm>
#include <cassert>
#include <type_traits>

namespace heapledger {
namespace {

// DWARF's register numbers: System V ABI x86-64, figure 3.36.
constexpr std::uint8_t kRbp = 6, kRsp = 7, kReturnAddress = 16;

class Bytes {
 public:
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void add(const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    contents_.insert(contents_.end(), bytes.begin(), bytes.end());
  }
  void u8(std::uint8_t value) { add(value); }
  void uleb(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) u8(std::uint8_t(value | 0x80));
    u8(std::uint8_t(value));
  }
  void text(const std::string& value) {
    for (const char c : value) u8(std::uint8_t(c));
    u8(0);
  }
  void append(std::span<const std::byte> bytes) {
    contents_.insert(contents_.end(), bytes.begin(), bytes.end());
  }
  void align(std::size_t alignment, std::uint8_t filler) {
    while (contents_.size() % alignment != 0) u8(filler);
  }
  std::uint64_t size() const { return contents_.size(); }
  const std::vector<std::byte>& contents() const { return contents_; }

 private:
  std::vector<std::byte> contents_;
};

// A CIE or FDE: its length, then what it holds, filled up with DW_CFA_nop.
void add_entry(Bytes& section, Bytes entry) {
  while ((entry.size() + sizeof(std::uint32_t)) % sizeof(Address) != 0) entry.u8(DW_CFA_nop);
  section.add(static_cast<std::uint32_t>(entry.size()));
  section.append(entry.contents());
}

Bytes common_entry() {
  Bytes cie;
  cie.add(std::uint32_t{0xffffffff});  // what tells a CIE from an FDE in .debug_frame
  cie.u8(1);                           // version
  cie.text("");                        // augmentation
  cie.uleb(1);                         // code alignment
  cie.u8(0x78);                        // data alignment: -8
  cie.u8(kReturnAddress);
  cie.u8(DW_CFA_def_cfa);
  cie.uleb(kRsp);
  cie.uleb(8);
  cie.u8(DW_CFA_offset | kReturnAddress);
  cie.uleb(1);
  return cie;
}

void add_row(Bytes& fde, const FrameRow& row) {
  const bool from_rbp = row.rule.type == static_cast<std::uint8_t>(agent::RuleType::bp);
  fde.u8(DW_CFA_def_cfa);
  fde.uleb(from_rbp ? kRbp : kRsp);
  fde.uleb(std::uint64_t(row.rule.cfa));
  for (const auto& [number, slot] : row.saved) {
    fde.u8(DW_CFA_offset | number);
    fde.uleb(slot);
  }
  if (row.rule.bp < 0) {
    fde.u8(DW_CFA_offset | kRbp);
    fde.uleb(std::uint64_t(-row.rule.bp));
  } else {
    fde.u8(DW_CFA_same_value);
    fde.uleb(kRbp);
  }
}

// LLDB takes a function whose last row is not its first one for one whose epilogues are not described,
// and adds rows after its own reading of the instructions, which jumps mislead
// (UnwindAssembly_x86::AugmentUnwindPlanFromCallSite). No instruction begins with the last byte.
void end_as_it_began(Bytes& fde, AddressRange range) {
  fde.u8(DW_CFA_set_loc);
  fde.add(range.end - 1);
  fde.u8(DW_CFA_def_cfa);
  fde.uleb(kRsp);
  fde.uleb(8);
}

Bytes description(const CodePiece& piece) {
  Bytes fde;
  fde.add(std::uint32_t{0});  // where the CIE is
  fde.add(piece.range.begin);
  fde.add(piece.range.size());
  Address at = piece.range.begin;
  for (const FrameRow& row : piece.rows) {
    assert(row.from >= at && row.rule.cfa > 0);
    if (row.from != at) {
      fde.u8(DW_CFA_advance_loc4);
      fde.add(static_cast<std::uint32_t>(row.from - at));
    }
    at = row.from;
    add_row(fde, row);
  }
  fde.append(piece.program);
  end_as_it_began(fde, piece.range);
  return fde;
}

struct Section {
  std::string name;
  Elf64_Shdr header = {};
  std::vector<std::byte> contents = {};
};

Section frame_section(std::span<const CodePiece> pieces) {
  Bytes frames;
  add_entry(frames, common_entry());
  for (const CodePiece& piece : pieces) {
    if (piece.rows.empty() && piece.program.empty()) continue;
    add_entry(frames, description(piece));
  }
  return {".debug_frame", {.sh_type = SHT_PROGBITS, .sh_addralign = sizeof(Address)},
          frames.contents()};
}

// A shared object although its addresses are final: LLDB takes what is executable for the program.
Elf64_Ehdr file_header() {
  return {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
          .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
          .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
          .e_shentsize = sizeof(Elf64_Shdr)};
}

// The sections, then .shstrtab, then the table of all of them. One segment covers section 1, the code.
std::vector<std::byte> file_of(std::vector<Section> sections) {
  Bytes names;
  sections.push_back({".shstrtab", {.sh_type = SHT_STRTAB, .sh_addralign = 1}});
  for (Section& section : sections) {
    section.header.sh_name = static_cast<Elf64_Word>(names.size());
    names.text(section.name);
  }
  sections.back().contents = names.contents();

  Bytes body;
  constexpr std::uint64_t kBodyBegin = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  for (Section& section : sections) {
    if (section.header.sh_type == SHT_NULL) continue;
    body.align(sizeof(Address), 0);
    section.header.sh_offset = kBodyBegin + body.size();
    section.header.sh_size = section.contents.size();
    body.append(section.contents);
  }
  body.align(sizeof(Address), 0);

  Elf64_Ehdr header = file_header();
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  header.e_shoff = kBodyBegin + body.size();
  header.e_shnum = static_cast<Elf64_Half>(sections.size());
  header.e_shstrndx = static_cast<Elf64_Half>(sections.size() - 1);
  const Elf64_Shdr& code = sections[1].header;
  const Elf64_Phdr segment{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = code.sh_offset,
                           .p_vaddr = code.sh_addr, .p_paddr = code.sh_addr,
                           .p_filesz = code.sh_size, .p_memsz = code.sh_size, .p_align = 1};
  Bytes file;
  file.add(header);
  file.add(segment);
  file.append(body.contents());
  for (const Section& section : sections) file.add(section.header);
  return file.contents();
}

}  // namespace

std::vector<std::byte> code_image(Address begin, std::span<const std::byte> bytes,
                                  std::span<const CodePiece> pieces) {
  constexpr Elf64_Half kCode = 1;
  constexpr Elf64_Word kNames = 4;
  Bytes symbols, names;
  symbols.add(Elf64_Sym{});
  names.text("");
  for (const CodePiece& piece : pieces) {
    symbols.add(Elf64_Sym{.st_name = static_cast<Elf64_Word>(names.size()),
                          .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                          .st_other = STV_DEFAULT,
                          .st_shndx = kCode,
                          .st_value = piece.range.begin,
                          .st_size = piece.range.size()});
    names.text(piece.name);
  }
  std::vector<Section> sections;
  sections.push_back({""});
  sections.push_back({".text",
                      {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                       .sh_addr = begin, .sh_addralign = 1},
                      {bytes.begin(), bytes.end()}});
  sections.push_back(frame_section(pieces));
  sections.push_back({".symtab",
                      {.sh_type = SHT_SYMTAB, .sh_link = kNames, .sh_info = 1,
                       .sh_addralign = sizeof(Address), .sh_entsize = sizeof(Elf64_Sym)},
                      symbols.contents()});
  sections.push_back({".strtab", {.sh_type = SHT_STRTAB, .sh_addralign = 1}, names.contents()});
  return file_of(std::move(sections));
}

}  // namespace heapledger
