// SPDX-License-Identifier: Apache-2.0
#include "tracking/frame_entries.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <string>

#include "tracking/unwind_rules.h"

using namespace heapledger;

namespace {

class Bytes {
 public:
  Bytes& u8(unsigned v) { return put(v, 1); }
  Bytes& u16(unsigned v) { return put(v, 2); }
  Bytes& u32(std::uint64_t v) { return put(v, 4); }
  Bytes& u64(std::uint64_t v) { return put(v, 8); }
  Bytes& raw(std::initializer_list<unsigned> values) {
    for (const unsigned v : values) u8(v);
    return *this;
  }
  Bytes& text(const std::string& s) {
    for (const char c : s) u8(static_cast<unsigned char>(c));
    return u8(0);
  }
  Bytes& add(const Bytes& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  std::size_t size() const { return bytes_.size(); }
  std::span<const std::byte> span() const { return bytes_; }

 private:
  Bytes& put(std::uint64_t v, int count) {
    for (int i = 0; i < count; ++i) bytes_.push_back(std::byte(v >> 8 * i & 255));
    return *this;
  }
  std::vector<std::byte> bytes_;
};

Bytes sized(const Bytes& content) {
  Bytes out;
  return out.u32(content.size()).add(content);
}

// A CIE with augmentation `letters`, its data, and "CFA = rsp + 8, rip at CFA - 8".
Bytes cie(const std::string& letters, const Bytes& data) {
  Bytes content;
  content.u32(0).u8(1).text(letters).u8(1).u8(0x78).u8(16);
  if (letters.starts_with('z')) content.u8(unsigned(data.size()));
  return sized(content.add(data).raw({0x0c, 7, 8, 0x90, 1}));
}

// An FDE that stands right behind `before`, whose CIE is at offset 0.
Bytes fde(const Bytes& before, const Bytes& location, bool augmented = true) {
  Bytes content;
  content.u32(before.size() + 4).add(location);
  if (augmented) content.u8(0);
  return sized(content.raw({0x0e, 24}));  // def_cfa_offset 24
}

constexpr std::uint64_t kAddress = 0x10000;  // of the section

struct Range {
  std::uint64_t begin, end;
  bool operator==(const Range&) const = default;
};
std::vector<Range> ranges(const FrameEntries& frames) {
  std::vector<Range> out;
  for (const FrameEntry& e : frames.entries) out.push_back({e.begin, e.end});
  return out;
}

std::vector<Range> parse_one(unsigned encoding, const Bytes& location) {
  Bytes section = cie("zR", Bytes().u8(encoding));
  section.add(fde(section, location));
  return ranges(parse_frame_entries({section.span(), kAddress, true}));
}

}  // namespace

TEST(FrameEntries, ReadsEveryPointerEncoding) {
  const std::vector<Range> expected{{0x1234, 0x1244}};
  EXPECT_EQ(parse_one(0x00, Bytes().u64(0x1234).u64(0x10)), expected);    // absptr
  EXPECT_EQ(parse_one(0x01, Bytes().raw({0xb4, 0x24, 0x10})), expected);  // uleb128
  EXPECT_EQ(parse_one(0x02, Bytes().u16(0x1234).u16(0x10)), expected);    // udata2
  EXPECT_EQ(parse_one(0x03, Bytes().u32(0x1234).u32(0x10)), expected);    // udata4
  EXPECT_EQ(parse_one(0x04, Bytes().u64(0x1234).u64(0x10)), expected);    // udata8
  EXPECT_EQ(parse_one(0x09, Bytes().raw({0xb4, 0x24, 0x10})), expected);  // sleb128
  EXPECT_EQ(parse_one(0x0a, Bytes().u16(0x1234).u16(0x10)), expected);    // sdata2
  EXPECT_EQ(parse_one(0x0b, Bytes().u32(0x1234).u32(0x10)), expected);    // sdata4
  EXPECT_EQ(parse_one(0x0c, Bytes().u64(0x1234).u64(0x10)), expected);    // sdata8
}

TEST(FrameEntries, CountsPcRelativePointersFromWhereTheyStand) {
  const std::uint64_t field = kAddress + cie("zR", Bytes().u8(0)).size() + 8;
  const std::vector<Range> expected{{0x1234, 0x1244}};
  EXPECT_EQ(parse_one(0x1b, Bytes().u32(0x1234 - field).u32(0x10)), expected);  // pcrel sdata4
  EXPECT_EQ(parse_one(0x1c, Bytes().u64(0x1234 - field).u64(0x10)), expected);  // pcrel sdata8
  EXPECT_EQ(parse_one(0x10, Bytes().u64(0x1234 - field).u64(0x10)), expected);  // pcrel absptr
}

TEST(FrameEntries, LeavesOutWhatItCannotLocate) {
  const std::vector<Range> nothing;
  EXPECT_EQ(parse_one(0x9b, Bytes().u32(0x1234).u32(0x10)), nothing);   // indirect
  EXPECT_EQ(parse_one(0x4b, Bytes().u32(0x1234).u32(0x10)), nothing);   // relative to a function
  EXPECT_EQ(parse_one(0xff, Bytes().u32(0x1234).u32(0x10)), nothing);   // omitted
  EXPECT_EQ(parse_one(0x03, Bytes().u32(0x1234).u32(0)), nothing);      // empty function
  EXPECT_EQ(parse_one(0x03, Bytes().u32(0).u32(0x10)), nothing);        // discarded by the linker
  EXPECT_EQ(parse_one(0x00, Bytes().u64(~0x7ull).u64(0x10)), nothing);  // wraps around
}

TEST(FrameEntries, SkipsAugmentationDataOfTheCie) {
  // zPLR: personality (pcrel sdata4 | indirect), language data encoding, pointer encoding.
  Bytes section = cie("zPLR", Bytes().u8(0x9b).u32(0x500).u8(0x1b).u8(0x03));
  Bytes location = Bytes().u32(0x1234).u32(0x10);
  section.add(fde(section, location));
  const FrameEntries frames = parse_frame_entries({section.span(), kAddress, true});
  ASSERT_EQ(ranges(frames), (std::vector<Range>{{0x1234, 0x1244}}));
  CfaRows rows(frames.cies[0].context, ByteCursor(frames.entries[0].program, 0), 0x1234, 0x1244);
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(reduce(*rows.row()).cfa, 24);
}

TEST(FrameEntries, KnowsSignalFrames) {
  Bytes section = cie("zRS", Bytes().u8(0x03));
  section.add(fde(section, Bytes().u32(0x1234).u32(0x10)));
  const FrameEntries frames = parse_frame_entries({section.span(), kAddress, true});
  ASSERT_EQ(frames.entries.size(), 1u);
  ASSERT_TRUE(frames.entries[0].fixed);
  EXPECT_EQ(frames.entries[0].fixed->type, std::uint8_t(agent::RuleType::signal));
}

TEST(FrameEntries, ReadsOnBehindATerminator) {
  Bytes section = cie("zR", Bytes().u8(0x03));
  section.add(fde(section, Bytes().u32(0x1000).u32(0x10)));
  section.u32(0);
  section.add(fde(section, Bytes().u32(0x2000).u32(0x10)));
  const std::vector<Range> both{{0x1000, 0x1010}, {0x2000, 0x2010}};
  EXPECT_EQ(ranges(parse_frame_entries({section.span(), kAddress, true})), both);
  const std::vector<Range> first{{0x1000, 0x1010}};
  EXPECT_EQ(ranges(parse_frame_entries({section.span(), kAddress, true, false})), first);
}

TEST(FrameEntries, RefusesAnotherReturnAddressColumn) {
  Bytes content;
  content.u32(0).u8(1).text("zR").u8(1).u8(0x78).u8(15).u8(1).u8(3);
  Bytes section = sized(content);
  section.add(fde(section, Bytes().u32(0x1000).u32(0x10)));
  EXPECT_TRUE(parse_frame_entries({section.span(), kAddress, true}).entries.empty());
}

// -------------------------------------------------------------------------------------------------
// Damaged bytes. The section ends at a page that cannot be read: reading past it is a crash.

namespace {

class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t size)
      : size_(size), mapped_((size + 4095) / 4096 * 4096 + 4096) {
    base_ = static_cast<std::byte*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + mapped_ - 4096, 4096, PROT_NONE);
  }
  ~GuardedBytes() { munmap(base_, mapped_); }
  std::span<std::byte> span() { return {base_ + mapped_ - 4096 - size_, size_}; }

 private:
  std::size_t size_;
  std::size_t mapped_;
  std::byte* base_;
};

