// SPDX-License-Identifier: Apache-2.0
//
// The words of a scan: what is said of a block, what kind of root reaches it, which heuristic made an
// interior pointer count. Verdicts are Valgrind's leak kinds, with its meaning (manual 4.2.8).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace heapledger {

enum class Verdict : std::uint8_t {
  still_reachable,   // a chain of start pointers leads from a root to it
  possibly_lost,     // reachable, but every chain has an interior pointer
  indirectly_lost,   // unreachable; another block of its lost group points to it
  definitely_lost,   // unreachable, and the head of its lost group
  suppressed,        // lost, and covered by a suppression
};
inline constexpr std::size_t kVerdictCount = 5;
std::string_view verdict_name(Verdict verdict);  // "still reachable" ...

// Strongest first: where two chains are equally short, the one from the stronger root is kept.
enum class RootKind : std::uint8_t {
  global,     // module data
  tls,        // thread-local storage and the thread's control block (pthread keys)
  stack,
  registers,
  mapping,    // other memory the program mapped
};
inline constexpr std::size_t kRootKindCount = 5;
std::string_view root_kind_name(RootKind kind);  // "global", "thread-local storage", "stack" ...

// Why an interior pointer was taken for a start pointer. The first four are Valgrind's
// (--leak-check-heuristics); runtime covers the C library's own blocks that it keeps by an interior
// pointer only: a thread's dtv and _dl_find_object's tables.
enum class Heuristic : std::uint8_t {
  none,
  stdstring,             // at +24: length <= capacity, 24 + capacity + 1 == size (old COW string)
  length64,              // at +8: the first word is size - 8
  newarray,              // at +8: the first word, the count, divides size - 8
  multiple_inheritance,  // both the place pointed to and the start hold vtable pointers
  runtime,
};
inline constexpr std::size_t kHeuristicCount = 6;
std::string_view heuristic_name(Heuristic heuristic);  // "stdstring" ...

struct Total {
  std::uint64_t bytes = 0;   // requested bytes
  std::uint64_t blocks = 0;
  friend bool operator==(const Total&, const Total&) = default;
};

struct Summary {
  std::array<Total, kVerdictCount> totals{};          // by Verdict
  std::array<Total, kHeuristicCount> by_heuristic{};  // of the still reachable: no true start
                                                      // pointer leads to them
  const Total& operator[](Verdict v) const { return totals[static_cast<std::size_t>(v)]; }
  Total& operator[](Verdict v) { return totals[static_cast<std::size_t>(v)]; }
  friend bool operator==(const Summary&, const Summary&) = default;
};

}  // namespace heapledger
