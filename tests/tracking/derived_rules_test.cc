// SPDX-License-Identifier: Apache-2.0
//
// Rules derived from code against what compilers say of it (.eh_frame), function by function; and
// pieces of code that must get no rule.
#include "tracking/derived_rules.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tracking/stack_walk.h"
#include "tracking/unwind_rules.h"

using namespace heapledger;
using agent::RuleBody;
using agent::RuleType;

namespace {

std::string text(const RuleBody& rule) {
  if (rule.type == std::uint8_t(RuleType::end)) return "end";
  const bool bp = rule.type == std::uint8_t(RuleType::bp);
  if (!bp && rule.type != std::uint8_t(RuleType::sp)) return "?";
  return fmt::format("{}{:+}", bp ? "rbp" : "rsp", rule.cfa) +
         (rule.bp == 0 ? "" : fmt::format(" rbp@{:+}", 8 * rule.bp));
}

// The rule before each instruction, "offset: rule" a piece; "contradiction" for no rule at all.
std::string walked(std::vector<std::uint8_t> code) {
  constexpr Address kPlace = 0x1000;
  const StackWalk walk(std::as_bytes(std::span(code)), {kPlace, kPlace + code.size()}, {});
  if (!walk.consistent()) return "contradiction";
  std::string out, last;
  for (const auto& [address, place] : walk.places()) {
    const auto rule = rule_of(place.state);
    const std::string now = rule ? text(*rule) : "none";
    if (now == last) continue;
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", address - kPlace, now);
    last = now;
  }
  return out;
}

}  // namespace

TEST(StackWalk, FollowsPushesAndTheStackPointer) {
  EXPECT_EQ(walked({0xc3}), "0: rsp+8");
  // push %rbx; sub $24,%rsp; add $24,%rsp; pop %rbx; ret
  EXPECT_EQ(walked({0x53, 0x48, 0x83, 0xec, 24, 0x48, 0x83, 0xc4, 24, 0x5b, 0xc3}),
            "0: rsp+8, 1: rsp+16, 5: rsp+40, 9: rsp+16, 10: rsp+8");
  // push %rbp; xor %ebp,%ebp; pop %rbp; ret: any register to the function, not to its callers
  EXPECT_EQ(walked({0x55, 0x31, 0xed, 0x5d, 0xc3}), "0: rsp+8, 1: rsp+16 rbp@-16, 4: rsp+8");
}

TEST(StackWalk, FollowsTheFramePointerWhereTheStackPointerIsLost) {
  // push %rbp; mov %rsp,%rbp; sub %rax,%rsp; and $-16,%rsp; leave; ret
  EXPECT_EQ(walked({0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x48, 0x83, 0xe4, 0xf0, 0xc9, 0xc3}),
            "0: rsp+8, 1: rsp+16 rbp@-16, 4: rbp+16 rbp@-16, 12: rsp+8");
  // sub %rax,%rsp; add %rax,%rsp; ret: nobody knows
  EXPECT_EQ(walked({0x48, 0x29, 0xc4, 0x48, 0x01, 0xc4, 0xc3}), "contradiction");
}

TEST(StackWalk, MeetsOnlyWhereBothPathsAgree) {
  // push %rbx; je 1f; nop; 1: pop %rbx; ret
  EXPECT_EQ(walked({0x53, 0x74, 1, 0x90, 0x5b, 0xc3}), "0: rsp+8, 1: rsp+16, 5: rsp+8");
  // je 1f; push %rbx; 1: pop %rbx; ret
  EXPECT_EQ(walked({0x74, 1, 0x53, 0x5b, 0xc3}), "contradiction");
}

TEST(StackWalk, GivesNoRuleToWhatIsNoFunction) {
  EXPECT_EQ(walked({0x53, 0xc3}), "contradiction");              // push %rbx; ret
  EXPECT_EQ(walked({0x5a, 0x52, 0xc3}), "contradiction");        // pop %rdx; push %rdx (vfork)
  EXPECT_EQ(walked({0x53, 0x90}), "contradiction");              // runs on
  EXPECT_EQ(walked({0x53, 0xe9, 0, 1, 0, 0}), "contradiction");  // jumps out with a register pushed
  EXPECT_EQ(walked({0xbd, 1, 0, 0, 0, 0xc3}), "contradiction");  // mov $1,%ebp: the caller's is lost
  EXPECT_EQ(walked({0xeb, 0xff, 0xc0, 0xc3}), "contradiction");  // jumps into itself: two readings
}

