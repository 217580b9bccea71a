// SPDX-License-Identifier: Apache-2.0
//
// Two objects that hold each other by shared_ptr, and nobody else does: one of them is the head.
#include <memory>

#include "truth.h"

namespace {

struct Peer {
  std::shared_ptr<Peer> other;
  char payload[100] = {};
};

NOINLINE void set_up() {
  auto a = std::make_shared<Peer>();
  auto b = std::make_shared<Peer>();
  a->other = b;
  b->other = a;
  // The block begins with the control block: vtable, two counts. Each member points at the other's
  // control block (a start pointer) and at its object (an interior one): the lower address leads.
  constexpr std::size_t kControl = 16;
  const char* first = reinterpret_cast<const char*>(a.get()) - kControl;
  const char* second = reinterpret_cast<const char*>(b.get()) - kControl;
  if (second < first) std::swap(first, second);
  truth(first, kControl + sizeof(Peer), "definitely", "head");
  truth(second, kControl + sizeof(Peer), "indirectly", "member");
}

}  // namespace
TRUTH_MAIN(set_up)
