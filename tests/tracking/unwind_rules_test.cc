// SPDX-License-Identifier: Apache-2.0
#include "tracking/unwind_rules.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <gtest/gtest.h>
#include <libelf.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>

using namespace heapledger;
using agent::RuleBody;
using agent::RuleType;

namespace {

std::string text(const RuleBody& body) {
  static const char* const kNames[] = {"none",   "sp",  "bp",       "end",
                                       "signal", "plt", "bp_deref", "bad"};
  std::string out = body.type < std::size(kNames) ? kNames[body.type] : "?";
  if (body.cfa != 0) out += fmt::format(" {:+}", body.cfa);
  if (body.bp != 0) out += fmt::format(" rbp@{:+}", 8 * body.bp);
  return out;
}

// -------------------------------------------------------------------------------------------------
// What libdw says of one row, in the same words.

class LibdwRules {
 public:
  explicit LibdwRules(const ElfFile& elf) : bytes_(elf.bytes().begin(), elf.bytes().end()) {
    elf_version(EV_CURRENT);
    elf_ = elf_memory(reinterpret_cast<char*>(bytes_.data()), bytes_.size());
    cfi_ = dwarf_getcfi_elf(elf_);
  }
  ~LibdwRules() {
    dwarf_cfi_end(cfi_);
    elf_end(elf_);
  }
  struct Row {
    std::uint64_t begin = 0, end = 0;
    std::string rule;
  };
  std::optional<Row> at(std::uint64_t address) const {
    Dwarf_Frame* raw = nullptr;
    if (cfi_ == nullptr) return std::nullopt;
    if (dwarf_cfi_addrframe(cfi_, address, &raw) != 0) {
      const std::string why = dwarf_errmsg(dwarf_errno());
      if (why == "no matching address range") return std::nullopt;
      return Row{address, address + 1, why == "invalid CFI section" ? "bad" : why};
    }
    const std::unique_ptr<Dwarf_Frame, decltype(&std::free)> frame(raw, &std::free);
    Dwarf_Addr begin, end;
    bool signal = false;
    dwarf_frame_info(frame.get(), &begin, &end, &signal);
    return Row{begin, end, signal ? "signal" : rule(frame.get())};
  }

 private:
  struct Register {
    enum { undefined, same, at_cfa, at_rbp, is_cfa, other } where = other;
    std::int64_t offset = 0;
  };
  static Register where(Dwarf_Frame* frame, int number) {
    Dwarf_Op room[3];
    Dwarf_Op* ops = nullptr;
    std::size_t count = 0;
    if (dwarf_frame_register(frame, number, room, &ops, &count) != 0) return {};
    if (count == 0) return {ops == nullptr ? Register::same : Register::undefined};
    if (ops[0].atom != DW_OP_call_frame_cfa) return {};  // also pushed before an expression
    if (count == 2 && ops[1].atom == DW_OP_breg0 + 6) {
      return {Register::at_rbp, std::int64_t(ops[1].number)};
    }
    std::int64_t offset = 0;
    std::size_t next = 1;
    if (next < count && ops[next].atom == DW_OP_plus_uconst)
      offset = std::int64_t(ops[next++].number);
    if (next == count) return {Register::at_cfa, offset};
    return {ops[next].atom == DW_OP_stack_value ? Register::is_cfa : Register::other, offset};
  }
  static std::string rule(Dwarf_Frame* frame) {
    const Register ra = where(frame, 16);
    if (ra.where == Register::undefined) return "end";
    const Register sp = where(frame, 7);
    if (ra.where != Register::at_cfa || ra.offset != -8 || sp.where != Register::is_cfa ||
        sp.offset != 0) {
      return "bad";
    }
    Dwarf_Op* ops = nullptr;
    std::size_t count = 0;
    if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count == 0) return "bad";
    const Register bp = where(frame, 6);
    if (count == 9) {
      std::string said;
      for (std::size_t i = 0; i < count; ++i) said += fmt::format("{:x} ", ops[i].atom);
      const bool plt = said.starts_with("77 80 3f 1a ") && said.ends_with(" 2a 33 24 22 ") &&
                       ops[0].number == 8 && ops[1].number == 0;
      return plt ? fmt::format("plt {:+}", ops[4].atom - DW_OP_lit0) : "bad";
    }
    if (count == 2 && ops[0].atom == DW_OP_breg0 + 6 && ops[1].atom == DW_OP_deref) {
      if (bp.where != Register::at_rbp || bp.offset != 0) return "bad";
      return fmt::format("bp_deref {:+}", std::int64_t(ops[0].number));
    }
    if (count != 1) return "bad";
    const bool extended = ops[0].atom == DW_OP_bregx;
    const auto number = extended ? ops[0].number : ops[0].atom - DW_OP_breg0;
    const auto offset = std::int64_t(extended ? ops[0].number2 : ops[0].number);
    if (number != 6 && number != 7) return "bad";
    std::string out = fmt::format("{} {:+}", number == 7 ? "sp" : "bp", offset);
    if (bp.where == Register::same) return out;
    const bool in_reach = bp.offset >= -8 * 32768 && bp.offset < 8 * 32768;  // RuleBody::bp
    if (bp.where != Register::at_cfa || !in_reach) return "bad";
    return out + fmt::format(" rbp@{:+}", bp.offset);
  }

