// SPDX-License-Identifier: Apache-2.0
#include "analysis/verdict.h"

namespace heapledger {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::still_reachable: return "still reachable";
    case Verdict::possibly_lost: return "possibly lost";
    case Verdict::indirectly_lost: return "indirectly lost";
    case Verdict::definitely_lost: return "definitely lost";
    case Verdict::suppressed: return "suppressed";
  }
  return "unknown";
}

std::string_view root_kind_name(RootKind kind) {
  switch (kind) {
    case RootKind::global: return "global";
    case RootKind::tls: return "thread-local storage";
    case RootKind::stack: return "stack";
    case RootKind::registers: return "register";
    case RootKind::mapping: return "mapping";
  }
  return "unknown";
}

std::string_view heuristic_name(Heuristic heuristic) {
  switch (heuristic) {
    case Heuristic::none: return "none";
    case Heuristic::stdstring: return "stdstring";
    case Heuristic::length64: return "length64";
    case Heuristic::newarray: return "newarray";
    case Heuristic::multiple_inheritance: return "multipleinheritance";
    case Heuristic::runtime: return "runtime";
  }
  return "unknown";
}

}  // namespace heapledger
