// SPDX-License-Identifier: Apache-2.0
//
// Unwind rules against libdw, row by row, in every module of this process and in programs.
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

namespace {

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
