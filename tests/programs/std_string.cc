// SPDX-License-Identifier: Apache-2.0
//
// Long strings: held by a global, by a held object, and lost with the object they belong to. Built
// twice: with the old copy-on-write string the program holds start + 24 (Valgrind's stdstring).
#include <string>

#include "truth.h"

namespace {

struct Named {
  long number = 1;
  std::string name;
};
Named* volatile held;
alignas(std::string) volatile char global_space[sizeof(std::string)];

#if _GLIBCXX_USE_CXX11_ABI
constexpr std::size_t kHeader = 0;
#else
constexpr std::size_t kHeader = 24;  // length, capacity, count
#endif

NOINLINE void describe(const std::string& text, const char* what, const char* name) {
  truth(text.data() - kHeader, kHeader + text.capacity() + 1, what, name);
}

NOINLINE void set_up() {
  auto* global = new (const_cast<char*>(global_space)) std::string(100, 'g');
  describe(*global, "reachable", "global_text");

  Named* kept = new Named;
  truth(kept, sizeof(Named), "reachable", "kept");
  kept->name.assign(200, 'k');
  describe(kept->name, "reachable", "kept_text");
  held = kept;

  Named* lost = new Named;
  truth(lost, sizeof(Named), "definitely", "lost");
  lost->name.assign(300, 'l');
  describe(lost->name, "indirectly", "lost_text");
}

}  // namespace
TRUTH_MAIN(set_up)