std::uint64_t walk(const FrameSection& section) {
  const FrameEntries frames = parse_frame_entries(section);
  std::uint64_t rows = 0;
  for (const FrameEntry& entry : frames.entries) {
    CfaRows all(frames.cies[entry.cie].context, ByteCursor(entry.program, entry.program_address),
                entry.begin, entry.end);
    std::uint64_t last = entry.begin;
    while (all.next()) {
      EXPECT_EQ(all.begin(), last);
      EXPECT_LT(all.begin(), all.end());
      EXPECT_LE(all.end(), entry.end);
      last = all.end();
      if (all.row() != nullptr) reduce(*all.row());
      ++rows;
    }
    EXPECT_EQ(last, entry.end);
  }
  return rows;
}

void mutate(std::span<std::byte> bytes, std::mt19937_64& random) {
  for (unsigned changes = 1 + random() % 8; changes > 0; --changes) {
    std::byte& byte = bytes[random() % bytes.size()];
    byte = random() % 2 != 0 ? std::byte(random()) : byte ^ std::byte(1 << random() % 8);
  }
}

}  // namespace

TEST(FrameEntries, SurviveDamagedSections) {
  auto elf = ElfFile::open("/lib64/ld-linux-x86-64.so.2");
  ASSERT_TRUE(elf) << elf.error().message;
  const ElfSection* section = (*elf)->section(".eh_frame");
  ASSERT_NE(section, nullptr);
  const auto whole = (*elf)->contents(*section);
  std::mt19937_64 random(20240607);
  std::uint64_t rows = 0;
  for (int round = 0; round < 4000; ++round) {
    // A part of it, so that cut entries end at the guard page too.
    const std::size_t size = 64 + random() % (whole.size() - 64);
    GuardedBytes damaged(std::min<std::size_t>(size, 4096));
    std::memcpy(damaged.span().data(), whole.data(), damaged.span().size());
    mutate(damaged.span(), random);
    rows += walk({damaged.span(), section->address, round % 4 != 0});
  }
  EXPECT_GT(rows, 100000u);
}

