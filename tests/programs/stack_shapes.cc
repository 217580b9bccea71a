// SPDX-License-Identifier: Apache-2.0
//
// Allocations from frames of many shapes. sample() allocates and then stops in the same frame, so that
// the debugger's own backtrace there is what the recorded stack must be: recursion, alloca, variable
// arrays, over-aligned frames, many arguments, exceptions in flight, signal handlers, callbacks from
// libc, virtual calls, other threads.
#include <alloca.h>
#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

#include "truth.h"

namespace {

std::size_t next_size = 5000;  // every block has a size of its own

NOINLINE void sample(const char* name) {
  const std::size_t size = next_size++;
  void* block = std::malloc(size);
  truth(block, size, "held", name);
  heapledger_stop_here();
  asm volatile("" ::: "memory");
}

NOINLINE long recursion(int depth) {
  if (depth == 0) {
    sample("recursion");
    return 1;
  }
  return recursion(depth - 1) * 3 + depth;
}

NOINLINE long with_alloca(std::size_t bytes) {
  auto* space = static_cast<volatile char*>(alloca(bytes));
  space[0] = 1;
  sample("alloca");
  return space[0];
}

NOINLINE long with_variable_array(int count) {
  volatile long array[count];
  for (int i = 0; i < count; ++i) array[i] = i;
  sample("variable_array");
  return array[count - 1];
}

NOINLINE long with_wide_alignment(int value) {
  alignas(128) volatile long wide[16] = {value};
  sample("wide_alignment");
  return wide[0];
}

NOINLINE long with_wide_alignment_and_alloca(int value) {
  alignas(64) volatile long wide[8] = {value};
  auto* space = static_cast<volatile char*>(alloca(value * 16));
  space[value] = 1;
  sample("wide_alignment_and_alloca");
  return wide[0] + space[value];
}

NOINLINE long many_arguments(long a, long b, long c, long d, long e, long f, long g, long h, long i,
                             long j) {
  sample("many_arguments");
  return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8 + i * 9 + j * 10;
}

NOINLINE long large_frame(int value) {
  volatile char large[100000];
  large[value] = 7;
  sample("large_frame");
  return large[value];
}

struct InDestructor {
  ~InDestructor() { sample("unwinding"); }
};

NOINLINE void throws(int depth) {
  InDestructor guard;
  if (depth == 0) throw std::runtime_error("thrown");
  throws(depth - 1);
  asm volatile("" ::: "memory");
}

NOINLINE void catches() {
  try {
    throws(3);
  } catch (const std::exception& error) {
    sample("handler_of_exception");
    if (std::strcmp(error.what(), "thrown") != 0) std::abort();
  }
}

int compare_and_sample(const void* a, const void* b) {
  static bool sampled = false;
  if (!sampled) {
    sampled = true;
    sample("callback_of_qsort");
  }
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

NOINLINE void callback() {
  int numbers[] = {5, 3, 8, 1};
  std::qsort(numbers, 4, sizeof(int), compare_and_sample);
  std::function<void(const char*)> call = sample;
  call("std_function");
}

struct Shape {
  virtual ~Shape() = default;
  virtual long area(long scale) = 0;
};
struct Square : Shape {
  long area(long scale) override {
    sample("virtual_call");
    return scale * scale;
  }
};

void on_signal(int) { sample("signal_handler"); }

NOINLINE void interrupted(int depth) {
  volatile long frame[10] = {depth};
  if (depth == 0) {
    raise(SIGUSR1);
  } else {
    interrupted(depth - 1);
  }
  frame[1] = 0;
}

void* in_thread(void* argument) {
  sample("thread");
  recursion(5);
  return argument;
}

// The same place reached again with one frame of the middle changed: what is kept of the previous
// stack must not be too much.
NOINLINE long left(int depth);
NOINLINE long right(int depth);
NOINLINE long left(int depth) {
  if (depth == 0) {
    sample("zigzag");
    return 1;
  }
  return (depth % 3 == 0 ? right(depth - 1) : left(depth - 1)) + 1;
}
NOINLINE long right(int depth) {
  volatile char pad[40];
  pad[0] = 1;
  if (depth == 0) {
    sample("zigzag");
    return 1;
  }
  return (depth % 2 == 0 ? right(depth - 1) : left(depth - 1)) + pad[0];
}

}  // namespace

int main() {
  signal(SIGUSR1, on_signal);
  long sum = 0;
  for (int depth : {0, 1, 2, 40}) sum += recursion(depth);
  for (int bytes : {16, 1000, 20000}) sum += with_alloca(bytes);
  for (int count : {1, 100}) sum += with_variable_array(count);
  sum += with_wide_alignment(3) + with_wide_alignment_and_alloca(9) + large_frame(5);
  sum += many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  catches();
  callback();
  Square square;
  Shape* volatile shape = &square;
  sum += shape->area(4);
  interrupted(4);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, in_thread, nullptr) != 0) return 1;
  pthread_join(thread, nullptr);
  for (int depth : {6, 7, 8, 9, 8, 7}) sum += left(depth) + right(depth);
  return sum == 0;
}