  std::vector<std::byte> bytes_;
  Elf* elf_ = nullptr;
  Dwarf_CFI* cfi_ = nullptr;
};

struct Comparison {
  std::uint64_t rows = 0;
  std::uint64_t different = 0;
  std::string first;
};

// Every address of the table, a row at a time. Where libdw knows nothing, only generated rules of
// linkage tables may stand.
Comparison compare(const ElfFile& elf, const UnwindTable& table) {
  const LibdwRules libdw(elf);
  const auto in_plt = [&](std::uint64_t address) {
    for (const ElfSection& s : elf.sections()) {
      if (s.name.starts_with(".plt") && address - s.address < s.size) return true;
    }
    return false;
  };
  Comparison result;
  for (std::size_t i = 0; i + 1 < table.offsets.size(); ++i) {
    const std::uint64_t end = table.base + table.offsets[i + 1];
    for (std::uint64_t pc = table.base + table.offsets[i]; pc < end;) {
      const std::string ours = text(find_rule(table, pc));
      const auto theirs = libdw.at(pc);
      const bool entry = !theirs && ours == "end" && elf.entry() >= pc && elf.entry() < end;
      if (ours != (theirs ? theirs->rule : "none") && !(!theirs && in_plt(pc)) && !entry) {
        if (result.different++ == 0) {
          result.first =
              fmt::format("{:#x}: {} but libdw {}", pc, ours, theirs ? theirs->rule : "none");
        }
      }
      ++result.rows;
      pc = theirs ? std::min(end, theirs->end) : end;
    }
  }
  return result;
}

std::shared_ptr<const ElfFile> open(const std::string& path) {
  auto elf = ElfFile::open(path);
  EXPECT_TRUE(elf) << (elf ? "" : elf.error().message);
  return elf ? *elf : nullptr;
}

UnwindTable compile(const ElfFile& elf) {
  auto table = compile_unwind_rules(elf);
  EXPECT_TRUE(table) << (table ? "" : table.error().message);
  return table ? *table : UnwindTable{};
}

void expect_well_formed(const UnwindTable& table) {
  ASSERT_EQ(table.offsets.size(), table.index.size());
  for (std::size_t i = 0; i < table.offsets.size(); ++i) {
    if (i > 0) {
      ASSERT_LT(table.offsets[i - 1], table.offsets[i]);
    }
    ASSERT_LT(table.index[i], table.bodies.size());
  }
}

void expect_equal_to_libdw(const std::string& path, std::uint64_t at_least) {
  SCOPED_TRACE(path);
  const auto elf = open(path);
  ASSERT_NE(elf, nullptr);
  const UnwindTable table = compile(*elf);
  expect_well_formed(table);
  const Comparison result = compare(*elf, table);
  EXPECT_EQ(result.different, 0u) << result.first;
  EXPECT_GE(result.rows, at_least);
}

// Loaded into this test: libc, libstdc++, libdw, libelf, gtest ...
std::vector<std::string> own_modules() {
  std::vector<std::string> paths{"/proc/self/exe"};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        if (info->dlpi_name[0] == '/') {
          static_cast<std::vector<std::string>*>(out)->push_back(info->dlpi_name);
        }
        return 0;
      },
      &paths);
  return paths;
}

}  // namespace

