// SPDX-License-Identifier: Apache-2.0
#include "report/stack_frames.h"

#include <gtest/gtest.h>

#include "report/frame_format.h"
#include "tests/report/fake_target.h"

namespace heapledger {
namespace {

using testing::FakeTarget;

class FrameResolverTest : public ::testing::Test {
 protected:
  std::vector<std::string> lines(const std::vector<Address>& pcs, FrameResolver::Origin origin = {}) {
    FrameResolver resolver(target, {{0x9000, 0xa000}}, std::move(origin));
    std::vector<CodeAddress> stack;
    for (Address pc : pcs) stack.push_back({pc, 0});
    const std::vector<std::vector<CodeAddress>> stacks{stack};
    resolver.prepare(stacks);
    std::vector<std::string> text;
    for (const SymbolFrame& frame : resolver.frames(stack)) text.push_back(memleak_frame(frame));
    return text;
  }
  FakeTarget target;
};

TEST_F(FrameResolverTest, OffsetIsTheReturnAddressesOwn) {
  target.function(0x1120, "f", 0x20, "app");
  EXPECT_EQ(lines({0x1120}), std::vector<std::string>{"f+0x20 [app]"});
}

TEST_F(FrameResolverTest, WhereASignalArrivedIsLookedUpAsItIs) {
  target.function(0x1120, "before", 0x20, "app");
  target.symbols[0x1120] = {SymbolFrame{.function = "after", .module = "app", .address = 0x1120}};
  FrameResolver resolver(target, {});
  const std::vector<std::vector<CodeAddress>> stacks{{{0x1120, 0, true}}, {{0x1120, 0, false}}};
  resolver.prepare(stacks);
  EXPECT_EQ(memleak_frame(resolver.frames(stacks[0])[0]), "after+0x0 [app]");
  EXPECT_EQ(memleak_frame(resolver.frames(stacks[1])[0]), "before+0x20 [app]");
}

TEST_F(FrameResolverTest, CutsAllocatorFramesAtTheInnerEndOnly) {
  target.function(0x1120, "operator new(unsigned long)", 0x20, "libstdc++.so.6");
  target.function(0x1220, "f", 0x20, "app");
  target.function(0x1320, "malloc", 0x20, "libwrap.so");
  EXPECT_EQ(lines({0x1120, 0x1220, 0x1320}),
            (std::vector<std::string>{"f+0x20 [app]", "malloc+0x20 [libwrap.so]"}));
}

TEST_F(FrameResolverTest, CutsTheAgentsOwnFrames) {
  target.function(0x1220, "f", 0x20, "app");
  EXPECT_EQ(lines({0x9120, 0x1220}), std::vector<std::string>{"f+0x20 [app]"});
}

TEST_F(FrameResolverTest, KeepsClassOperatorsAndStandardAllocators) {
  target.function(0x1120, "Pool::operator new(unsigned long)", 0x20, "app");
  target.function(0x1220, "std::allocator<int>::allocate(unsigned long)", 0x20, "app");
  EXPECT_EQ(lines({0x1120, 0x1220}),
            (std::vector<std::string>{"Pool::operator new(unsigned long)+0x20 [app]",
                                      "std::allocator<int>::allocate(unsigned long)+0x20 [app]"}));
}

TEST_F(FrameResolverTest, NeverCutsTheLastFrame) {
  target.function(0x1120, "malloc", 0x20, "libc.so.6");
  EXPECT_EQ(lines({0x1120}), std::vector<std::string>{"malloc+0x20 [libc.so.6]"});
}

TEST_F(FrameResolverTest, ShowsInlinedFramesBeforeTheirFunction) {
  target.function(0x1120, "outer", 0x20, "app", "/s/a.cc", 7);
  target.symbols[0x111f].insert(
      target.symbols[0x111f].begin(),
      SymbolFrame{.function = "inner", .file = "/s/b.h", .line = 3, .module = "app", .inlined = true});
  EXPECT_EQ(lines({0x1120}), (std::vector<std::string>{"inner [inlined] [app] b.h:3",
                                                       "outer+0x20 [app] a.cc:7"}));
}

TEST_F(FrameResolverTest, CutsAnAllocatorThatWasInlined) {
  target.function(0x1120, "allocate_dtv", 0x20, "ld-linux-x86-64.so.2");
  target.symbols[0x111f].insert(target.symbols[0x111f].begin(),
                                SymbolFrame{.function = "calloc", .inlined = true});
  EXPECT_EQ(lines({0x1120}), std::vector<std::string>{"allocate_dtv+0x20 [ld-linux-x86-64.so.2]"});
}

TEST_F(FrameResolverTest, NamesTheModuleThatWasThere) {
  target.function(0x1120, "other", 0x20, "libnow.so");
  const auto origin = [](CodeAddress) {
    return Tracker::CodeOrigin{"/nowhere/libthen.so", 0x1000, {0x1000, 0x2000}, false};
  };
  EXPECT_EQ(lines({0x1120}, origin), std::vector<std::string>{"0x1120 [libthen.so+0x120]"});
}

TEST_F(FrameResolverTest, NamesFunctionsOfAModuleThatWasThereByWhatWasMapped) {
  target.function(0x1120, "other", 0x20, "libnow.so");
  const auto own = ElfFile::open("/proc/self/exe");
  ASSERT_TRUE(own) << own.error().message;
  const auto main = (*own)->functions("main");
  ASSERT_EQ(main.size(), 1u);
  Tracker::CodeOrigin then{"/proc/self/exe", 0x1120 - main[0].value - 1, {0x1000, 0x2000}, false, *own};
  const auto origin = [&](CodeAddress) { return then; };
  EXPECT_EQ(lines({0x1120}, origin), std::vector<std::string>{"main+0x1 [exe]"});
  then.elf = nullptr;  // by now any file may have that name
  EXPECT_EQ(lines({0x1120}, origin),
            std::vector<std::string>{fmt::format("{:#x} [exe+{:#x}]", 0x1120, main[0].value + 1)});
}

TEST_F(FrameResolverTest, BelievesTheDebuggerOnLoadedModules) {
  target.function(0x1120, "f", 0x20, "app");
  const auto origin = [](CodeAddress) {
    return Tracker::CodeOrigin{"/bin/app", 0x1000, {0x1000, 0x2000}, true};
  };
  EXPECT_EQ(lines({0x1120}, origin), std::vector<std::string>{"f+0x20 [app]"});
}

TEST_F(FrameResolverTest, AsksOnceForEveryAddress) {
  FrameResolver resolver(target, {});
  const std::vector<std::vector<CodeAddress>> stacks{{{0x1120, 0}}, {{0x1120, 0}, {0x1220, 0}}};
  EXPECT_TRUE(resolver.prepare(stacks));
  EXPECT_TRUE(resolver.prepare(stacks));
  EXPECT_EQ(target.symbolize_calls, 1);
}

TEST(AllocatorFunction, KnowsNamesInAllTheirForms) {
  EXPECT_TRUE(is_allocator_function("malloc"));
  EXPECT_TRUE(is_allocator_function("__GI___libc_malloc"));
  EXPECT_TRUE(is_allocator_function("operator new[](unsigned long, std::align_val_t)"));
  EXPECT_FALSE(is_allocator_function("my_malloc"));
  EXPECT_FALSE(is_allocator_function("strdup"));
  EXPECT_FALSE(is_allocator_function(""));
}

}  // namespace
}  // namespace heapledger
