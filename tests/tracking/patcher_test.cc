// SPDX-License-Identifier: Apache-2.0
//
// Hooks in a second process: a fork of this one, whose threads allocate in tight loops.
#include "tracking/patcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>

#include "tests/tracking/patcher_fixture.h"

namespace heapledger {
namespace {

// ---- under load --------------------------------------------------------------------------------

TEST_F(PatcherTest, PatchesAndUnpatchesUnderLoad) {
  const auto wanted = requests({"malloc", "calloc", "realloc", "memalign", "free"});
  start(run_workers<kWorkers>);
  ASSERT_TRUE(all_work_on(kWorkers));
  for (int cycle = 0; cycle < 50; ++cycle) {
    process_->stop();
    const auto outcome = patcher_->install(wanted);
    ASSERT_EQ(outcome.installed.size(), 5u);
    ASSERT_FALSE(text_is_the_files());
    const std::uint64_t calls = shared->hook_calls;
    process_->run();
    ASSERT_TRUE(all_work_on(kWorkers)) << "hooked, cycle " << cycle;
    process_->stop();
    ASSERT_GT(shared->hook_calls, calls + 20 * kWorkers * 5);
    const auto removed = patcher_->remove_all();
    ASSERT_TRUE(removed) << removed.error().message;
    ASSERT_TRUE(text_is_the_files());
    process_->run();
    ASSERT_TRUE(all_work_on(kWorkers)) << "unhooked, cycle " << cycle;
  }
  EXPECT_EQ(shared->errors, 0u);
  EXPECT_EQ(process_->allocations, 1);  // the items serve again
}

TEST_F(PatcherTest, HooksEveryEntryOfLibc) {
  std::vector<HookRequest> wanted;
  for (const auto& entry : libc().entries) wanted.push_back(request(entry.symbol));
  start(run_workers<kWorkers>);
  ASSERT_TRUE(all_work_on(kWorkers));
  process_->stop();
  const auto outcome = patcher_->install(wanted);
  for (const auto& refused : outcome.refused)
    ADD_FAILURE() << refused.request.symbol << ": " << refused.reason;
  process_->run();
  ASSERT_TRUE(all_work_on(kWorkers, 1000));
  process_->stop();
  EXPECT_TRUE(patcher_->remove_all());
  EXPECT_TRUE(text_is_the_files());
  EXPECT_EQ(shared->errors, 0u);
}

// ---- threads inside the displaced bytes --------------------------------------------------------

TEST_F(PatcherTest, MovesAThreadFromEveryBoundary) {
  const auto wanted = requests({"malloc", "calloc", "realloc", "memalign", "free"});
  start(run_workers<1>);
  ASSERT_TRUE(all_work_on(1));
  int moved = 0;
  for (const HookRequest& request : wanted) {
    const auto relocation = relocate_entry(request.original, request.function, request.function);
    for (const auto& boundary : relocation->boundaries) {
      process_->stop();
      const auto tid = process_->thread_positions().back().tid;
      const Address pc = request.function + boundary.from;
      ASSERT_TRUE(process_->step_to(pid_t(tid), pc)) << request.symbol << "+" << boundary.from;
      process_->moves = 0;
      const auto outcome = patcher_->install(wanted);
      ASSERT_EQ(outcome.installed.size(), 5u);
      const bool is_first = boundary.from == relocation->skipped;
      EXPECT_EQ(process_->moves, is_first ? 0 : 1);
      moved += process_->moves;
      const Address now = process_->registers(tid).rip;
      EXPECT_EQ(is_first, now == pc);
      process_->run();
      ASSERT_TRUE(all_work_on(1)) << request.symbol << "+" << boundary.from;
      process_->stop();
      ASSERT_TRUE(patcher_->remove_all());
      process_->run();
    }
  }
  EXPECT_EQ(shared->errors, 0u);
  EXPECT_GE(moved, 5);
}

class InterruptedPatcherTest : public PatcherTest, public ::testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(HandlerOnItsOwnStack, InterruptedPatcherTest, ::testing::Bool());

TEST_P(InterruptedPatcherTest, MovesCodeThatASignalHandlerInterrupted) {
  const HookRequest wanted = request("malloc");
  start([] { work_with_handler(GetParam()); });
  ASSERT_TRUE(all_work_on(1));
  process_->stop();
  const auto tid = pid_t(process_->pid());
  ASSERT_TRUE(process_->step_to(tid, wanted.function + 2));  // behind push %r12
  process_->deliver(tid, SIGUSR1);
  process_->run();
  ASSERT_TRUE(wait_until([] { return shared->in_handler == 1; }));
  process_->stop();
  ASSERT_EQ(patcher_->install({wanted}).installed.size(), 1u);
  EXPECT_EQ(process_->moves, 0);
  shared->leave_handler = 1;
  process_->run();
  EXPECT_TRUE(all_work_on(1));
  EXPECT_EQ(shared->errors, 0u);
}

TEST_F(PatcherTest, RefusesWhileAThreadStandsInsideAnInstruction) {
  const HookRequest wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  const auto tid = process_->pid();
  const Address pc = process_->registers(tid).rip;
  ASSERT_TRUE(process_->set_pc(tid, wanted.function + 1));
  EXPECT_EQ(refusal(patcher_->install({wanted})),
            "a thread stands at +1, inside an instruction that would be moved");
  ASSERT_TRUE(process_->set_pc(tid, pc));
  EXPECT_EQ(patcher_->install({wanted}).installed.size(), 1u);
}

// ---- what is written ---------------------------------------------------------------------------

TEST_F(PatcherTest, LaysOutHookStubSiteAndJump) {
  // push %rbx ; mov %rdi,%rbx ; sub $16,%rsp ; ...
  const HookRequest wanted = synthetic(
      {0x53, 0x48, 0x89, 0xfb, 0x48, 0x83, 0xec, 0x10, 0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3});
  start(wait_for_ever);
  process_->stop();
  const auto outcome = patcher_->install({wanted});
  ASSERT_EQ(outcome.installed.size(), 1u);
  const InstalledHook& hook = *outcome.installed[0];
  EXPECT_EQ(hook.patched, wanted.function);
  EXPECT_EQ(hook.displaced, (Bytes{0x53, 0x48, 0x89, 0xfb, 0x48, 0x83, 0xec, 0x10}));
  EXPECT_EQ(hook.trampoline_size, 13u);
  EXPECT_EQ(hook.stub % 16, 0u);
  ASSERT_EQ(patcher_->islands().size(), 1u);
  EXPECT_TRUE(patcher_->islands()[0].contains(hook.stub));

  const Bytes entry = read(wanted.function, 14);
  EXPECT_EQ(entry[0], 0xe9);
  EXPECT_EQ(wanted.function + 5 + value<std::int32_t>(wanted.function + 1), hook.stub);
  // The rest of the last displaced instruction stays: what is written is written at once.
  EXPECT_EQ(Bytes(entry.begin() + 5, entry.end()),
            (Bytes{0x83, 0xec, 0x10, 0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3}));
  const auto site = value<agent::Site>(hook.site);
  EXPECT_EQ(site.original, hook.trampoline);
  EXPECT_EQ(site.function, wanted.function);
  EXPECT_EQ(site.kind, std::uint32_t(wanted.kind));
  EXPECT_EQ(site.index, hook.index);
  EXPECT_EQ(value<Address>(hook.stub + 16), wanted.hook);
  EXPECT_TRUE(patcher_->check(hook));
}

TEST_F(PatcherTest, PatchesAnEntryThatCrossesAPage) {
  const Bytes code = {0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3};
  for (const std::size_t on_first_page : {1, 2, 3, 4, 5}) {
    HookRequest wanted = synthetic(code);
    const Address page = (near_libc_.take(8192) + 4095) & ~Address{4095};
    wanted.function = page + 4096 - on_first_page;
    CodePage::write(wanted.function, code);
    start(wait_for_ever);
    process_->stop();
    const auto outcome = patcher_->install({wanted});
    ASSERT_EQ(outcome.installed.size(), 1u);
    EXPECT_EQ(wanted.function + 5 + value<std::int32_t>(wanted.function + 1),
              outcome.installed[0]->stub);
    EXPECT_TRUE(patcher_->remove_all());
    EXPECT_EQ(read(wanted.function, 6), code);
  }
}

TEST_F(PatcherTest, PatchesAliasesOnce) {
  const auto wanted = requests({"memalign", "aligned_alloc", "malloc"});
  start(wait_for_ever);
  process_->stop();
  const auto outcome = patcher_->install(wanted);
  ASSERT_EQ(outcome.installed.size(), 3u);
  EXPECT_EQ(outcome.installed[0], outcome.installed[1]);
  EXPECT_NE(outcome.installed[0], outcome.installed[2]);
  EXPECT_EQ(outcome.installed[0]->request.symbol, "memalign");
  EXPECT_EQ(patcher_->installed().size(), 2u);
  const auto again = patcher_->install(requests({"aligned_alloc"}));
  ASSERT_EQ(again.installed.size(), 1u);
  EXPECT_EQ(again.installed[0], outcome.installed[0]);
}

TEST_F(PatcherTest, SharesAnIslandWhereItReachesAndOpensOneWhereNot) {
  HookRequest far = request("calloc");
  far.function = elsewhere_.put(far.original);
  far.module_range = {far.function, far.function + far.original.size()};
  // calloc refers to libc's data: something without such references is needed there.
  const Bytes simple = {0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3};
  CodePage::write(far.function, simple);
  far.original = simple;
  auto wanted = requests({"malloc", "free"});
  wanted.push_back(synthetic(simple));
  wanted.push_back(far);
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install(wanted).installed.size(), 4u);
  EXPECT_EQ(process_->allocations, 2);
  EXPECT_EQ(process_->writes, 2 + 4);  // one for all items of an island, one a jump
}

TEST_F(PatcherTest, RefusesWhatRelocationRefuses) {
  const auto wanted = synthetic({0xe8, 0, 1, 0, 0, 0xc3});
  start(wait_for_ever);
  process_->stop();
  EXPECT_EQ(refusal(patcher_->install({wanted})), "call at +0 cannot be moved");
  EXPECT_EQ(process_->writes, 0);
  EXPECT_EQ(process_->allocations, 0);
}

TEST_F(PatcherTest, RefusesAFunctionThatBeginsInsideAnother) {
  const auto first = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0x01, 0xf8, 0x01, 0xf8, 0xc3});
  auto second = first;
  second.symbol = "inner";
  second.function += 3;
  second.original.erase(second.original.begin(), second.original.begin() + 3);
  start(wait_for_ever);
  process_->stop();
  const auto outcome = patcher_->install({first, second});
  ASSERT_EQ(outcome.refused.size(), 1u);
  EXPECT_EQ(outcome.refused[0].reason, "its first bytes overlap those of synthetic");
  EXPECT_EQ(refusal(patcher_->install({second})), "its first bytes overlap those of synthetic");
}

