// SPDX-License-Identifier: Apache-2.0
#include "tracking/code_image.h"

#include <gtest/gtest.h>

#include "inferior/elf_file.h"
#include "tracking/unwind_rules.h"

namespace heapledger {
namespace {

using agent::RuleBody;
using agent::RuleType;

constexpr auto kSp = static_cast<std::uint8_t>(RuleType::sp);
constexpr auto kBp = static_cast<std::uint8_t>(RuleType::bp);

// The image as our own reader takes it; debuggers are asked in tests/debuggers/stepping_test.py.
std::shared_ptr<const ElfFile> read(const std::vector<std::byte>& image) {
  auto elf = ElfFile::from_bytes(image, "image");
  EXPECT_TRUE(elf) << elf.error().message;
  return *elf;
}

std::string rule_at(const UnwindTable& table, Address address) {
  const RuleBody body = find_rule(table, address);
  const std::string base = body.type == kSp ? "sp" : body.type == kBp ? "bp" : "none";
  return base + "+" + std::to_string(body.cfa) + " bp " + std::to_string(body.bp);
}

TEST(CodeImage, HasTheBytesTheSymbolsAndTheRowsOfEachPiece) {
  const std::vector<std::byte> bytes(64, std::byte{0xcc});
  const std::vector<CodePiece> pieces = {
      {.range = {0x7000, 0x7010}, .name = "first", .rows = {{0x7000, {8, 0, kSp, 0}}}},
      {.range = {0x7020, 0x7030},
       .name = "second",
       .rows = {{0x7020, {8, 0, kSp, 0}},
                {0x7021, {16, -2, kSp, 0}},
                {0x7024, {16, -2, kBp, 0}},
                {0x7026, {16, -2, kBp, 0}, {{15, 3}}}}}};
  const auto elf = read(code_image(0x7000, bytes, pieces));

  const ElfSection* text = elf->section(".text");
  ASSERT_NE(text, nullptr);
  EXPECT_EQ(text->address, 0x7000u);
  EXPECT_EQ(elf->contents(*text).size(), bytes.size());
  ASSERT_TRUE(elf->symbol("second"));
  EXPECT_EQ(elf->symbol("second")->value, 0x7020u);
  EXPECT_EQ(elf->symbol("second")->size, 0x10u);

  const auto table = compile_unwind_rules(*elf);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->fde_count, 2u);
  EXPECT_EQ(rule_at(*table, 0x7000), "sp+8 bp 0");
  EXPECT_EQ(rule_at(*table, 0x700f), "sp+8 bp 0");
  EXPECT_EQ(rule_at(*table, 0x7010), "none+0 bp 0");
  EXPECT_EQ(rule_at(*table, 0x7020), "sp+8 bp 0");
  EXPECT_EQ(rule_at(*table, 0x7021), "sp+16 bp -2");
  EXPECT_EQ(rule_at(*table, 0x7024), "bp+16 bp -2");
  EXPECT_EQ(rule_at(*table, 0x702e), "bp+16 bp -2");
  EXPECT_EQ(rule_at(*table, 0x7030), "none+0 bp 0");
}

// LLDB guesses otherwise: see code_image.cc.
TEST(CodeImage, EndsEachPieceAsItBegan) {
  const std::vector<CodePiece> pieces = {
      {.range = {0x7000, 0x7010},
       .name = "pushes",
       .rows = {{0x7000, {8, 0, kSp, 0}}, {0x7001, {16, 0, kSp, 0}}}}};
  const auto elf = read(code_image(0x7000, std::vector<std::byte>(16), pieces));
  const auto table = compile_unwind_rules(*elf);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(rule_at(*table, 0x700e), "sp+16 bp 0");
  EXPECT_EQ(rule_at(*table, 0x700f), "sp+8 bp 0");
}

TEST(CodeImage, TakesAProgramAsItStands) {
  const std::byte program[] = {std::byte{0x41},                    // advance 1
                               std::byte{0x0e}, std::byte{0x10},   // CFA offset 16
                               std::byte{0x86}, std::byte{0x02}};  // rbp at CFA - 16
  const std::vector<CodePiece> pieces = {
      {.range = {0x7000, 0x7010}, .name = "f", .program = program},
      {.range = {0x7010, 0x7018}, .name = "unknown"}};
  const auto elf = read(code_image(0x7000, std::vector<std::byte>(24), pieces));
  const auto table = compile_unwind_rules(*elf);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->fde_count, 1u);
  EXPECT_EQ(rule_at(*table, 0x7000), "sp+8 bp 0");
  EXPECT_EQ(rule_at(*table, 0x7001), "sp+16 bp -2");
  EXPECT_TRUE(elf->symbol("unknown"));
}

}  // namespace
}  // namespace heapledger
