// SPDX-License-Identifier: Apache-2.0
//
// 32 threads that do to an allocator and to the process what real programs do, all at once: hand
// blocks to each other, fork, vfork and exec, load and unload libraries, throw, longjmp, run
// coroutines on 8 KiB stacks, take signals at any instruction, be cancelled, exit and be joined. Every
// block is compared with what was written to it, every child's status is looked at.
//
//   torture SEED SECONDS ROUNDS
//
// Before the first round, and after each when all threads have ended, it calls heapledger_stop_here();
// after a round it has written down what it still holds of the present era (blocks.h). With 0
// SECONDS a round lasts until a debugger has written its number to `judged_round`, or 3 s when it is
// one with children.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/truth.h"
#include "tests/torture/blocks.h"
#include "tests/torture/coroutine.h"
#include "tests/torture/leaving_frames.h"
#include "tests/torture/worker.h"

volatile std::uint32_t tracking_era = 0;
extern "C" {
volatile std::uint32_t judged_round = 0;
volatile std::uint32_t children_allowed = 1;  // fork, vfork, exec
}

namespace torture {

volatile int& safe_to_allocate() {
  static thread_local volatile int depth = 0;
  return depth;
}

namespace {

constexpr int kThreads = 32;
constexpr std::size_t kKeptBlocks = 20, kModules = 4;

std::atomic<bool> round_over;
std::array<std::atomic<pid_t>, kThreads> thread_ids;
CoroutinePool* coroutines;
const char* program;

// --------------------------------------------------------------------------------------------
// Signals.

std::atomic<std::uint64_t> signals_taken;

// Runs at any instruction, the hooks' own included. Mapping is safe everywhere, malloc only in a
// window.
void on_signal(int) {
  const int saved = errno;
  const std::uint64_t number = signals_taken++;
  const std::size_t bytes = 4096 * (1 + number % 3);
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(pages != MAP_FAILED, "mmap failed in a signal handler");
  static_cast<char*>(pages)[bytes - 1] = 1;
  if (safe_to_allocate() > 0) {
    Random random(number);
    release(allocate_below(int(number % 5), random));
  }
  must(::munmap(pages, bytes) == 0, "munmap failed in a signal handler");
  errno = saved;
}

void install_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  must(::sigaction(SIGUSR1, &action, nullptr) == 0, "sigaction failed");
  action.sa_flags |= SA_ONSTACK;
  must(::sigaction(SIGUSR2, &action, nullptr) == 0, "sigaction failed");
}

void signal_another(Worker& w) {
  const pid_t tid = thread_ids[w.random() % kThreads];
  if (tid != 0) ::syscall(SYS_tgkill, ::getpid(), tid, w.random() % 2 == 0 ? SIGUSR1 : SIGUSR2);
}

class AlternateStack {
 public:
  AlternateStack() : memory_(new char[kSize]) {
    const stack_t stack{.ss_sp = memory_.get(), .ss_flags = 0, .ss_size = kSize};
    must(::sigaltstack(&stack, nullptr) == 0, "sigaltstack failed");
  }
  ~AlternateStack() {
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    must(::sigaltstack(&none, nullptr) == 0, "sigaltstack failed");
  }

 private:
  static constexpr std::size_t kSize = 32768;
  std::unique_ptr<char[]> memory_;
};

// --------------------------------------------------------------------------------------------
// Other processes. One at a time: LLDB 19 by itself, without any plugin, hangs on a program in which
// two threads fork or vfork at the same moment.

std::mutex one_child;

void wait_for(pid_t child, const char* what) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) must(errno == EINTR, "waitpid failed");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::fprintf(stderr, "a child's status is %#x\n", unsigned(status));
  wrong(what);
}

void fork_one(Worker& w) {
  const std::lock_guard alone(one_child);
  const pid_t child = ::fork();
  must(child >= 0, "fork failed");
  if (child > 0) return wait_for(child, "a forked child did not end well");
  for (const Block& b : w.blocks) verify(b);
  for (int i = 0; i < 20; ++i) release(allocate_below(i, w.random));
  while (!w.blocks.empty()) release(take_any(w));
  ::_exit(0);
}