TEST_F(PatcherTest, RefusesSharedText) {
  const Bytes code = {0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3};
  HookRequest wanted = synthetic(code);
  void* page =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  wanted.function = reinterpret_cast<Address>(page);
  CodePage::write(wanted.function, code);
  start(wait_for_ever);
  process_->stop();
  EXPECT_EQ(refusal(patcher_->install({wanted})),
            "its code is shared memory: other processes would run into the hook");
  munmap(page, 4096);
}

TEST_F(PatcherTest, RefusesAnUnmappedFunction) {
  HookRequest wanted = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});
  wanted.function = 0x1000;
  start(wait_for_ever);
  process_->stop();
  EXPECT_NE(refusal(patcher_->install({wanted})).find("0x1000"), std::string::npos);
}

// ---- forgetting --------------------------------------------------------------------------------

TEST_F(PatcherTest, ForgetsAModuleThatIsGone) {
  const auto other = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install({other, wanted}).installed.size(), 2u);
  process_->writes = 0;
  EXPECT_TRUE(patcher_->remove_all({{other.function, other.function + 6}}));
  EXPECT_EQ(process_->writes, 1);
  EXPECT_EQ(read(other.function, 1), Bytes{0xe9});
  EXPECT_TRUE(text_is_the_files());
  EXPECT_TRUE(patcher_->installed().empty());
}

TEST_F(PatcherTest, ForgetsAProcessThatIsGone) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install({wanted}).installed.size(), 1u);
  process_->writes = 0;
  patcher_->forget_all();
  EXPECT_EQ(process_->writes, 0);
  EXPECT_TRUE(patcher_->installed().empty());
  EXPECT_TRUE(patcher_->islands().empty());
  EXPECT_TRUE(patcher_->remove_all());
}

}  // namespace
}  // namespace heapledger
