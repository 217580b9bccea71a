// SPDX-License-Identifier: Apache-2.0
//
// Hooks in a second process: a fork of this one, whose threads allocate in tight loops.
#include "tracking/patcher.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>

#include "tests/tracking/code_page.h"
#include "tests/tracking/entry_points.h"
#include "tests/tracking/traced_process.h"

namespace heapledger {
namespace {

using testing::Bytes;
using testing::CodePage;
using testing::TracedProcess;

constexpr int kWorkers = 3;

// Seen by the test and by the child.
struct Shared {
  std::atomic<std::uint64_t> rounds[kWorkers];
  std::atomic<std::uint64_t> errors;
  std::atomic<std::uint64_t> hook_calls;
  std::atomic<int> in_handler;
  std::atomic<int> leave_handler;
};

Shared* shared = nullptr;

struct Libc {
  std::shared_ptr<const ElfFile> file;
  Address base = 0;
  AddressRange range;
  std::vector<testing::EntryPoint> entries;

  Libc() {
    void* handle = dlopen("libc.so.6", RTLD_NOW);
    link_map* map = nullptr;
    dlinfo(handle, RTLD_DI_LINKMAP, &map);
    base = map->l_addr;
    file = *ElfFile::open(map->l_name);
    entries = testing::entry_points(*file);
    Address end = 0;
    for (const ElfSegment& segment : file->segments()) {
      if (segment.type == PT_LOAD) end = std::max(end, segment.address + segment.memory_size);
    }
    range = {base, base + end};
  }
  const testing::EntryPoint& entry(const std::string& symbol) const {
    for (const auto& entry : entries) {
      if (entry.symbol == symbol) return entry;
    }
    std::abort();
  }
  Address address(const std::string& symbol) const { return base + entry(symbol).value; }
  template <typename Function>
  Function* function(const std::string& symbol) const {
    return reinterpret_cast<Function*>(address(symbol));
  }
};

const Libc& libc() {
  static const Libc instance;
  return instance;
}

// One round of allocations with content that must survive. Called in the child, by address, so that
// a sanitizer's allocator in this process does not come between.
void allocate_and_check(std::uint64_t seed) {
  static const auto real_malloc = libc().function<void*(std::size_t)>("malloc");
  static const auto real_calloc = libc().function<void*(std::size_t, std::size_t)>("calloc");
  static const auto real_realloc = libc().function<void*(void*, std::size_t)>("realloc");
  static const auto real_memalign = libc().function<void*(std::size_t, std::size_t)>("memalign");
  static const auto real_free = libc().function<void(void*)>("free");
  const std::size_t size = 16 + seed % 2000;
  const auto holds = [](const unsigned char* block, std::size_t size, unsigned char value) {
    for (std::size_t i = 0; i < size; ++i) {
      if (block[i] != value) return false;
    }
    return true;
  };
  const auto canary = static_cast<unsigned char>(seed | 1);
  auto* a = static_cast<unsigned char*>(real_malloc(size));
  for (std::size_t i = 0; i < size; ++i) a[i] = canary;
  auto* b = static_cast<unsigned char*>(real_calloc(size, 2));
  bool right = holds(b, 2 * size, 0);
  auto* c = static_cast<unsigned char*>(real_memalign(256, size));
  right = right && reinterpret_cast<std::uintptr_t>(c) % 256 == 0;
  a = static_cast<unsigned char*>(real_realloc(a, 3 * size));
  right = right && holds(a, size, canary);
  real_free(b);
  real_free(a);
  real_free(c);
  if (!right) ++shared->errors;
}

void* work(void* argument) {
  const auto worker = reinterpret_cast<std::uintptr_t>(argument);
  for (;;) allocate_and_check(worker * 1000 + shared->rounds[worker]++);
}

void wait_in_handler(int) {
  shared->in_handler = 1;
  while (!shared->leave_handler) sched_yield();
}

template <int workers>
void run_workers() {
  for (std::uintptr_t i = 0; i < workers; ++i) {
    pthread_t thread;
    pthread_create(&thread, nullptr, work, reinterpret_cast<void*>(i));
  }
  for (;;) pause();
}

void work_with_handler(bool on_its_own_stack) {
  struct sigaction action {};
  action.sa_handler = wait_in_handler;
  static char stack[65536];
  if (on_its_own_stack) {
    const stack_t alternate{stack, 0, sizeof stack};
    sigaltstack(&alternate, nullptr);
    action.sa_flags = SA_ONSTACK;
  }
  sigaction(SIGUSR1, &action, nullptr);
  work(nullptr);
}

void wait_for_ever() {
  for (;;) pause();
}

// Counts and goes on to Site::original; the register is the one of the shape.
Bytes pass_through(agent::Shape shape) {
  using agent::Shape;
  static const std::map<Shape, Bytes> kJumps = {
      {Shape::malloc_like, {0xff, 0x26}},    {Shape::shmdt, {0xff, 0x26}},
      {Shape::calloc_like, {0xff, 0x22}},    {Shape::realloc_like, {0xff, 0x22}},
      {Shape::aligned_like, {0xff, 0x22}},   {Shape::munmap, {0xff, 0x22}},
      {Shape::reallocarray, {0xff, 0x21}},   {Shape::posix_memalign, {0xff, 0x21}},
      {Shape::free_like, {0xff, 0x21}},      {Shape::shmat, {0xff, 0x21}},
      {Shape::mremap, {0x41, 0xff, 0x21}},   {Shape::mmap, {0x41, 0xff, 0x23}},
      {Shape::new_like, {0x41, 0xff, 0x23}}, {Shape::delete_like, {0x41, 0xff, 0x23}}};
  Bytes code = {0x48, 0xb8};  // movabs $counter,%rax ; lock incq (%rax) ; jmp *(%reg)
  const auto counter = reinterpret_cast<Address>(&shared->hook_calls);
  for (int i = 0; i < 8; ++i) code.push_back(std::uint8_t(counter >> 8 * i));
  for (const std::uint8_t byte : {0xf0, 0x48, 0xff, 0x00}) code.push_back(byte);
  const Bytes& jump = kJumps.at(shape);
  code.insert(code.end(), jump.begin(), jump.end());
  return code;
}

class PatcherTest : public ::testing::Test {
 protected:
  PatcherTest() {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared = new (memory) Shared{};
    static_cast<void>(libc());
  }
  ~PatcherTest() override {
    process_.reset();
    munmap(shared, sizeof(Shared));
  }

