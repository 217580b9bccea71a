// SPDX-License-Identifier: Apache-2.0
#include "inferior/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "tests/inferior/elf_image.h"

namespace heapledger {
namespace {

std::vector<std::byte> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

std::string error_of(std::vector<std::byte> bytes) {
  const auto elf = ElfFile::from_bytes(std::move(bytes), "sample");
  return elf ? "" : elf.error().message;
}

// Everything that can be asked, so that a sanitizer or the machine objects to a bad answer.
std::size_t touch(const ElfFile& elf) {
  std::size_t sum = elf.build_id().size() + elf.soname().size() + elf.has_interpreter();
  for (const ElfSection& section : elf.sections()) {
    for (const std::byte b : elf.contents(section)) {
      sum += static_cast<std::size_t>(b);
    }
    sum += elf.at(section.address, section.size).size();
  }
  for (const ElfSegment& segment : elf.segments()) {
    const auto at = elf.at(segment.address, segment.file_size);
    sum += at.empty() ? 0 : static_cast<std::size_t>(at.back());
  }
  std::size_t symbols = 0;
  elf.for_each_symbol([&](const ElfSymbol& s) { symbols += s.name.size() + s.size; });
  sum += elf.functions("malloc").size() + elf.symbol("main").has_value();
  sum += elf.function_at(elf.entry()).has_value();
  return sum + symbols;
}

// Section headers and symbols that all have the name that fills the file.
std::vector<std::byte> image_with_long_names(std::size_t length, std::size_t count) {
  const std::string names = '\0' + std::string(length, 'n') + '\0';
  std::vector<Elf64_Sym> symbols(count, Elf64_Sym{.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                                  .st_other = 0, .st_shndx = 1, .st_value = 1, .st_size = 1});
  std::vector<Elf64_Shdr> sections(count);
  const std::uint64_t names_at = sizeof(Elf64_Ehdr), symbols_at = names_at + names.size(),
                      sections_at = symbols_at + symbols.size() * sizeof(Elf64_Sym);
  for (Elf64_Shdr& s : sections) s = {.sh_name = 1, .sh_type = SHT_PROGBITS};
  sections[0] = {};
  sections[1] = {.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = names_at, .sh_size = names.size()};
  sections[2] = {.sh_name = 1, .sh_type = SHT_SYMTAB, .sh_offset = symbols_at,
                 .sh_size = symbols.size() * sizeof(Elf64_Sym), .sh_link = 1, .sh_entsize = sizeof(Elf64_Sym)};
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, "\x7f" "ELF\x02\x01\x01", 7);
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_shoff = sections_at;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<std::uint16_t>(count);
  header.e_shstrndx = 1;
  std::vector<std::byte> file(sections_at + sections.size() * sizeof(Elf64_Shdr));
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + names_at, names.data(), names.size());
  std::memcpy(file.data() + symbols_at, symbols.data(), symbols.size() * sizeof(Elf64_Sym));
  std::memcpy(file.data() + sections_at, sections.data(), sections.size() * sizeof(Elf64_Shdr));
  return file;
}

TEST(ElfFile, NamesTakeNoMoreMemoryThanTheFile) {
  constexpr std::size_t kLength = 4 << 20, kCount = 20'000;  // 80 GB, were each kept
  const auto elf = ElfFile::from_bytes(image_with_long_names(kLength, kCount), "sample");
  ASSERT_TRUE(elf) << elf.error().message;
  EXPECT_EQ((*elf)->sections().size(), kCount - 1);
  for (const ElfSection& section : (*elf)->sections()) EXPECT_LE(section.name.size(), 256u);
  EXPECT_TRUE((*elf)->functions("malloc").empty());
  const auto at = (*elf)->function_at(1);
  ASSERT_TRUE(at);
  EXPECT_EQ(at->name.size(), kLength);
  const auto bytes = (*elf)->bytes();
  EXPECT_GE(at->name.data(), reinterpret_cast<const char*>(bytes.data()));  // no copy
  EXPECT_LT(at->name.data(), reinterpret_cast<const char*>(bytes.data() + bytes.size()));
}