TEST(UnwindRules, EqualLibdwRowByRowInEveryModuleOfThisProcess) {
  const auto paths = own_modules();
  std::set<std::string> names;
  for (const std::string& path : paths) {
    names.insert(path.substr(path.rfind('/') + 1));
    expect_equal_to_libdw(path, 4);
  }
  for (const char* needed : {"libc.so.6", "libstdc++.so.6", "ld-linux-x86-64.so.2", "libdw.so.1"}) {
    EXPECT_TRUE(names.contains(needed)) << needed;
  }
}

TEST(UnwindRules, EqualLibdwRowByRowInPrograms) {
  expect_equal_to_libdw("/bin/bash", 10000);
  expect_equal_to_libdw(UNWIND_STATIC, 5000);
}

TEST(UnwindRules, NearlyEverythingOfLibcIsExpressible) {
  std::uint64_t rows = 0, bad = 0;
  for (const std::string& path : own_modules()) {
    const UnwindTable table = compile(*open(path));
    rows += table.offsets.size();
    bad += table.rows_not_expressible;
  }
  EXPECT_LT(bad * 1000, rows);
}

// -------------------------------------------------------------------------------------------------
// Hand-written functions: each label starts a row whose rule is written beside it in the test.

asm(R"(
    .text
    .macro point name
    .type \name, @function
    .globl \name
    .hidden \name
\name:
    .endm

    .balign 16
    .cfi_startproc
point hl_cfi_entry
    nop
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
point hl_cfi_pushed
    nop
    .cfi_remember_state
    .cfi_def_cfa_register rbp
point hl_cfi_frame_pointer
    nop
    .cfi_def_cfa rsp, 8
    .cfi_restore rbp
point hl_cfi_popped
    nop
    .cfi_restore_state
point hl_cfi_restored
    nop
    .cfi_def_cfa rbx, 16
point hl_cfi_other_register
    nop
    .cfi_def_cfa rsp, 100000
    .cfi_offset rbp, -80000
point hl_cfi_large
    nop
    .cfi_offset rbp, -800000
point hl_cfi_too_large
    nop
    .cfi_same_value rbp
point hl_cfi_same
    nop
    .cfi_escape 0x14, 6, 2          # val_offset rbp, 2: its value is CFA - 16
point hl_cfi_value
    nop
    .cfi_undefined rbp
point hl_cfi_lost
    nop
    .cfi_register rbp, rbx
point hl_cfi_in_register
    nop
    .cfi_restore rbp
    .cfi_offset rip, -16
point hl_cfi_return_elsewhere
    nop
    .cfi_restore rip
    .cfi_escape 0x2e, 0x10          # GNU_args_size 16
    .cfi_escape 0x2f, 6, 4          # GNU_negative_offset_extended rbp, 4: CFA + 32
point hl_cfi_negative
    nop
    .cfi_escape 0x13, 0x7d          # def_cfa_offset_sf -3: 24
point hl_cfi_signed_offset
    nop
    .cfi_escape 0x12, 6, 0x7e       # def_cfa_sf rbp, -2: 16
    .cfi_escape 0x11, 6, 2          # offset_extended_sf rbp, 2: CFA - 16
point hl_cfi_signed_cfa
    nop
    .cfi_escape 0x05, 6, 3          # offset_extended rbp, 3: CFA - 24
point hl_cfi_extended
    nop
    .cfi_escape 0x06, 6             # restore_extended rbp
point hl_cfi_restore_extended
    nop
    .cfi_undefined rip
point hl_cfi_outermost
    nop
    .cfi_endproc
point hl_cfi_gap
    .balign 16, 0x90

    .cfi_startproc                  # a function that realigns its stack, as GCC writes it
    nop
    .cfi_def_cfa r10, 0
point hl_drap_r10
    nop
    .cfi_escape 0x10, 6, 2, 0x76, 0             # expression rbp: breg6 0
point hl_drap_saved
    nop
    .cfi_escape 0x0f, 3, 0x76, 0x68, 6          # def_cfa_expression: breg6 -24; deref
point hl_drap_body
    nop
    .cfi_restore rbp
point hl_drap_without_rbp
    nop
    .cfi_endproc

    .cfi_startproc                  # binutils' lazy linkage table
    nop
    .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22
point hl_plt
    nop
    .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x35, 0x2a, 0x33, 0x24, 0x22
point hl_plt_bnd
    nop
    .cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x35, 0x2a, 0x33, 0x24, 0x1c
point hl_plt_other
    nop
    .cfi_escape 0x0f, 2, 0x77, 24               # def_cfa_expression: breg7 24
point hl_cfa_expression
    nop
    .cfi_endproc

    .cfi_startproc
    .cfi_signal_frame
    nop
point hl_signal
    nop
    .cfi_def_cfa_offset 64
point hl_signal_later
    nop
    .cfi_endproc

    .cfi_startproc                  # nonsense: restore_state without remember_state
    nop
    .cfi_def_cfa_offset 32
point hl_broken_before
    nop
    .cfi_escape 0x0b
point hl_broken
    nop
    .cfi_def_cfa_offset 48
point hl_broken_after
    nop
    .cfi_endproc
)");