void vfork_and_exec(Worker&) {
  const std::lock_guard alone(one_child);
  const char* const arguments[] = {program, "child", nullptr};
  const pid_t child = ::vfork();
  must(child >= 0, "vfork failed");
  if (child == 0) {
    ::execv(program, const_cast<char* const*>(arguments));
    ::_exit(111);
  }
  wait_for(child, "an executed child did not end well");
}

void spawn_one(Worker&) {
  const std::lock_guard alone(one_child);
  char first[] = "torture", second[] = "child";
  char* const arguments[] = {first, second, nullptr};
  pid_t child = 0;
  must(::posix_spawn(&child, program, nullptr, nullptr, arguments, environ) == 0,
       "posix_spawn failed");
  wait_for(child, "a spawned child did not end well");
}

// --------------------------------------------------------------------------------------------
// Libraries.

void load_and_unload(Worker& w) {
  const std::string path =
      std::string(MODULE_FOLDER) + "/torture_module" + std::to_string(w.random() % kModules) + ".so";
  void* library = ::dlopen(path.c_str(), w.random() % 2 == 0 ? RTLD_NOW : RTLD_LAZY);
  must(library != nullptr, "dlopen failed");
  auto holds = reinterpret_cast<bool (*)()>(::dlsym(library, "module_holds"));
  auto allocates = reinterpret_cast<void* (*)(std::size_t)>(::dlsym(library, "module_allocates"));
  must(holds != nullptr && allocates != nullptr && holds(), "a library is not what it was");
  // Its thread-local variable keeps the library until this thread ends: only now and then.
  void* block = w.random() % 8 == 0 ? allocates(w.random() % 500) : nullptr;
  must(holds(), "a library does not hold what was written to it");
  must(::dlclose(library) == 0, "dlclose failed");
  std::free(block);
}

// --------------------------------------------------------------------------------------------
// Threads.

pthread_key_t key;

struct Destroyed {  // allocates and frees while its thread is being torn down
  Block block;
  ~Destroyed() {
    if (block.at == nullptr) return;
    Random random(block.pattern);
    release(allocate(random));
    release(block);
  }
};
thread_local Destroyed at_thread_end;

void short_work(std::uint64_t seed) {
  Random random(seed);
  at_thread_end.block = allocate(random);
  ::pthread_setspecific(key, new Block(allocate(random)));
  for (int i = 0; i < 10; ++i) release(allocate_below(i, random));
}
void* returns(void* seed) {
  short_work(reinterpret_cast<std::uintptr_t>(seed));
  return seed;
}
void* exits(void* seed) {
  short_work(reinterpret_cast<std::uintptr_t>(seed));
  Random random(reinterpret_cast<std::uintptr_t>(seed));
  const OwnsBlock released_by_unwinding(random);
  ::pthread_exit(seed);
}
void* is_cancelled(void* seed) {
  Random random(reinterpret_cast<std::uintptr_t>(seed));
  const OwnsBlock released_by_unwinding(random);
  short_work(reinterpret_cast<std::uintptr_t>(seed));
  for (;;) ::pause();
}

void run_thread(Worker& w) {
  void* const seed = reinterpret_cast<void*>(1 + (w.random() >> 1));
  const auto how = w.random() % 3;
  pthread_t thread;
  must(::pthread_create(&thread, nullptr, how == 0 ? returns : how == 1 ? exits : is_cancelled,
                        seed) == 0, "pthread_create failed");
  if (how == 2) must(::pthread_cancel(thread) == 0, "pthread_cancel failed");
  void* result = nullptr;
  must(::pthread_join(thread, &result) == 0, "pthread_join failed");
  must(result == (how == 2 ? PTHREAD_CANCELED : seed), "a thread returned another's result");
}

// --------------------------------------------------------------------------------------------
// Mappings.