  void start(const std::function<void()>& body) {
    const AddressRange arena{near_libc_.take(49152), near_libc_.take(0)};
    const AddressRange other{elsewhere_.take(32768), elsewhere_.take(0)};
    process_ = std::make_unique<TracedProcess>(body, std::vector{arena, other});
    patcher_ = std::make_unique<Patcher>(*process_, *process_);
  }

  HookRequest request(const std::string& symbol) {
    const auto& entry = libc().entry(symbol);
    HookRequest result{.symbol = symbol, .module = "libc.so.6", .module_range = libc().range};
    result.function = libc().address(symbol);
    result.original = entry.bytes;
    result.kind = entry.kind;
    result.shape = entry.shape;
    result.hook = hook(entry.shape);
    return result;
  }
  std::vector<HookRequest> requests(std::initializer_list<const char*> symbols) {
    std::vector<HookRequest> result;
    for (const char* symbol : symbols) result.push_back(request(symbol));
    return result;
  }
  // A function of ours, put into the page before the child starts.
  HookRequest synthetic(const Bytes& code) {
    HookRequest result{.symbol = "synthetic", .module = "test", .module_range = {}};
    result.function = near_libc_.put(code);
    result.original = code;
    result.hook = hook(agent::Shape::malloc_like);
    return result;
  }
  Address hook(agent::Shape shape) {
    Address& place = hooks_[shape];
    if (place == 0) place = near_libc_.put(pass_through(shape));
    return place;
  }