TEST(UnwindRules, ReducesHandWrittenInstructions) {
  const struct {
    const char* label;
    const char* rule;
  } kExpected[] = {
      {"hl_cfi_entry", "sp +8"},
      {"hl_cfi_pushed", "sp +16 rbp@-16"},
      {"hl_cfi_frame_pointer", "bp +16 rbp@-16"},
      {"hl_cfi_popped", "sp +8"},
      {"hl_cfi_restored", "sp +16 rbp@-16"},
      {"hl_cfi_other_register", "bad"},
      {"hl_cfi_large", "sp +100000 rbp@-80000"},
      {"hl_cfi_too_large", "bad"},
      {"hl_cfi_same", "sp +100000"},
      {"hl_cfi_value", "bad"},
      {"hl_cfi_lost", "bad"},
      {"hl_cfi_in_register", "bad"},
      {"hl_cfi_return_elsewhere", "bad"},
      {"hl_cfi_negative", "sp +100000 rbp@+32"},
      {"hl_cfi_signed_offset", "sp +24 rbp@+32"},
      {"hl_cfi_signed_cfa", "bp +16 rbp@-16"},
      {"hl_cfi_extended", "bp +16 rbp@-24"},
      {"hl_cfi_restore_extended", "bp +16"},
      {"hl_cfi_outermost", "end"},
      {"hl_cfi_gap", "none"},
      {"hl_drap_r10", "bad"},
      {"hl_drap_saved", "bad"},
      {"hl_drap_body", "bp_deref -24"},
      {"hl_drap_without_rbp", "bad"},
      {"hl_plt", "plt +11"},
      {"hl_plt_bnd", "plt +5"},
      {"hl_plt_other", "bad"},
      {"hl_cfa_expression", "sp +24"},
      {"hl_signal", "signal"},
      {"hl_signal_later", "signal"},
      {"hl_broken_before", "sp +32"},
      {"hl_broken", "bad"},
      {"hl_broken_after", "bad"},
  };
  const auto elf = open("/proc/self/exe");
  const UnwindTable table = compile(*elf);
  for (const auto& [label, rule] : kExpected) {
    const auto found = elf->functions(label);
    ASSERT_EQ(found.size(), 1u) << label;
    EXPECT_EQ(text(find_rule(table, found[0].value)), rule) << label;
  }
}

TEST(UnwindRules, SaysNothingOutsideTheModule) {
  const UnwindTable table = compile(*open("/bin/bash"));
  EXPECT_EQ(text(find_rule(table, table.base - 1)), "none");
  EXPECT_EQ(text(find_rule(table, 0)), "none");
  EXPECT_EQ(text(find_rule(table, table.base + table.offsets.back())), "none");
  EXPECT_EQ(text(find_rule(table, UINT64_MAX)), "none");
}

// -------------------------------------------------------------------------------------------------
// Files that lack something.

TEST(UnwindRules, AStrippedFileHasTheSameRules) {
  const UnwindTable whole = compile(*open(UNWIND_STATIC));
  const UnwindTable stripped = compile(*open(UNWIND_STATIC_STRIPPED));
  EXPECT_EQ(stripped.base, whole.base);
  EXPECT_EQ(stripped.offsets, whole.offsets);
  EXPECT_EQ(stripped.index, whole.index);
  EXPECT_FALSE(open(UNWIND_STATIC_STRIPPED)->has_symbol_table());
}