TEST(FrameEntries, SurviveDamagedFiles) {
  auto elf = ElfFile::open("/lib64/ld-linux-x86-64.so.2");
  ASSERT_TRUE(elf) << elf.error().message;
  const std::vector<std::byte> whole((*elf)->bytes().begin(), (*elf)->bytes().end());
  const ElfSection section = *(*elf)->section(".eh_frame");
  std::mt19937_64 random(7);
  int compiled = 0;
  for (int round = 0; round < 500; ++round) {
    std::vector<std::byte> bytes = whole;
    mutate(std::span(bytes).subspan(section.offset, section.size), random);
    if (round % 2 != 0) mutate(std::span(bytes).first(1024), random);  // ELF and program headers
    auto damaged = ElfFile::from_bytes(bytes, "damaged");
    if (!damaged) continue;
    const auto table = compile_unwind_rules(**damaged);
    if (!table) continue;
    ++compiled;
    ASSERT_EQ(table->offsets.size(), table->index.size());
    for (std::size_t i = 0; i < table->offsets.size(); ++i) {
      if (i > 0) {
        ASSERT_LT(table->offsets[i - 1], table->offsets[i]);
      }
      ASSERT_LT(table->index[i], table->bodies.size());
    }
  }
  EXPECT_GT(compiled, 250);
}

TEST(FrameEntries, ManyFunctionsOfOneLargeCieAreLinear) {
  // 20,000 FDEs of a CIE with 1 MB of instructions: evaluated once, or this takes minutes.
  Bytes instructions;
  for (int i = 0; i < 500000; ++i) instructions.raw({0x0e, 8});
  Bytes content;
  content.u32(0).u8(1).text("zR").u8(1).u8(0x78).u8(16).u8(1).u8(3).raw({0x0c, 7, 8, 0x90, 1});
  Bytes section = sized(content.add(instructions));
  for (unsigned i = 0; i < 20000; ++i) {
    section.add(fde(section, Bytes().u32(0x1000 + 16 * i).u32(16)));
  }
  EXPECT_EQ(walk({section.span(), kAddress, true}), 20000u);
}
