// SPDX-License-Identifier: Apache-2.0
#include "inferior/modules.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "inferior/local_memory.h"
#include "tests/inferior/child.h"

namespace heapledger {
namespace {

namespace fs = std::filesystem;

std::vector<Module> modules_of(std::uint64_t pid) {
  const auto mappings = read_mappings(pid);
  EXPECT_TRUE(mappings) << mappings.error().message;
  auto modules = ModuleList::read(pid, *mappings, LocalMemory(pid));
  EXPECT_TRUE(modules) << modules.error().message;
  return *modules;
}

std::uint64_t self() { return static_cast<std::uint64_t>(getpid()); }

std::vector<Module> named(const std::vector<Module>& modules, const std::string& name) {
  std::vector<Module> found;
  for (const Module& module : modules) {
    if (module.name == name) {
      found.push_back(module);
    }
  }
  return found;
}

const Module* program(const std::vector<Module>& modules) {
  const auto is_program = [](const Module& m) { return m.is_program; };
  EXPECT_EQ(std::count_if(modules.begin(), modules.end(), is_program), 1);
  const auto found = std::find_if(modules.begin(), modules.end(), is_program);
  return found == modules.end() ? nullptr : &*found;
}

std::string directory() {
  static const std::string made = [] {
    std::string text = "/tmp/heapledger_modules_XXXXXX";
    return std::string(mkdtemp(text.data()));
  }();
  return made;
}

std::string copy_of_library(const std::string& name) {
  const std::string path = directory() + "/" + name;
  fs::copy_file(LIBRARY, path, fs::copy_options::overwrite_existing);
  return path;
}

// The loader's own list is the other witness: same modules, same load bias.
TEST(Modules, OfOwnProcessAreTheLoaders) {
  const auto modules = modules_of(self());
  struct Seen {
    Address bias;
    std::string name;
  };
  std::vector<Seen> seen;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        static_cast<std::vector<Seen>*>(data)->push_back({info->dlpi_addr, info->dlpi_name});
        return 0;
      },
      &seen);
  EXPECT_EQ(modules.size(), seen.size());
  for (const Seen& s : seen) {
    const auto found = std::find_if(modules.begin(), modules.end(),
                                    [&](const Module& m) { return m.bias == s.bias; });
    ASSERT_NE(found, modules.end()) << s.name;
    EXPECT_NE(found->elf, nullptr) << s.name;
    EXPECT_FALSE(found->deleted);
  }
}