TEST(StackWalk, TakesAZeroedFramePointerForTheOutermostFrame) {
  // mov %rsp,%rdi; xor %ebp,%ebp; and $-16,%rsp; call; hlt
  EXPECT_EQ(walked({0x48, 0x89, 0xe7, 0x31, 0xed, 0x48, 0x83, 0xe4, 0xf0, 0xe8, 0, 1, 0, 0, 0xf4}),
            "0: rsp+8, 5: end");
}

namespace {

struct Comparison {
  std::uint64_t compared = 0;     // instructions' first bytes that both speak of
  std::uint64_t other_register = 0;  // rbp here, rsp there: both can be right
  std::uint64_t undescribed = 0;     // the compiler's row passes over a push
  std::vector<std::string> wrong;
};

// Hand-written assembly (glibc's mpn) may have one row for all of a function that pushes registers.
bool passes_over_a_push(const ElfFile& elf, const UnwindTable& table, std::uint64_t address) {
  const auto row = std::upper_bound(table.offsets.begin(), table.offsets.end(),
                                    std::uint32_t(address - table.base));
  for (std::uint64_t at = table.base + row[-1]; at < address;) {
    const auto effect = stack_effect(elf.at(at, std::min<std::uint64_t>(16, address - at)), at);
    if (!effect) return false;
    if (effect->change == StackEffect::Change::push) return true;
    at += effect->length;
  }
  return false;
}

// As if the module had no call frame information, against the one it has.
Comparison compare(const ElfFile& elf) {
  Comparison result;
  const auto table = compile_unwind_rules(elf);
  EXPECT_TRUE(table);
  for (const FrameEntry& entry : derived_entries(elf, {})) {
    for (const std::uint64_t address : {entry.begin, entry.end - 1}) {
      const RuleBody theirs = find_rule(*table, address);
      const RuleBody& ours = *entry.fixed;
      if (theirs.type != std::uint8_t(RuleType::sp) && theirs.type != std::uint8_t(RuleType::bp)) {
        continue;
      }
      if (ours.type == std::uint8_t(RuleType::end)) continue;
      ++result.compared;
      if (theirs.type != ours.type) {
        ++result.other_register;
        continue;
      }
      // Compilers need not say that rbp has been restored.
      const bool same_bp = ours.bp == theirs.bp || ours.bp == 0;
      if (ours.cfa == theirs.cfa && same_bp) continue;
      if (passes_over_a_push(elf, *table, address)) {
        ++result.undescribed;
        continue;
      }
      result.wrong.push_back(fmt::format("{:#x}: {}, not {}", address, text(ours), text(theirs)));
    }
  }
  return result;
}

std::string module_of(const void* function) {
  Dl_info info{};
  return dladdr(function, &info) != 0 ? info.dli_fname : "";
}

void expect_as_compiled(const std::string& path, std::uint64_t at_least) {
  const auto elf = ElfFile::open(path);
  ASSERT_TRUE(elf) << path;
  const Comparison c = compare(**elf);
  ::testing::Test::RecordProperty("compared", std::to_string(c.compared));
  EXPECT_GE(c.compared, at_least);
  EXPECT_LE(c.other_register, c.compared / 50);
  EXPECT_LE(c.undescribed, c.compared / 1000);
  EXPECT_EQ(c.wrong.size(), 0u) << fmt::format("{}", fmt::join(c.wrong, "\n"));
}

}  // namespace

TEST(DerivedRules, AreWhatTheCompilerSaysOfGlibc) {
  expect_as_compiled(module_of(reinterpret_cast<const void*>(&std::malloc)), 10'000);
}

TEST(DerivedRules, AreWhatTheCompilerSaysOfThisProgram) {
  expect_as_compiled("/proc/self/exe", 10'000);
}

TEST(DerivedRules, CoverMusl) {
  const auto elf = ElfFile::open(ENTRY_POINTS_MUSL);
  ASSERT_TRUE(elf);
  const auto table = compile_unwind_rules(**elf);
  ASSERT_TRUE(table);
  const auto at = [&](const char* name) {
    const auto functions = (*elf)->functions(name);
    return functions.empty() ? "no such function" : text(find_rule(*table, functions[0].value));
  };
  for (const char* name : {"malloc", "free", "calloc", "realloc", "aligned_alloc", "exit",
                           "__libc_start_main", "libc_start_main_stage2"}) {
    EXPECT_EQ(at(name), "rsp+8") << name;
  }
}