  bool wait_until(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
      if (!process_->alive() || std::chrono::steady_clock::now() > deadline) return false;
      sched_yield();
    }
    return true;
  }
  bool all_work_on(int workers, std::uint64_t rounds = 20) {
    std::uint64_t before[kWorkers];
    for (int i = 0; i < workers; ++i) before[i] = shared->rounds[i];
    return wait_until([&] {
      for (int i = 0; i < workers; ++i) {
        if (shared->rounds[i] < before[i] + rounds) return false;
      }
      return true;
    });
  }

  Bytes read(Address address, std::size_t size) {
    Bytes result(size);
    result.resize(
        process_->memory().read_up_to(address, std::as_writable_bytes(std::span(result))));
    return result;
  }
  template <typename T>
  T value(Address address) {
    return *process_->memory().read_value<T>(address);
  }
  bool text_is_the_files() {
    const ElfSection* text = libc().file->section(".text");
    const auto expected = libc().file->contents(*text);
    const auto* first = reinterpret_cast<const std::uint8_t*>(expected.data());
    return read(libc().base + text->address, text->size) == Bytes(first, first + expected.size());
  }
  std::string refusal(const Patcher::Outcome& outcome) {
    return outcome.refused.size() == 1 && outcome.installed.empty() ? outcome.refused[0].reason
                                                                    : "";
  }

  CodePage near_libc_{libc().base};
  CodePage elsewhere_{0x70000000};  // below what AddressSanitizer reserves
  std::map<agent::Shape, Address> hooks_;
  std::unique_ptr<TracedProcess> process_;
  std::unique_ptr<Patcher> patcher_;
};

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
  EXPECT_EQ(Bytes(entry.begin() + 5, entry.end()),
            (Bytes{0x90, 0x90, 0x90, 0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3}));
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

// ---- breakpoints and other patches -------------------------------------------------------------

TEST_F(PatcherTest, KeepsABreakpointAtTheFirstByte) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  process_->set_breakpoint(wanted.function);
  const auto outcome = patcher_->install({wanted});
  ASSERT_EQ(outcome.installed.size(), 1u);
  EXPECT_EQ(read(wanted.function, 1), Bytes{0xcc});
  EXPECT_EQ(wanted.function + 5 + value<std::int32_t>(wanted.function + 1),
            outcome.installed[0]->stub);
  EXPECT_TRUE(patcher_->check(*outcome.installed[0]));
  EXPECT_TRUE(patcher_->with_breakpoints_inside().empty());
  EXPECT_TRUE(patcher_->remove_all());
  Bytes expected(wanted.original.begin(), wanted.original.begin() + 16);
  expected[0] = 0xcc;
  EXPECT_EQ(read(wanted.function, 16), expected);
}

TEST_F(PatcherTest, RefusesABreakpointInsideTheReplacedBytes) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  process_->set_breakpoint(wanted.function + 2);
  EXPECT_EQ(refusal(patcher_->install({wanted})),
            "a breakpoint stands at +2, inside the bytes the jump would replace");
  EXPECT_EQ(process_->writes, 0);
}

TEST_F(PatcherTest, IgnoresABreakpointBehindTheReplacedBytes) {
  const auto wanted = request("malloc");  // 2 + 1 + 1 + 3 bytes are replaced
  start(wait_for_ever);
  process_->stop();
  process_->set_breakpoint(wanted.function + 7);
  EXPECT_EQ(patcher_->install({wanted}).installed.size(), 1u);
}

TEST_F(PatcherTest, FindsABreakpointSetInsideLater) {
  const auto wanted = requests({"malloc", "free"});
  start(wait_for_ever);
  process_->stop();
  const auto outcome = patcher_->install(wanted);
  ASSERT_EQ(outcome.installed.size(), 2u);
  EXPECT_TRUE(patcher_->with_breakpoints_inside().empty());
  process_->set_breakpoint(wanted[0].function + 2);
  ASSERT_EQ(patcher_->with_breakpoints_inside(), std::vector{outcome.installed[0]});
  EXPECT_TRUE(patcher_->remove(*outcome.installed[0]));
  Bytes expected(wanted[0].original.begin(), wanted[0].original.begin() + 16);
  expected[2] = 0xcc;
  EXPECT_EQ(read(wanted[0].function, 16), expected);
  ASSERT_EQ(patcher_->installed().size(), 1u);
  EXPECT_EQ(patcher_->installed()[0]->request.symbol, "free");
}

