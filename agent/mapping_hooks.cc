// SPDX-License-Identifier: Apache-2.0
//
// The hooks of the mmap family; the laws of hooks.cc hold here, too. A call that maps over what is there
// releases it first. Calls from inside an allocator are its own affair.
#include "agent/hook.h"
#include "agent/mapped_segments.h"

namespace heapledger::agent {
namespace {

MappingOrigin origin_of(State* s, Thread* t, Kind kind, uint32_t flags) {
  return {kind, 0, t == nullptr ? 0 : t->index, now(s), flags, false};
}

// One call of the mmap family. Nested ones (malloc -> mmap, free -> munmap) are the allocator's own.
class MappingCall {
 public:
  MappingCall(const Site* site, FrameState caller) : site_(site), caller_(caller) {
    first_call();
    state_ = state();
    thread_ = this_thread(state_);
    nested_ = inside_another(caller);
  }
  bool nested() const { return nested_; }

  PendingRelease release(uint64_t begin, uint64_t length) {
    if (nested_) return {};
    return mapping_release(state_, begin, length, origin_of(state_, thread_, Kind::munmap, 0));
  }
  void finish(const PendingRelease& pending, bool succeeded) {
    if (nested_) return;
    succeeded ? mapping_commit(state_, pending) : mapping_undo(state_, pending);
  }
  void mapped(uint64_t begin, uint64_t length, uint32_t flags) {
    if (nested_) return;
    MappingOrigin origin = origin_of(state_, thread_, Kind(site_->kind), flags);
    if ((state_->flags & kRecordStacks) != 0) {
      StackCapture stack = capture_stack(state_, thread_, caller_);
      origin.stack = stack.node;
      origin.truncated = stack.truncated;
    }
    mapping_insert(state_, begin, length, origin);
  }
  // A hook's real call is in progress below which we are: by its frame among our callers or, where
  // the allocator's code cannot be unwound (musl has no call frame information), by the stack alone.
  bool inside_another(const FrameState& caller) const {
    if (thread_ == nullptr) return nesting_of(state_, nullptr, caller, 0) == Nesting::nested;
    uint64_t busy = thread_->busy;
    if (busy == 0) return false;
    Nesting nesting = nesting_of(state_, thread_, caller, busy);
    if (nesting == Nesting::unknown) return caller.sp < busy && busy - caller.sp < kNearby;
    return nesting == Nesting::nested;
  }
  uint64_t attached_length(uint64_t begin) { return mapping_length(state_, begin); }

 private:
  const Site* site_;
  FrameState caller_;
  State* state_;
  Thread* thread_;
  bool nested_;
};

bool failed(long result) { return result == -1; }  // MAP_FAILED, errno is set by the real call

// Flags of calls that release what they map over.
constexpr uint64_t kMapFixed = 0x10, kRemapFixed = 2, kShmRemap = 040000;
constexpr uint64_t kRemapKeep = 4;  // MREMAP_DONTUNMAP: the old range stays mapped

}  // namespace

// From hook_mmap (thunks.S). `frame`: its frame pointer.
HOOK long heapledger_mmap(uint64_t address, uint64_t length, uint64_t protection, uint64_t flags,
                          uint64_t file, uint64_t offset, const Site* site, const uint64_t* frame) {
  auto real = original<long (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t)>(site);
  if (!active()) return real(address, length, protection, flags, file, offset);
  MappingCall call(site, caller_of(frame));
  PendingRelease over = (flags & kMapFixed) != 0 ? call.release(address, length) : PendingRelease{};
  long result = real(address, length, protection, flags, file, offset);
  call.finish(over, !failed(result));
  if (!failed(result)) {
    call.mapped(uint64_t(result), length, uint32_t(protection & 0xff) | uint32_t(flags) << 8);
  }
  return result;
}

HOOK int hook_munmap(uint64_t address, uint64_t length, const Site* site) {
  auto real = original<int (*)(uint64_t, uint64_t)>(site);
  if (!active()) return real(address, length);
  MappingCall call(site, caller_of(CALLER_FRAME()));
  PendingRelease pending = call.release(address, length);
  int result = real(address, length);
  call.finish(pending, result == 0);
  return result;
}

HOOK long hook_mremap(uint64_t old, uint64_t old_length, uint64_t length, uint64_t flags,
                      uint64_t to, const Site* site) {
  auto real = original<long (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t)>(site);
  if (!active()) return real(old, old_length, length, flags, to);
  MappingCall call(site, caller_of(CALLER_FRAME()));
  PendingRelease over = (flags & kRemapFixed) != 0 ? call.release(to, length) : PendingRelease{};
  PendingRelease from = (flags & kRemapKeep) == 0 ? call.release(old, old_length) : PendingRelease{};
  long result = real(old, old_length, length, flags, to);
  call.finish(over, !failed(result));
  call.finish(from, !failed(result));
  if (!failed(result)) call.mapped(uint64_t(result), length, 0);
  return result;
}

HOOK long hook_shmat(uint64_t id, uint64_t address, uint64_t flags, const Site* site) {
  auto real = original<long (*)(uint64_t, uint64_t, uint64_t)>(site);
  if (!active()) return real(id, address, flags);
  MappingCall call(site, caller_of(CALLER_FRAME()));
  uint64_t size = sys::shared_segment_size(id);
  PendingRelease over = (flags & kShmRemap) != 0 ? call.release(address, size) : PendingRelease{};
  long result = real(id, address, flags);
  call.finish(over, !failed(result));
  if (!failed(result)) call.mapped(uint64_t(result), size, 0);
  return result;
}

HOOK int hook_shmdt(uint64_t address, const Site* site) {
  auto real = original<int (*)(uint64_t)>(site);
  if (!active()) return real(address);
  MappingCall call(site, caller_of(CALLER_FRAME()));
  PendingRelease pending = call.release(address, call.attached_length(address));
  int result = real(address);
  call.finish(pending, result == 0);
  return result;
}

}  // namespace heapledger::agent
