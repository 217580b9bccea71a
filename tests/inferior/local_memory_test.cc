// SPDX-License-Identifier: Apache-2.0
#include "inferior/local_memory.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <vector>

#include "tests/inferior/child.h"

namespace heapledger {
namespace {

constexpr std::size_t kPage = 4096;

// Three pages "aaa...", a hole, one page "bbb...", in this process and every child forked later.
struct Pages {
  Pages() {
    base = static_cast<std::byte*>(
        mmap(nullptr, 5 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memset(base, 'a', 3 * kPage);
    std::memset(base + 4 * kPage, 'b', kPage);
    munmap(base + 3 * kPage, kPage);
  }
  ~Pages() {
    munmap(base, 3 * kPage);
    munmap(base + 4 * kPage, kPage);
  }
  Address address(std::size_t offset) const { return reinterpret_cast<Address>(base) + offset; }
  std::byte* base;
};

TEST(LocalMemory, ReadsChildNotParent) {
  Pages pages;
  const Child child = Child::forked([&] { pages.base[7] = std::byte{'c'}; });
  const LocalMemory memory(child.pid());
  EXPECT_EQ(memory.read_value<char>(pages.address(7)), 'c');
  EXPECT_EQ(memory.read_value<char>(pages.address(8)), 'a');
  EXPECT_EQ(pages.base[7], std::byte{'a'});
}

TEST(LocalMemory, ReturnsReadablePrefixBeforeHole) {
  Pages pages;
  const Child child = Child::forked([] {});
  const LocalMemory memory(child.pid());
  std::vector<std::byte> out(5 * kPage);
  EXPECT_EQ(memory.read_up_to(pages.address(0), out), 3 * kPage);
  EXPECT_EQ(memory.read_up_to(pages.address(100), out), 3 * kPage - 100);
  EXPECT_EQ(memory.read_up_to(pages.address(3 * kPage - 1), out), 1u);
  EXPECT_EQ(memory.read_up_to(pages.address(3 * kPage), out), 0u);
  EXPECT_EQ(memory.read_up_to(pages.address(4 * kPage - 1), out), 0u);
  EXPECT_EQ(memory.read_up_to(pages.address(4 * kPage), std::span(out).first(kPage)), kPage);
  EXPECT_EQ(out[0], std::byte{'b'});
}

// No process_vm_readv for this process any more: ENOSYS, as of a kernel without it.
void forbid_the_call() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(2);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) _exit(3);
}

// In a process of its own: what it forbids stays forbidden.
[[noreturn]] void read_by_file() {
  Pages pages;
  const Child child = Child::forked([&] { pages.base[7] = std::byte{'c'}; });
  forbid_the_call();
  const LocalMemory memory(child.pid());
  std::vector<std::byte> out(5 * kPage);
  bool good = memory.allowed() && memory.read_value<char>(pages.address(7)) == 'c';
  good = good && memory.read_up_to(pages.address(0), out) == 3 * kPage;
  good = good && memory.read_up_to(pages.address(3 * kPage - 1), out) == 1;
  good = good && memory.read_up_to(pages.address(3 * kPage), out) == 0;
  good = good && memory.read_up_to(~Address{0} - 100, out) == 0;
  good = good && !LocalMemory(0x3fffffff).read_value<char>(pages.address(7));
  kill(child.pid(), SIGKILL);
  _exit(good ? 0 : 1);
}

TEST(LocalMemory, ReadsTheSameWithoutTheCall) {
  EXPECT_EXIT(read_by_file(), ::testing::ExitedWithCode(0), "");
}

TEST(LocalMemory, ReadNamesTheFirstUnreadableAddress) {
  Pages pages;
  const Child child = Child::forked([] {});
  const LocalMemory memory(child.pid());
  std::array<std::byte, 2 * kPage> out;
  EXPECT_TRUE(memory.read(pages.address(kPage), out));
  const auto failed = memory.read(pages.address(2 * kPage), out);
  ASSERT_FALSE(failed);
  EXPECT_NE(
      failed.error().message.find(fmt::format("{:#x} is unreadable", pages.address(3 * kPage))),
      std::string::npos)
      << failed.error().message;
}

TEST(LocalMemory, StrangeAddressesReadNothing) {
  const LocalMemory memory(static_cast<std::uint64_t>(getpid()));
  std::array<std::byte, 64> out;
  for (const Address address : {Address{0}, Address{1}, ~Address{0}, ~Address{0} - 10,
                                Address{1} << 47, Address{1} << 63}) {
    EXPECT_EQ(memory.read_up_to(address, out), 0u) << address;
  }
  EXPECT_EQ(memory.read_up_to(reinterpret_cast<Address>(&out), {}), 0u);
}

TEST(LocalMemory, GoneProcessReadsNothing) {
  const LocalMemory memory(0x3fffffff);
  EXPECT_EQ(memory.read_value<char>(reinterpret_cast<Address>(&memory)), std::nullopt);
}

TEST(LocalMemory, ReadsStringsUpToTerminatorLimitAndHole) {
  Pages pages;
  std::strcpy(reinterpret_cast<char*>(pages.base), "hello");
  const LocalMemory memory(static_cast<std::uint64_t>(getpid()));
  EXPECT_EQ(memory.read_c_string(pages.address(0)), "hello");
  EXPECT_EQ(memory.read_c_string(pages.address(5)), "");
  EXPECT_EQ(memory.read_c_string(pages.address(6), 3), "aaa");
  EXPECT_EQ(memory.read_c_string(pages.address(6), 1000).size(), 1000u);
  EXPECT_EQ(memory.read_c_string(pages.address(3 * kPage - 2)), "aa");
  EXPECT_EQ(memory.read_c_string(pages.address(3 * kPage)), "");
}

TEST(LocalMemory, WritesDataOfTheChild) {
  Pages pages;
  const Child child = Child::forked([] {});
  const LocalMemory memory(child.pid());
  const std::array<std::byte, 4> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  ASSERT_TRUE(memory.write(pages.address(kPage - 2), bytes));
  EXPECT_EQ(memory.read_value<std::uint32_t>(pages.address(kPage - 2)), 0x04030201u);
  const auto failed = memory.write(pages.address(3 * kPage - 2), bytes);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find(fmt::format("{:#x}", pages.address(3 * kPage))),
            std::string::npos)
      << failed.error().message;
}

}  // namespace
}  // namespace heapledger
