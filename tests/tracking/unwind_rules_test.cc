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

#include "tests/tracking/compiled_rules.h"

using namespace heapledger;
using agent::RuleBody;
using agent::RuleType;

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