TEST(ElfFile, ReadsTestLibrary) {
  const auto opened = ElfFile::open(LIBRARY);
  ASSERT_TRUE(opened) << opened.error().message;
  const ElfFile& elf = **opened;
  EXPECT_EQ(elf.name(), LIBRARY);
  EXPECT_EQ(elf.type(), ET_DYN);
  EXPECT_FALSE(elf.has_interpreter());
  EXPECT_TRUE(elf.has_symbol_table());
  EXPECT_EQ(elf.build_id(), "0123456789abcdef");
  EXPECT_EQ(elf.soname(), "libtest.so.7");

  const auto functions = elf.functions("library_function");
  ASSERT_EQ(functions.size(), 1u);  // in both tables, listed once
  EXPECT_TRUE(functions[0].dynamic);
  EXPECT_EQ(functions[0].type, STT_FUNC);
  EXPECT_EQ(functions[0].binding, STB_GLOBAL);
  EXPECT_GT(functions[0].size, 4u);

  const auto local = elf.functions("local_function");
  ASSERT_EQ(local.size(), 1u);
  EXPECT_FALSE(local[0].dynamic);
  EXPECT_EQ(local[0].binding, STB_LOCAL);

  const auto indirect = elf.functions("indirect_function");
  ASSERT_EQ(indirect.size(), 1u);
  EXPECT_EQ(indirect[0].type, STT_GNU_IFUNC);

  EXPECT_TRUE(elf.functions("library_data").empty());
  EXPECT_TRUE(elf.functions("library_functio").empty());
  EXPECT_TRUE(elf.functions("").empty());
  ASSERT_TRUE(elf.symbol("library_data"));
  EXPECT_EQ(elf.symbol("library_data")->size, 40u);
  EXPECT_EQ(elf.symbol("library_thread_data")->type, STT_TLS);
  EXPECT_FALSE(elf.symbol("no_such_symbol"));
}

TEST(ElfFile, WithoutSectionHeadersTheDynamicSymbolsAreThere) {
  for (const std::string path : {LIBRARY, "/lib/x86_64-linux-gnu/libc.so.6"}) {
    auto bytes = bytes_of(path);
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
    std::memcpy(bytes.data(), &header, sizeof header);
    const auto bare = ElfFile::from_bytes(std::move(bytes), "bare");
    ASSERT_TRUE(bare) << bare.error().message;
    EXPECT_TRUE((*bare)->sections().empty());
    const auto whole = ElfFile::open(path);
    std::multiset<std::string> expected;
    std::multiset<std::string> found;
    (*whole)->for_each_symbol([&](const ElfSymbol& s) {
      if (s.dynamic) expected.emplace(s.name);
    });
    (*bare)->for_each_symbol([&](const ElfSymbol& s) { found.emplace(s.name); });
    EXPECT_GE(expected.size(), 4u);
    EXPECT_EQ(found, expected);
  }
}

// The linker's hash table and our own index must agree on every name.
TEST(ElfFile, EveryDefinedNameIsFoundByName) {
  for (const std::string path : {LIBRARY, "/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6"}) {
    const auto elf = ElfFile::open(path);
    ASSERT_TRUE(elf);
    std::size_t functions = 0;
    (*elf)->for_each_symbol([&](const ElfSymbol& s) {
      if (s.type == STT_FUNC || s.type == STT_GNU_IFUNC) {
        const auto found = (*elf)->functions(s.name);
        EXPECT_TRUE(std::any_of(found.begin(), found.end(), [&](const ElfSymbol& f) {
          return f.value == s.value;
        })) << s.name;
        ++functions;
      }
    });
    EXPECT_GT(functions, 3u) << path;
  }
}

TEST(ElfFile, UndefinedSymbolsAreNotFound) {
  const auto elf = ElfFile::open(PROGRAMS "/stops_pie");
  ASSERT_TRUE(elf) << elf.error().message;
  EXPECT_TRUE((*elf)->functions("raise").empty());
  EXPECT_FALSE((*elf)->symbol("raise"));
  EXPECT_EQ((*elf)->functions("main").size(), 1u);
  EXPECT_TRUE((*elf)->has_interpreter());
}