TEST_F(PatcherTest, RefusesWhatSomethingElsePatched) {
  const auto wanted = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});
  start(wait_for_ever);
  process_->stop();
  const Bytes patch = {0xe9, 0x11, 0x22, 0x33, 0x44};
  process_->poke(wanted.function, std::as_bytes(std::span(patch)));
  EXPECT_EQ(refusal(patcher_->install({wanted})),
            fmt::format(
                "already patched by something else: {:#x} holds e9 11 22 33 44, not 8d 47 01 01 f8",
                wanted.function));
  EXPECT_EQ(process_->writes, 0);
}

TEST_F(PatcherTest, RefusesATrapThatIsNoBreakpointOfThisDebugger) {
  const auto wanted = synthetic({0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});
  start(wait_for_ever);
  process_->stop();
  process_->poke(wanted.function, std::vector{std::byte{0xcc}});
  EXPECT_NE(refusal(patcher_->install({wanted})).find("already patched"), std::string::npos);
}

TEST_F(PatcherTest, LeavesAPatchOverItsOwnAlone) {
  const auto wanted = requests({"malloc", "free"});
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install(wanted).installed.size(), 2u);
  const Bytes patch = {0xe9, 0x11, 0x22, 0x33, 0x44};
  process_->poke(wanted[0].function, std::as_bytes(std::span(patch)));
  EXPECT_FALSE(patcher_->check(*patcher_->installed()[0]));
  const auto removed = patcher_->remove_all();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().message.substr(0, 22), "cannot restore malloc:");
  EXPECT_EQ(read(wanted[0].function, 5), patch);
  ASSERT_EQ(patcher_->installed().size(), 1u);  // malloc; free is restored
  EXPECT_EQ(read(wanted[1].function, 5),
            Bytes(wanted[1].original.begin(), wanted[1].original.begin() + 5));
}

// ---- failures ----------------------------------------------------------------------------------

TEST_F(PatcherTest, ChangesNothingWhenAWriteFails) {
  for (const int failing : {1, 2}) {  // the item; the jump
    const auto wanted = request("malloc");
    start(wait_for_ever);
    process_->stop();
    process_->fail_write(failing);
    EXPECT_EQ(refusal(patcher_->install({wanted})), "write refused");
    EXPECT_TRUE(text_is_the_files());
    EXPECT_TRUE(patcher_->installed().empty());
    EXPECT_EQ(patcher_->install({wanted}).installed.size(), 1u);
  }
}

TEST_F(PatcherTest, ChangesNothingWhenAThreadCannotBeMoved) {
  const auto wanted = request("malloc");
  start(run_workers<1>);
  ASSERT_TRUE(all_work_on(1));
  process_->stop();
  const auto tid = pid_t(process_->thread_positions().back().tid);
  ASSERT_TRUE(process_->step_to(tid, wanted.function + 2));
  process_->fail_set_pc();
  EXPECT_EQ(refusal(patcher_->install({wanted})), "no register can be written");
  EXPECT_TRUE(text_is_the_files());
  process_->run();
  EXPECT_TRUE(all_work_on(1));
}

TEST_F(PatcherTest, ReportsWhatCannotBeRestored) {
  const auto wanted = request("malloc");
  start(wait_for_ever);
  process_->stop();
  ASSERT_EQ(patcher_->install({wanted}).installed.size(), 1u);
  process_->fail_write(1);
  const auto removed = patcher_->remove_all();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().message, "cannot restore malloc: write refused");
  EXPECT_EQ(patcher_->installed().size(), 1u);
  EXPECT_TRUE(patcher_->remove_all());
  EXPECT_TRUE(text_is_the_files());
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
