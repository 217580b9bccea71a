// SPDX-License-Identifier: Apache-2.0
//
// What every hook begins with: is it to record, who calls it, and what the real function is.
#pragma once

#include "agent/header.h"
#include "agent/threads.h"
#include "agent/unwinder.h"

namespace heapledger::agent {

#define HOOK extern "C" __attribute__((visibility("hidden"), used, noinline))
// The caller's state at a hook's entry: hooks keep a frame pointer.
#define CALLER_FRAME() reinterpret_cast<const uint64_t*>(__builtin_frame_address(0))

inline constexpr uint64_t kNearby = 4096;  // of stack, that an allocator uses itself

inline bool active() { return __builtin_expect(load(control()->active) != 0, 1); }

inline void first_call() {  // idempotent
  Control* c = control();
  if (__builtin_expect(load(c->wiped) != 0, 1)) return;
  sys::wipe_on_fork(reinterpret_cast<uint64_t>(c));
  publish(c->wiped, 1u);
}

inline uint32_t now(const State* s) {
  if ((s->flags & kRecordTime) == 0) return 0;
  return uint32_t((timestamp() - s->start_tsc) >> kTimeShift) & 0x3fffffff;
}

inline FrameState caller_of(const uint64_t* frame) {
  return {frame[1], reinterpret_cast<uint64_t>(frame + 2), frame[0]};
}

template <typename F>
F original(const Site* site) { return reinterpret_cast<F>(site->original); }

}  // namespace heapledger::agent
