// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target over kept inputs, for builds without libFuzzer:
//
//   NOUN_fuzz FOLDER|FILE...      arguments that begin with - are libFuzzer's, and passed over
//
// An input fails that crashes, that takes more than kSeconds of processor time, or that needs more
// address space than kAddressSpace (sanitizers reserve much of it for themselves: not limited there).
// The failing file is named. No input at all fails, too.
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/input.h"

namespace {

constexpr int kSeconds = 20;
constexpr rlim_t kAddressSpace = rlim_t{3} << 30;  // bytes

#ifdef SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

char g_present[4096];  // the input at hand, for the signal handler

void name_input(int signal) {
  const auto say = [](const char* text) { (void)!write(STDERR_FILENO, text, std::strlen(text)); };
  say(signal == SIGPROF ? "too slow: " : "crash: ");
  say(g_present);
  say("\n");
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void limit_time(int seconds) {
  const itimerval timer{{0, 0}, {seconds, 0}};
  setitimer(ITIMER_PROF, &timer, nullptr);
}

void replay(const std::filesystem::path& path) {
  std::snprintf(g_present, sizeof g_present, "%s", path.c_str());
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  limit_time(kSeconds);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  limit_time(0);
}

std::vector<std::filesystem::path> inputs_of(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(path)) found.push_back(entry.path());
  return found;
}

}  // namespace

int main(int count, char** arguments) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGPROF}) {
    if (!kSanitized || signal == SIGPROF) ::signal(signal, name_input);
  }
  if (!kSanitized) {
    const rlimit limit{kAddressSpace, kAddressSpace};
    setrlimit(RLIMIT_AS, &limit);
  }
  std::size_t replayed = 0;
  for (int i = 1; i < count; ++i) {
    if (arguments[i][0] == '-') continue;
    for (const auto& path : inputs_of(arguments[i])) {
      replay(path);
      ++replayed;
    }
  }
  std::printf("%zu inputs\n", replayed);
  return replayed == 0 ? 1 : 0;
}