TEST(ElfFile, LinkModes) {
  const auto nopie = ElfFile::open(PROGRAMS "/stops_nopie");
  const auto fixed = ElfFile::open(PROGRAMS "/stops_static");
  const auto static_pie = ElfFile::open(PROGRAMS "/stops_static_pie");
  ASSERT_TRUE(nopie && fixed && static_pie);
  EXPECT_EQ((*nopie)->type(), ET_EXEC);
  EXPECT_TRUE((*nopie)->has_interpreter());
  EXPECT_EQ((*fixed)->type(), ET_EXEC);
  EXPECT_FALSE((*fixed)->has_interpreter());
  EXPECT_EQ((*static_pie)->type(), ET_DYN);
  EXPECT_FALSE((*static_pie)->has_interpreter());
  EXPECT_EQ((*fixed)->functions("malloc").size(), 1u);
}

TEST(ElfFile, FunctionAtEndsWhereTheFunctionEnds) {
  const auto elf = ElfFile::open(LIBRARY);
  ASSERT_TRUE(elf);
  const ElfSymbol f = (*elf)->functions("library_function").at(0);
  EXPECT_EQ((*elf)->function_at(f.value)->name, "library_function");
  EXPECT_EQ((*elf)->function_at(f.value + f.size - 1)->name, "library_function");
  const auto after = (*elf)->function_at(f.value + f.size);
  EXPECT_TRUE(!after || after->name != "library_function");
  EXPECT_FALSE((*elf)->function_at(0));
  EXPECT_FALSE((*elf)->function_at(~0ull));
}

TEST(ElfFile, AtReadsByLinkAddressAndSectionContents) {
  const auto elf = ElfFile::open(LIBRARY);
  ASSERT_TRUE(elf);
  const ElfSymbol data = *(*elf)->symbol("library_data");
  const auto bytes = (*elf)->at(data.value, 40);
  ASSERT_EQ(bytes.size(), 40u);
  EXPECT_EQ(bytes[0], std::byte{1});
  EXPECT_EQ(bytes[4], std::byte{0});
  EXPECT_TRUE((*elf)->at(~0ull - 3, 16).empty());
  EXPECT_TRUE((*elf)->at(data.value, 1ull << 40).empty());
  const ElfSection* bss = (*elf)->section(".bss");
  ASSERT_NE(bss, nullptr);
  EXPECT_TRUE((*elf)->contents(*bss).empty());
  EXPECT_EQ((*elf)->section(".nonsense"), nullptr);
  EXPECT_EQ((*elf)->contents(*(*elf)->section(".text")).size(), (*elf)->section(".text")->size);
}

TEST(ElfFile, ReadsSystemFiles) {
  for (const char* path : {"/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6"}) {
    const auto elf = ElfFile::open(path);
    ASSERT_TRUE(elf) << elf.error().message;
    EXPECT_EQ((*elf)->build_id().size(), 40u) << path;
    EXPECT_GT(touch(**elf), 1000u) << path;
  }
  const auto libc = ElfFile::open("/lib/x86_64-linux-gnu/libc.so.6");
  EXPECT_EQ((*libc)->soname(), "libc.so.6");
  for (const char* name : {"malloc", "free", "memalign", "aligned_alloc", "mmap", "mmap64"}) {
    EXPECT_EQ((*libc)->functions(name).size(), 1u) << name;
  }
}

