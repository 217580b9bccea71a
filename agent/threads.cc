// SPDX-License-Identifier: Apache-2.0
#include "agent/threads.h"

namespace heapledger::agent {
namespace {

constexpr uint32_t kNoTidWord = 8;  // offset that never equals a tid for long: self pointer's half
constexpr uint64_t kTcbSearch = 0x800;  // glibc 2.36: 0x2d0; musl 1.2: 0x30

// Where this C library keeps the tid, found by looking for it. glibc's and musl's blocks begin with
// pointers; the first 32-bit word that equals the tid is the tid (glibc before 2.25: tid, then pid).
uint32_t find_tid_offset(uint64_t tcb, uint32_t tid) {
  for (uint64_t offset = 16; offset < kTcbSearch; offset += 4) {
    uint64_t address = tcb + offset;
    if ((address & (kPage - 1)) < 4 && !sys::readable(address & ~uint64_t{7})) break;
    if (*reinterpret_cast<const volatile uint32_t*>(address) == tid) return uint32_t(offset);
  }
  return 0;
}

ThreadEntry* claim_entry(State* s, uint64_t tcb) {
  for (unsigned p = 0; p < kThreadProbes; ++p) {
    ThreadEntry* e = &s->threads[(thread_slot(tcb) + p) & (kThreadTableSize - 1)];
    uint64_t key = load(e->tcb);
    if (key == encode(tcb)) return e;
    if (key == 0 && replace(e->tcb, uint64_t{0}, encode(tcb))) return e;
    if (load(e->tcb) == encode(tcb)) return e;
  }
  return nullptr;
}

uint32_t new_index(State* s, uint32_t tid) {
  if (load(s->thread_count) + 1 >= 1u << kThreadBits) return 0;
  uint32_t index = __atomic_add_fetch(&s->thread_count, 1, __ATOMIC_RELAXED);
  if (index >= 1u << kThreadBits) return 0;
  uint64_t chunk = arena_object(s, s->thread_records[index / kThreadsPerChunk],
                                kThreadsPerChunk * sizeof(ThreadRecord));
  if (chunk == 0) return 0;
  ThreadRecord* r = reinterpret_cast<ThreadRecord*>(chunk) + index % kThreadsPerChunk;
  r->first_time = uint32_t((timestamp() - s->start_tsc) >> kTimeShift);
  publish(r->tid, tid);
  return index;
}

// A new thread under this thread pointer: nothing the old one left may be believed.
void begin_thread(State* s, Thread* t, uint64_t tcb, uint32_t tid) {
  uint64_t here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  bool below_tcb = here < tcb && tcb - here < (uint64_t{1} << 28);
  uint64_t main_end = decode(s->main_stack_end);
  uint64_t end = below_tcb ? tcb
                 : here < main_end && main_end - here < (uint64_t{1} << 28) ? main_end
                                                                            : 0;
  t->frame_count = 0;
  t->busy = 0;
  t->note_kind = 0;
  t->in_flight_kind = 0;
  t->in_flight_block = 0;
  t->walks[0] = t->walks[1] = 0;
  t->last_hash = 0;
  t->last_node = 0;
  t->stack_end = encode(end);
  t->stack_hole = 0;
  t->stack_low = encode(here & ~(kPage - 1));
  t->tcb = encode(tcb);
  t->index = new_index(s, tid);
  publish(t->tid, tid);
}

}  // namespace

Thread* adopt_thread(State* s, uint64_t tcb) {
  uint32_t offset = load(s->tid_offset);
  ThreadEntry* entry = claim_entry(s, tcb);
  if (entry == nullptr) {
    count(s->threads_without_state);
    return nullptr;
  }
  Thread* t = reinterpret_cast<Thread*>(load(entry->thread));
  if (t != nullptr && offset > kNoTidWord &&
      *reinterpret_cast<const volatile uint32_t*>(tcb + offset) == t->tid) {
    return t;  // only its place in the table was not the first one
  }
  uint32_t tid = sys::thread_id();
  if (offset == 0) {
    offset = find_tid_offset(tcb, tid);
    publish(s->tid_offset, offset == 0 ? kNoTidWord : offset);
  }
  uint64_t block = arena_object(s, entry->thread, sizeof(Thread));
  if (block == 0) {
    count(s->threads_without_state);
    return nullptr;
  }
  t = reinterpret_cast<Thread*>(block);
  if (t->tid != tid) begin_thread(s, t, tcb, tid);
  return t;
}

}  // namespace heapledger::agent