TEST(Modules, CodeAndSymbolsAreWhereTheProcessHasThem) {
  const auto modules = modules_of(self());
  const auto version_address =
      reinterpret_cast<Address>(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
  const Module* libc = find_module(modules, version_address);
  ASSERT_NE(libc, nullptr);
  EXPECT_EQ(libc->name, "libc.so.6");
  EXPECT_TRUE(is_libc(*libc));
  EXPECT_FALSE(is_musl(*libc));
  EXPECT_TRUE(libc->code.contains(version_address));
  EXPECT_EQ(libc->bias + libc->elf->functions("gnu_get_libc_version").at(0).value, version_address);
  EXPECT_TRUE(libc->range.contains(reinterpret_cast<Address>(dlsym(RTLD_DEFAULT, "environ"))));

  const Module* own = program(modules);
  ASSERT_NE(own, nullptr);
  EXPECT_TRUE(own->code.contains(reinterpret_cast<Address>(&modules_of)));
  EXPECT_EQ(own->bias + own->elf->entry(), getauxval(AT_ENTRY));
  static int bss[4096];
  EXPECT_TRUE(own->range.contains(reinterpret_cast<Address>(&bss[4095])));

  const auto vdso = named(modules, "[vdso]");
  ASSERT_EQ(vdso.size(), 1u);
  EXPECT_EQ(vdso[0].range.begin, getauxval(AT_SYSINFO_EHDR));
  ASSERT_NE(vdso[0].elf, nullptr);
  EXPECT_EQ(vdso[0].elf->functions("__vdso_clock_gettime").size(), 1u);
  EXPECT_EQ(named(modules, "ld-linux-x86-64.so.2").size(), 1u);
  EXPECT_FALSE(is_libc(named(modules, "ld-linux-x86-64.so.2")[0]));
}

TEST(Modules, OfEveryLinkMode) {
  struct Expected {
    const char* file;
    std::size_t modules;  // the program, the vdso, ld.so and libc where there are any
    bool fixed;
  };
  for (const Expected& e :
       {Expected{"stops_pie", 4, false}, Expected{"stops_nopie", 4, true},
        Expected{"stops_static", 2, true}, Expected{"stops_static_pie", 2, false},
        Expected{"stops_one_segment", 4, false}}) {
    const Child child = Child::started(std::string(PROGRAMS "/") + e.file);
    const auto modules = modules_of(child.pid());
    EXPECT_EQ(modules.size(), e.modules) << e.file;
    const Module* own = program(modules);
    ASSERT_NE(own, nullptr) << e.file;
    EXPECT_EQ(own->name, e.file);
    EXPECT_EQ(own->path, std::string(PROGRAMS "/") + e.file);
    EXPECT_EQ(own->bias == 0, e.fixed) << e.file;
    ASSERT_NE(own->elf, nullptr);
    EXPECT_TRUE(own->code.contains(own->bias + own->elf->functions("main").at(0).value)) << e.file;
  }
}

TEST(Modules, OfMuslProgramHaveMuslAsLibc) {
  const Child child = Child::started(PROGRAMS "/stops_musl");
  const auto modules = modules_of(child.pid());
  const auto libc = std::find_if(modules.begin(), modules.end(), is_libc);
  ASSERT_NE(libc, modules.end());
  EXPECT_TRUE(is_musl(*libc));
  EXPECT_EQ(libc->elf->functions("malloc").size(), 1u);
  EXPECT_EQ(std::count_if(modules.begin(), modules.end(), is_libc), 1);
}

TEST(Modules, LibraryLoadedTwiceIsTwoModules) {
  const std::string path = copy_of_library("twice.so");
  void* first = dlopen(path.c_str(), RTLD_NOW);
  void* second = dlmopen(LM_ID_NEWLM, path.c_str(), RTLD_NOW);
  ASSERT_NE(first, nullptr) << dlerror();
  ASSERT_NE(second, nullptr) << dlerror();
  const auto modules = modules_of(self());
  const auto twice = named(modules, "twice.so");
  ASSERT_EQ(twice.size(), 2u);
  EXPECT_NE(twice[0].bias, twice[1].bias);
  EXPECT_EQ(twice[0].elf, twice[1].elf);  // opened once
  for (void* handle : {first, second}) {
    const auto function = reinterpret_cast<Address>(dlsym(handle, "library_function"));
    const Module* module = find_module(modules, function);
    ASSERT_NE(module, nullptr);
    EXPECT_EQ(module->bias + module->elf->functions("library_function").at(0).value, function);
  }
  dlclose(second);
  dlclose(first);
  EXPECT_TRUE(named(modules_of(self()), "twice.so").empty());
}

TEST(Modules, DeletedLibraryIsReadAllTheSame) {
  const std::string path = copy_of_library("gone (1).so");
  void* handle = dlopen(path.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  fs::remove(path);
  const auto gone = named(modules_of(self()), "gone (1).so");
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_TRUE(gone[0].deleted);
  EXPECT_EQ(gone[0].path, path);
  ASSERT_NE(gone[0].elf, nullptr);  // by way of map_files: needs root, as this test
  EXPECT_EQ(gone[0].elf->functions("library_function").size(), 1u);
  dlclose(handle);
}

TEST(Modules, ReplacedLibraryIsNotTakenForTheMappedOne) {
  const std::string path = copy_of_library("replaced.so");
  void* handle = dlopen(path.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  fs::remove(path);
  fs::copy_file("/bin/true", path);
  const auto replaced = named(modules_of(self()), "replaced.so");
  ASSERT_EQ(replaced.size(), 1u);
  EXPECT_TRUE(replaced[0].deleted);
  ASSERT_NE(replaced[0].elf, nullptr);
  EXPECT_EQ(replaced[0].elf->soname(), "libtest.so.7");
  dlclose(handle);
  fs::remove(path);
}

// Without the right to use map_files: what is in memory has the dynamic symbols, and no others.
TEST(Modules, DeletedLibraryIsReadFromMemoryWithoutPrivilege) {
  const std::string path = copy_of_library("upgraded.so");
  const pid_t pid = fork();
  if (pid == 0) {
    void* handle = dlopen(path.c_str(), RTLD_NOW);
    fs::remove(path);
    if (handle == nullptr || setresuid(65534, 65534, 65534) != 0 ||
        prctl(PR_SET_DUMPABLE, 1) != 0) {
      _exit(1);
    }
    const auto mappings = read_mappings(self());
    const auto modules = ModuleList::read(self(), *mappings, LocalMemory(self()));
    const auto found = named(*modules, "upgraded.so");
    if (found.size() != 1 || !found[0].deleted || found[0].elf == nullptr) {
      _exit(2);
    }
    const ElfFile& elf = *found[0].elf;
    const auto function = elf.functions("library_function");
    if (function.size() != 1 || elf.has_symbol_table() ||
        !elf.functions("local_function").empty()) {
      _exit(3);
    }
    const auto expected = reinterpret_cast<Address>(dlsym(handle, "library_function"));
    _exit(found[0].bias + function[0].value == expected && elf.soname() == "libtest.so.7" ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Modules, LibraryInMemoryFile) {
  const int fd = memfd_create("in memory", 0);
  std::ifstream in(LIBRARY, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  void* handle = dlopen(fmt::format("/proc/self/fd/{}", fd).c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  const auto found = named(modules_of(self()), "memfd:in memory");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].deleted);
  ASSERT_NE(found[0].elf, nullptr);
  EXPECT_EQ(found[0].elf->functions("library_function").size(), 1u);
  dlclose(handle);
  close(fd);
}

// A file of zeros behind an ELF header takes no memory where it is mapped, however often.
TEST(Modules, ImagesInMemoryAreReadUpToALimitOfAllTogether) {
  constexpr std::uint64_t kSize = std::uint64_t{1100} << 20;
  const int fd = memfd_create("zeros", 0);
  ASSERT_EQ(ftruncate(fd, kSize), 0);
  struct {
    Elf64_Ehdr header;
    Elf64_Phdr load;
  } begin{};
  begin.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                  .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
                  .e_phoff = sizeof begin.header, .e_ehsize = sizeof begin.header,
                  .e_phentsize = sizeof begin.load, .e_phnum = 1};
  begin.load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = kSize, .p_memsz = kSize,
                .p_align = 4096};
  ASSERT_EQ(pwrite(fd, &begin, sizeof begin, 0), ssize_t(sizeof begin));
  const Child child = Child::forked([&] {
    for (int i = 0; i < 3; ++i) mmap(nullptr, kSize, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  });
  close(fd);
  const auto mappings = read_mappings(child.pid());
  ASSERT_TRUE(mappings);
  // As of a core, whose process is not asked: no file is to be had.
  const auto modules = ModuleList::read(0, *mappings, LocalMemory(child.pid()));
  ASSERT_TRUE(modules);
  const auto zeros = named(*modules, "memfd:zeros");
  ASSERT_EQ(zeros.size(), 3u);
  std::uint64_t taken = 0;
  for (const Module& module : zeros) taken += module.elf != nullptr ? module.elf->bytes().size() : 0;
  EXPECT_EQ(taken, kSize);
}

TEST(Modules, FilesMappedAsDataAreNoModules) {
  const auto before = modules_of(self()).size();
  const std::string path = copy_of_library("data.so");
  std::ofstream(directory() + "/data.txt") << std::string(10000, 'x');
  std::vector<std::pair<void*, std::size_t>> mapped;
  for (const auto& [file, protection] :
       {std::pair{path, PROT_READ}, std::pair{directory() + "/data.txt", PROT_READ | PROT_EXEC},
        std::pair{path, PROT_NONE}}) {
    const int fd = open(file.c_str(), O_RDONLY);
    const auto size = fs::file_size(file);
    void* at = mmap(nullptr, size, protection, MAP_PRIVATE, fd, 0);
    ASSERT_NE(at, MAP_FAILED);
    mapped.emplace_back(at, size);
    close(fd);
  }
  EXPECT_EQ(modules_of(self()).size(), before);
  for (const auto& [at, size] : mapped) {
    munmap(at, size);
  }
}

TEST(Modules, HeaderOfNonsenseIsSurvived) {
  const std::string path = copy_of_library("nonsense.so");
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const std::uint64_t far = ~std::uint64_t{0} - 100;
  file.seekp(offsetof(Elf64_Ehdr, e_phoff));
  file.write(reinterpret_cast<const char*>(&far), sizeof far);
  file.close();
  const int fd = open(path.c_str(), O_RDONLY);
  void* at = mmap(nullptr, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  EXPECT_TRUE(named(modules_of(self()), "nonsense.so").empty());
  munmap(at, 8192);
  close(fd);
}

TEST(Modules, OfGoneProcessAreAnEmptyList) {
  const auto modules = ModuleList::read(0x3fffffff, {}, LocalMemory(0x3fffffff));
  ASSERT_TRUE(modules);
  EXPECT_TRUE(modules->empty());
}

}  // namespace
}  // namespace heapledger
