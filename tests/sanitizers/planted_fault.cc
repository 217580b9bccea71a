// SPDX-License-Identifier: Apache-2.0
//
// planted_fault overflow|freed|signed|leak|race: a program with that fault and no other, which says
// "went on" when nothing has stopped it there.
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace {

volatile int one = 1;  // what the compiler does not know
int raced = 0;
void* volatile held = nullptr;

void read_behind_the_end() {
  int* volatile block = new int[1]{};
  std::printf("%d\n", block[one]);
}

void read_what_was_released() {
  int* volatile block = new int[1]{};
  delete[] block;
  std::printf("%d\n", *block);
}

void add_to_the_largest() {
  volatile int largest = 0x7fffffff;
  std::printf("%d\n", largest + one);
}

void race() {
  const auto add = [] {
    for (int i = 0; i < 1000; ++i) ++raced;
  };
  std::thread other(add);
  add();
  other.join();
}

// Overwritten later: no register or stack slot may keep it.
__attribute__((noinline)) void leak() {
  held = std::malloc(64);
  held = nullptr;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view fault = count == 2 ? arguments[1] : "";
  if (fault == "leak") {  // told at exit
    for (int i = 0; i < 100; ++i) leak();
    return 0;
  }
  if (fault == "overflow") read_behind_the_end();
  if (fault == "freed") read_what_was_released();
  if (fault == "signed") add_to_the_largest();
  if (fault == "race") race();
  std::puts("went on");
  return 0;
}
