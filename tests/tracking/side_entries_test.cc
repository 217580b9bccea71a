// SPDX-License-Identifier: Apache-2.0
//
// A function of 32 bytes at 0x1100, and code and tables around it that lead into it.
#include "tracking/side_entries.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/inferior/elf_image.h"

namespace heapledger {
namespace {

constexpr Address kCode = 0x1000, kFunction = 0x1100, kTable = 0x2000;
constexpr std::uint64_t kSize = 32;

class Module {
 public:
  Module() : code_(0x400, '\x90') {}

  Module& code(Address at, const std::string& bytes) {
    code_.replace(at - kCode, bytes.size(), bytes);
    return *this;
  }
  // `opcode` and the distance from behind it to `target`.
  Module& branch(Address at, std::string opcode, Address target, std::size_t distance_size) {
    const auto distance = static_cast<std::int32_t>(target - (at + opcode.size() + distance_size));
    opcode.append(reinterpret_cast<const char*>(&distance), distance_size);
    return code(at, opcode);
  }
  Module& entry_of_table(Address target) {
    const auto distance = static_cast<std::int32_t>(target - kTable);
    table_.append(reinterpret_cast<const char*>(&distance), sizeof distance);
    return *this;
  }

  std::string side_entries() const {
    const auto image = testing::elf_image(
        ET_DYN, {{kCode, code_, code_.size(), PF_R | PF_X}, {kTable, table_, table_.size(), PF_R}});
    const auto file = ElfFile::from_bytes(image, "module");
    if (!file) return file.error().message;
    const FunctionPlace function{kFunction, kSize};
    const auto found = find_side_entries(**file, std::span(&function, 1));
    std::string text;
    for (const SideEntry& entry : found.at(0)) {
      text += entry.what + " +" + std::to_string(entry.offset) + "\n";
    }
    return text;
  }

 private:
  std::string code_, table_;
};

TEST(SideEntries, AreNoneAmongPadding) { EXPECT_EQ(Module().side_entries(), ""); }

TEST(SideEntries, FindLongBranchesFromFarAway) {
  const std::string found = Module()
                                .branch(0x1000, "\xe9", kFunction + 3, 4)
                                .branch(0x1010, "\x0f\x8c", kFunction + 2, 4)
                                .branch(0x1380, "\xe8", kFunction + 4, 4)
                                .side_entries();
  EXPECT_EQ(found,
            "a branch at 0x1000 leads to +3\n"
            "a branch at 0x1010 leads to +2\n"
            "a branch at 0x1380 leads to +4\n");
}

TEST(SideEntries, FindShortBranchesOfNeighbours) {
  EXPECT_EQ(Module().branch(kFunction - 100, "\xeb", kFunction + 3, 1).side_entries(),
            "a branch at 0x109c leads to +3\n");
  EXPECT_EQ(Module().branch(kFunction + kSize + 60, "\x7c", kFunction + 1, 1).side_entries(),
            "a branch at 0x115c leads to +1\n");
}

TEST(SideEntries, AreNoBranchesToTheFirstByteOrFarInside) {
  EXPECT_EQ(Module()
                .branch(0x1000, "\xe8", kFunction, 4)
                .branch(0x1010, "\xe8", kFunction + kLongestEntry, 4)
                .branch(kFunction - 20, "\xeb", kFunction, 1)
                .side_entries(),
            "");
}

TEST(SideEntries, AreNoBranchesOfTheFunctionItself) {
  EXPECT_EQ(Module().branch(kFunction + 10, "\xe9", kFunction + 2, 4).side_entries(), "");
}

TEST(SideEntries, FindWhatAJumpTableLeadsTo) {
  const auto with_table = [] { return Module().branch(kFunction, "\x48\x8d\x15", kTable, 4); };
  EXPECT_EQ(with_table().entry_of_table(kFunction + 20).entry_of_table(kFunction + 7).side_entries(),
            "a jump table at 0x2000 leads to +20\n"
            "a jump table at 0x2000 leads to +7\n");
  // A distance that leads out of the function ends the table.
  EXPECT_EQ(with_table().entry_of_table(kFunction + kSize).entry_of_table(kFunction + 7).side_entries(), "");
  EXPECT_EQ(Module().entry_of_table(kFunction + 7).side_entries(), "");  // nobody takes its address
}

}  // namespace
}  // namespace heapledger
