// SPDX-License-Identifier: Apache-2.0
//
// Blocks that know what they hold: each is filled with a pattern of its own and compared before it is
// grown, given away or freed, so that a block handed out twice, moved wrongly or written by anyone else
// ends the program at once.
//
// A block also knows the era of tracking it was made in. The debugger writes `tracking_era` while the
// process is stopped: a number from 1 up after each `leaks start`, 0 after `leaks stop`. A block whose
// call began and ended in the present era must be in the ledger.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>

extern "C" volatile std::uint32_t tracking_era;

namespace torture {

using Random = std::mt19937_64;

[[noreturn]] inline void wrong(const char* what) {
  std::fprintf(stderr, "wrong: %s (errno %d)\n", what, errno);
  std::abort();
}
inline void must(bool holds, const char* what) {
  if (!holds) wrong(what);
}

// Signal handlers allocate only while this is set: elsewhere they may have interrupted malloc itself.
// Never inlined: a coroutine goes on in another thread, whose variable is another one.
__attribute__((noinline)) volatile int& safe_to_allocate();

class SafeWindow {
 public:
  SafeWindow() { safe_to_allocate() = safe_to_allocate() + 1; }
  ~SafeWindow() { safe_to_allocate() = safe_to_allocate() - 1; }
};

struct Block {
  void* at = nullptr;
  std::size_t size = 0;
  const char* kind = nullptr;  // the entry point's name in a report
  std::uint64_t pattern = 0;
  std::uint32_t era = 0;  // 0: began and ended in different eras, or untracked
};

inline std::uint8_t pattern_byte(const Block& b, std::size_t i) {
  return static_cast<std::uint8_t>((b.pattern >> (i % 8 * 8)) + i);
}
// All of a small block, both ends of a large one.
inline bool looked_at(const Block& b, std::size_t i) { return i < 256 || i + 256 >= b.size; }

__attribute__((noinline)) inline void fill(const Block& b) {
  const SafeWindow window;
  auto* bytes = static_cast<std::uint8_t*>(b.at);
  for (std::size_t i = 0; i < b.size; i = looked_at(b, i + 1) ? i + 1 : b.size - 256) {
    bytes[i] = pattern_byte(b, i);
  }
}
__attribute__((noinline)) inline void verify(const Block& b, std::size_t upto) {
  const SafeWindow window;
  const auto* bytes = static_cast<const std::uint8_t*>(b.at);
  for (std::size_t i = 0; i < upto; i = looked_at(b, i + 1) ? i + 1 : b.size - 256) {
    must(bytes[i] == pattern_byte(b, i), "a block does not hold what was written to it");
  }
}
inline void verify(const Block& b) { verify(b, b.size); }

inline std::size_t random_size(Random& random) {
  switch (random() % 64) {
    case 0: return 0;
    case 1: return 1 + random() % 300000;  // also above the threshold of mmap
    case 2: case 3: return 1 + random() % 20000;
    default: return 1 + random() % 600;
  }
}

inline Block allocate_some_way(Random& random, std::size_t size) {
  void* out = nullptr;
  switch (random() % 10) {
    case 0: return {std::calloc(1, size), size, "calloc"};
    case 1: return {::operator new(size), size, "operator new"};
    case 2: return {::operator new[](size), size, "operator new[]"};
    case 3:
      must(::posix_memalign(&out, 16u << random() % 9, size) == 0, "posix_memalign failed");
      return {out, size, "posix_memalign"};
    case 4: return {::operator new(size, std::nothrow), size, "operator new"};
    default: return {std::malloc(size), size, "malloc"};
  }
}

__attribute__((noinline)) inline Block allocate(Random& random) {
  const std::size_t size = random_size(random);
  const std::uint32_t before = tracking_era;
  Block b = allocate_some_way(random, size);
  b.era = tracking_era == before ? before : 0;
  must(b.at != nullptr, "an allocation failed");
  must(reinterpret_cast<std::uintptr_t>(b.at) % 16 == 0, "a block is not aligned");
  b.pattern = random();
  fill(b);
  return b;
}

inline void release(const Block& b) {
  verify(b);
  if (std::strcmp(b.kind, "operator new") == 0) {
    ::operator delete(b.at);
  } else if (std::strcmp(b.kind, "operator new[]") == 0) {
    ::operator delete[](b.at);
  } else {
    errno = EDOM;
    std::free(b.at);
    must(errno == EDOM, "free changed errno");
  }
}

inline void resize(Block& b, Random& random) {
  if (b.kind[0] == 'o') return;  // operator new's blocks are not for realloc
  verify(b);
  if (random() % 64 == 0) {
    errno = 0;
    void* volatile none = std::realloc(b.at, ~std::size_t{0} / 4);
    must(none == nullptr && errno == ENOMEM, "an impossible realloc did not fail with ENOMEM");
    return verify(b);
  }
  const std::size_t size = 1 + random_size(random);
  const std::uint32_t before = tracking_era;
  void* moved = random() % 8 == 0 ? ::reallocarray(b.at, 1, size) : std::realloc(b.at, size);
  must(moved != nullptr, "realloc failed");
  const Block old = b;
  b = {moved, size, "realloc|reallocarray", old.pattern,
       tracking_era == before ? before : 0};
  // What was written stays; bytes in the middle of a large block were never written.
  const std::size_t kept = std::min({old.size, size, std::size_t{256}});
  Block head = b;
  head.size = kept;
  verify(head);
  b.pattern = random();
  fill(b);
}

}  // namespace torture