void map_some(Worker& w) {
  const std::size_t pages = 4 + w.random() % 12;
  auto* at = static_cast<char*>(::mmap(nullptr, pages * 4096, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  must(at != MAP_FAILED, "mmap failed");
  std::memset(at, 7, pages * 4096);
  must(::munmap(at + 4096, 4096) == 0, "munmap failed");
  void* moved = ::mremap(at + 2 * 4096, (pages - 2) * 4096, (pages + 3) * 4096, MREMAP_MAYMOVE);
  must(moved != MAP_FAILED && static_cast<char*>(moved)[0] == 7, "mremap failed");
  must(::munmap(moved, (pages + 3) * 4096) == 0 && ::munmap(at, 4096) == 0, "munmap failed");
}

// --------------------------------------------------------------------------------------------

void step(Worker& w) {
  const unsigned long rare = w.random() % 100000;
  if (rare < 4 && children_allowed != 0) {
    return rare < 2 ? fork_one(w) : rare < 3 ? vfork_and_exec(w) : spawn_one(w);
  }
  if (rare < 9) return load_and_unload(w);
  if (rare < 30) return run_thread(w);
  if (rare < 130) return signal_another(w);
  if (rare < 230) return throw_through_frames(w);
  if (rare < 240) return impossible_new(w);
  if (rare < 440) return jump_out(w);
  if (rare < 540) return map_some(w);
  if (rare < 3000) return coroutines->resume_one(w.random);
  const auto action = w.random() % 100;
  if (w.blocks.empty() || (action < 45 && w.blocks.size() < kMostBlocks)) {
    return w.blocks.push_back(allocate_below(int(w.random() % 20), w.random));
  }
  if (action < 60) return resize(w.blocks[w.random() % w.blocks.size()], w.random);
  if (action < 80) return hand_over(w);
  release(take_any(w));
}

void work(Worker& w, int number) {
  const AlternateStack stack;
  thread_ids[number] = pid_t(::syscall(SYS_gettid));
  while (!round_over) step(w);
  thread_ids[number] = 0;
  while (w.blocks.size() > kKeptBlocks) release(take_any(w));
}

void write_down(const Block& b) {
  if (b.era != 0 && b.era == tracking_era) truth(b.at, b.size, "held", b.kind);
}

void wait_for_end(std::uint32_t round, double seconds) {
  using namespace std::chrono;
  if (seconds == 0 && children_allowed != 0) seconds = 3;
  if (seconds > 0) return std::this_thread::sleep_for(duration<double>(seconds));
  while (judged_round != round) std::this_thread::sleep_for(milliseconds(10));
}

void play_round(std::uint64_t seed, std::uint32_t round, double seconds,
                std::vector<std::vector<Block>>& kept) {
  round_over = false;
  std::vector<Worker> workers;
  for (auto& blocks : kept) workers.emplace_back(seed++, std::move(blocks));
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&, i] { work(workers[i], i); });
  wait_for_end(round, seconds);
  round_over = true;
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = std::move(workers[i].blocks);
}

int as_child() {
  Random random(1);
  for (int i = 0; i < 50; ++i) release(allocate_below(i % 20, random));
  return 0;
}

int run(char** argv) {
  const auto seed = std::strtoull(argv[1], nullptr, 10);
  const double seconds = std::strtod(argv[2], nullptr);
  const auto rounds = std::uint32_t(std::atoi(argv[3]));
  must(::pthread_key_create(&key, [](void* value) {
         release(*static_cast<Block*>(value));
         delete static_cast<Block*>(value);
       }) == 0, "no key");
  install_handlers();
  coroutines = new CoroutinePool(seed);
  std::vector<std::vector<Block>> kept(kThreads);
  heapledger_stop_here();
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    play_round(seed * 100000 + round * 1000, round, seconds, kept);
    truth(nullptr, round, "round", "-");
    for (const auto& blocks : kept) std::for_each(blocks.begin(), blocks.end(), write_down);
    for (auto& place : exchange) if (const Block* b = place.load()) write_down(*b);
    coroutines->for_each_held(write_down);
    heapledger_stop_here();
  }
  std::printf("all as it was written, %llu signals\n", (unsigned long long)signals_taken.load());
  return 0;
}

}  // namespace
}  // namespace torture

int main(int argc, char** argv) {
  torture::program = "/proc/self/exe";
  if (argc == 2 && std::string(argv[1]) == "child") return torture::as_child();
  return argc == 4 ? torture::run(argv) : 2;
}