TEST(UnwindRules, AFileWithoutSectionHeadersHasTheSameRules) {
  const auto elf = open("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
  std::vector<std::byte> bytes(elf->bytes().begin(), elf->bytes().end());
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.e_shoff = 0;
  header.e_shnum = header.e_shstrndx = 0;
  std::memcpy(bytes.data(), &header, sizeof header);
  auto cut = ElfFile::from_bytes(bytes, "cut");
  ASSERT_TRUE(cut) << cut.error().message;
  ASSERT_EQ((*cut)->section(".eh_frame"), nullptr);
  const UnwindTable table = compile(**cut);
  const UnwindTable whole = compile(*elf);
  EXPECT_EQ(table.offsets, whole.offsets);
  EXPECT_EQ(table.index, whole.index);
  EXPECT_GT(table.fde_count, 4000u);
}

TEST(UnwindRules, ReadsDebugFrameWhereThereIsNoEhFrame) {
  for (const char* path : {UNWIND_DEBUG_FRAME, UNWIND_DEBUG_FRAME_COMPRESSED}) {
    SCOPED_TRACE(path);
    const auto elf = open(path);
    const auto* section = elf->section(".debug_frame");
    ASSERT_NE(section, nullptr);
    EXPECT_EQ((section->flags & SHF_COMPRESSED) != 0,
              std::string(path) == UNWIND_DEBUG_FRAME_COMPRESSED);
    const UnwindTable table = compile(*elf);
    const auto function = elf->functions("unwind_with_frame_pointer");
    ASSERT_EQ(function.size(), 1u);
    EXPECT_EQ(text(find_rule(table, function[0].value)), "sp +8");
    EXPECT_EQ(text(find_rule(table, function[0].value + function[0].size / 2)), "bp +16 rbp@-16");
    // .eh_frame of the start files is still read.
    EXPECT_EQ(text(find_rule(table, elf->functions("_start")[0].value)), "end");
  }
}

TEST(UnwindRules, GeneratesRulesForLinkageTablesWithoutFrames) {
  const auto plain = open(UNWIND_PLT_PLAIN);
  const UnwindTable with_frames = compile(*open(UNWIND_PLT_FRAMES));
  const UnwindTable table = compile(*plain);
  EXPECT_LT(table.fde_count, with_frames.fde_count);
  const ElfSection* plt = plain->section(".plt");
  ASSERT_NE(plt, nullptr);
  ASSERT_GE(plt->size, 48u);
  EXPECT_EQ(text(find_rule(table, plt->address)), "sp +16");
  EXPECT_EQ(text(find_rule(table, plt->address + 6)), "sp +24");
  EXPECT_EQ(text(find_rule(table, plt->address + 16)), "plt +11");
  EXPECT_EQ(text(find_rule(table, plt->address + 32 + 15)), "plt +11");
  // The linker's own description says the same.
  const auto described = open(UNWIND_PLT_FRAMES);
  const std::uint64_t there = described->section(".plt")->address;
  for (std::uint64_t at = 0; at < plt->size; ++at) {
    EXPECT_EQ(text(find_rule(table, plt->address + at)), text(find_rule(with_frames, there + at)));
  }
  const ElfSection* got = plain->section(".plt.got");
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(text(find_rule(table, got->address)), "sp +8");
}

TEST(UnwindRules, FindsMuslsReturnFromSignals) {
  const auto elf = open("/lib/ld-musl-x86_64.so.1");
  const UnwindTable table = compile(*elf);
  const auto* begin = elf->bytes().data();
  const unsigned char code[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
  const auto* found =
      static_cast<const std::byte*>(memmem(begin, elf->bytes().size(), code, sizeof code));
  ASSERT_NE(found, nullptr);
  std::uint64_t address = 0;
  for (const ElfSegment& s : elf->segments()) {
    const auto offset = std::uint64_t(found - begin);
    if (s.type == PT_LOAD && offset - s.offset < s.file_size)
      address = s.address + offset - s.offset;
  }
  EXPECT_EQ(text(find_rule(table, address)), "signal");
  EXPECT_EQ(text(find_rule(table, address + 8)), "signal");
  EXPECT_EQ(text(find_rule(table, address + 9)), "none");
}

TEST(UnwindRules, GivesAnEmptyTableWithoutFrames) {
  std::vector<std::byte> bytes(sizeof(Elf64_Ehdr));
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  std::memcpy(bytes.data(), &header, sizeof header);
  auto elf = ElfFile::from_bytes(bytes, "empty");
  ASSERT_TRUE(elf) << elf.error().message;
  const UnwindTable table = compile(**elf);
  EXPECT_TRUE(table.offsets.empty());
  EXPECT_EQ(text(find_rule(table, 0)), "none");
}