TEST(ElfFile, ErrorsNameFileAndFault) {
  EXPECT_NE(ElfFile::open("/no/such/file").error().message.find("/no/such/file: No such file"),
            std::string::npos);
  EXPECT_NE(ElfFile::open("/tmp").error().message.find("not a regular file"), std::string::npos);
  EXPECT_NE(ElfFile::open("/etc/passwd").error().message.find("not an ELF file"),
            std::string::npos);
  auto bytes = bytes_of(LIBRARY);
  bytes[EI_CLASS] = std::byte{ELFCLASS32};
  EXPECT_EQ(error_of(bytes), "cannot read sample: 32-bit ELF files are not supported");
  bytes = bytes_of(LIBRARY);
  bytes[EI_DATA] = std::byte{ELFDATA2MSB};
  EXPECT_EQ(error_of(bytes), "cannot read sample: not a 64-bit little-endian ELF file");
  bytes = bytes_of(LIBRARY);
  bytes[18] = std::byte{EM_AARCH64};
  EXPECT_EQ(error_of(bytes), "cannot read sample: machine 183 is not x86-64");
  EXPECT_EQ(error_of({}), "cannot read sample: not an ELF file");
}

TEST(ElfFile, TruncatedFilesAreErrors) {
  const auto whole = bytes_of(LIBRARY);
  ASSERT_EQ(error_of(whole), "");
  for (const std::size_t size : {std::size_t{4}, std::size_t{20}, std::size_t{63}, std::size_t{64},
                                 std::size_t{1000}, whole.size() / 2, whole.size() - 1}) {
    const auto message = error_of({whole.begin(), whole.begin() + static_cast<long>(size)});
    EXPECT_NE(message.find("truncated"), std::string::npos) << size << ": " << message;
  }
}

TEST(ElfFile, HundredsOfProgramHeadersAreRefusedButInCores) {
  const std::vector<testing::Segment> many(300, {0x1000, "", 0});
  EXPECT_TRUE(ElfFile::from_bytes(testing::elf_image(ET_CORE, many), "core"));
  const auto file = ElfFile::from_bytes(testing::elf_image(ET_DYN, many), "library");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, "cannot read library: 300 program headers");
}

TEST(ElfFile, AnyTruncationOrDamageIsSurvived) {
  const auto whole = bytes_of(LIBRARY);
  std::mt19937 random(1);
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    auto bytes = whole;
    if (round % 2 == 0) {
      bytes.resize(random() % whole.size());
    }
    // Damage headers, tables and (by offset) everything else.
    for (unsigned i = 0; i < 1 + random() % 8 && !bytes.empty(); ++i) {
      const std::size_t area =
          random() % 3 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 800);
      std::size_t at = random() % area;
      if (random() % 3 == 0) {
        at = bytes.size() - 1 - at;  // section headers are last
      }
      bytes[at] = static_cast<std::byte>(random() % 4 == 0 ? 0xff : random());
    }
    if (const auto elf = ElfFile::from_bytes(std::move(bytes), "damaged")) {
      touch(**elf);
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 300);  // else this test looks at error messages only
}

TEST(ElfFile, ManyThreadsMayAskFirst) {
  const auto elf = ElfFile::open("/lib/x86_64-linux-gnu/libc.so.6");
  ASSERT_TRUE(elf);
  const std::uint64_t expected =
      ElfFile::open((*elf)->name()).value()->functions("malloc")[0].value;
  std::vector<std::uint64_t> found(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      found[i] = (*elf)->functions("malloc").at(0).value;
      (*elf)->function_at(found[i]);
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(found, std::vector<std::uint64_t>(4, expected));
}

// 40 names are looked up in every module at launch. Measured 0.9 ms; the bound leaves room for
// load.
TEST(ElfFile, LookingUpNamesIsCheap) {
  const auto begin = std::chrono::steady_clock::now();
  std::size_t found = 0;
  for (const char* path :
       {"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"}) {
    const auto elf = ElfFile::open(path);
    ASSERT_TRUE(elf) << elf.error().message;
    for (int i = 0; i < 38; ++i) {
      found += (*elf)->functions("no_such_name_" + std::to_string(i)).size();
    }
    found += (*elf)->functions("malloc").size() + (*elf)->functions("_Znwm").size();
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(found, 2u);
  RecordProperty("milliseconds", std::to_string(took.count()));
  EXPECT_LT(took.count(), 100.0);
}

}  // namespace
}  // namespace heapledger
