// SPDX-License-Identifier: Apache-2.0
#include "tracking/call_recorder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tracking/called_program.h"

using namespace heapledger;
using Program = heapledger::testing::CalledProgram;
using heapledger::testing::kFailed;

namespace {

TEST(CallRecorder, RecordsWhatEachFunctionReturned) {
  Program p;
  p.call("malloc", {100}).ret(0x1000);
  p.call("calloc", {7, 11}).ret(0x2000);
  p.call("realloc", {0, 55}).ret(0x3000);
  p.call("reallocarray", {0, 6, 9}).ret(0x4000);
  p.call("aligned_alloc", {64, 640}).ret(0x5000);
  p.call("posix_memalign", {0x9000, 256, 300}).word(0x9000, 0x6000).ret(0);
  p.call("pvalloc", {5000}).ret(0x8000);
  EXPECT_EQ(p.ledger(),
            "0x1000 100 malloc\n"
            "0x2000 77 calloc\n"
            "0x3000 55 realloc\n"
            "0x4000 54 reallocarray\n"
            "0x5000 640 aligned_alloc\n"
            "0x6000 300 posix_memalign\n"
            "0x8000 5000 pvalloc\n");
  EXPECT_EQ(p.counters().allocations, 7u);
  EXPECT_EQ(p.counters().bytes, 100u + 77 + 55 + 54 + 640 + 300 + 5000);
}

TEST(CallRecorder, RecordsNothingOfFailedCalls) {
  Program p;
  p.call("malloc", {100}).ret(0);
  p.call("posix_memalign", {0x9000, 24, 10}).word(0x9000, 0x6000).ret(22);
  p.call("mmap", {0, 4096}).ret(kFailed);
  EXPECT_EQ(p.ledger(), "");
}

TEST(CallRecorder, RecordsAnAllocationOnlyWhenItHasReturned) {
  Program p;
  p.call("malloc", {100});
  EXPECT_EQ(p.ledger(), "");
  EXPECT_EQ(p.counters().in_flight, 1u);
  p.ret(0x1000);
  EXPECT_EQ(p.ledger(), "0x1000 100 malloc\n");
  EXPECT_EQ(p.counters().in_flight, 0u);
}

TEST(CallRecorder, RecordsAReleaseBeforeTheRealOne) {
  Program p;
  p.call("malloc", {100}).ret(0x1000);
  p.call("free", {0x1000});
  EXPECT_EQ(p.ledger(), "");
  // The allocator gives the memory to another thread before free has returned.
  p.thread(2).call("malloc", {50}).ret(0x1000);
  p.thread(1).ret();
  EXPECT_EQ(p.ledger(), "0x1000 50 malloc\n");
}

TEST(CallRecorder, CountsReleasesByWhatIsKnownOfTheBlock) {
  Program p;
  p.call("malloc", {100}).ret(0x1000);
  p.call("operator new[](unsigned long)", {8}).call("malloc", {8}).ret(0x2000).ret(0x2000);
  p.call("free", {0}).ret();
  p.call("free", {0x1000}).ret();
  p.call("free", {0x7777}).ret();
  p.call("free", {0x2000}).ret();  // by the wrong function
  EXPECT_EQ(p.counters().releases, 2u);
  EXPECT_EQ(p.counters().unknown_releases, 1u);
  EXPECT_EQ(p.counters().mismatched_releases, 1u);
}

TEST(CallRecorder, ReallocMovesKeepsAndReleases) {
  Program p;
  p.call("malloc", {100}).ret(0x1000);
  p.call("realloc", {0x1000, 200});
  EXPECT_EQ(p.ledger(), "0x1000 100 malloc in flight\n");
  p.ret(0x2000);
  EXPECT_EQ(p.ledger(), "0x2000 200 realloc\n");
  p.call("realloc", {0x2000, 1 << 30}).ret(0);  // no memory: the old block is still there
  EXPECT_EQ(p.ledger(), "0x2000 200 realloc\n");
  p.call("realloc", {0x2000, 0}).ret(0);  // glibc: released
  EXPECT_EQ(p.ledger(), "");
  EXPECT_EQ(p.counters().releases, 2u);
}

TEST(CallRecorder, AReallocThatFreesTheOldBlockItselfReleasesItOnce) {
  Program p;
  p.call("malloc", {100}).ret(0x1000);
  p.call("realloc", {0x1000, 200}).call("malloc", {200}).ret(0x2000).call("free", {0x1000}).ret();
  p.ret(0x2000);
  EXPECT_EQ(p.ledger(), "0x2000 200 realloc\n");
  EXPECT_EQ(p.counters().unknown_releases, 0u);
}

TEST(CallRecorder, NestedCallsAreTheAllocatorsOwn) {
  Program p;
  p.call("calloc", {2, 8}).call("malloc", {16}).call("mmap", {0, 1 << 20}).ret(0x100000);
  p.ret(0x1000).ret(0x1000);
  EXPECT_EQ(p.ledger(), "0x1000 16 calloc\n");
  EXPECT_EQ(p.counters().allocations, 1u);
}

TEST(CallRecorder, NestedCallsAreKnownByTheStackWhereItCannotBeUnwound) {
  Program p;
  p.unwinds = false;
  p.call("calloc", {2, 8}).call("malloc", {16}).ret(0x1000).ret(0x1000);
  EXPECT_EQ(p.ledger(), "0x1000 16 calloc\n");
}

TEST(CallRecorder, AJumpFromOneFunctionToTheOtherIsOneCall) {
  Program p;
  p.call("reallocarray", {0, 3, 8}).jump("realloc", {0, 24}).ret(0x1000);
  EXPECT_EQ(p.ledger(), "0x1000 24 reallocarray\n");
}

TEST(CallRecorder, ASignalHandlerInsideMallocAllocatesForItself) {
  Program p;
  p.call("malloc", {100}).signal().call("malloc", {7}).ret(0x7000);
  EXPECT_EQ(p.ledger(), "0x7000 7 malloc\n");
  p.leave().ret(0x1000);
  EXPECT_EQ(p.ledger(),
            "0x1000 100 malloc\n"
            "0x7000 7 malloc\n");
}

TEST(CallRecorder, ACallThatWasLeftByLongjmpIsForgotten) {
  Program p;
  p.call("malloc", {100}).signal().leave().leave();  // out of the handler and of malloc
  p.function().call("malloc", {5}).ret(0x5000);
  EXPECT_EQ(p.ledger(), "0x5000 5 malloc\n");
  EXPECT_EQ(p.counters().in_flight, 0u);
  EXPECT_EQ(p.counters().allocations, 1u);
}

TEST(CallRecorder, ReturnsAreMatchedByThreadAndStack) {
  Program p;
  p.call("malloc", {1});
  p.thread(2).call("malloc", {2});
  p.thread(1).ret(0x1000);
  p.thread(2).ret(0x2000);
  EXPECT_EQ(p.ledger(),
            "0x1000 1 malloc\n"
            "0x2000 2 malloc\n");
  // A way to the same address that is no return of the call.
  Program q;
  q.call("malloc", {1});
  q.recorder.returned({.tid = 1, .pc = 0x400010, .sp = 0x5555, .rax = 0x9999});
  q.recorder.returned({.tid = 2, .pc = 0x400010, .sp = 0x7fffefc8, .rax = 0x9999});
  EXPECT_EQ(q.ledger(), "");
}

TEST(CallRecorder, OperatorNewGivesItsKindAndSizeToTheMallocInside) {
  Program p;
  p.call("operator new(unsigned long)", {0}).call("malloc", {1}).ret(0x1000).ret(0x1000);
  p.call("operator new[](unsigned long)", {40}).jump("operator new(unsigned long)", {40});
  p.call("malloc", {40}).ret(0x2000).ret(0x2000);
  p.call("operator new(unsigned long)", {8}).call("malloc", {65536}).ret(0x3000).ret(0x3000);
  p.call("malloc", {9}).ret(0x40000);  // not inside
  EXPECT_EQ(p.ledger(),
            "0x1000 0 operator new\n"
            "0x2000 40 operator new[]\n"
            "0x3000 65536 operator new\n"  // a pool's chunk
            "0x40000 9 malloc\n");
}

TEST(CallRecorder, OperatorNewIsKnownByTheStackWhereItCannotBeUnwound) {
  Program p;
  p.unwinds = false;
  p.call("operator new(unsigned long)", {0}).call("malloc", {1}).ret(0x1000).ret(0x1000);
  p.call("operator new(unsigned long)", {8}).leave();  // takes it out of a pool
  p.function().call("malloc", {8}).ret(0x2000);
  EXPECT_EQ(p.ledger(),
            "0x1000 0 operator new\n"
            "0x2000 8 malloc\n");
}

TEST(CallRecorder, AnOperatorNewThatThrewLeavesNothingBehind) {
  Program p;
  p.call("operator new(unsigned long)", {80}).call("malloc", {80}).ret(0).leave();
  p.call("malloc", {80}).ret(0x1000);
  EXPECT_EQ(p.ledger(), "0x1000 80 malloc\n");
}

TEST(CallRecorder, DeleteIsTheReleaseOfTheFreeInside) {
  Program p;
  p.call("operator new(unsigned long)", {8}).call("malloc", {8}).ret(0x1000).ret(0x1000);
  p.call("operator delete(void*, unsigned long)", {0x1000, 8});
  p.jump("operator delete(void*)", {0x1000}).jump("free", {0x1000}).ret();
  EXPECT_EQ(p.ledger(), "");
  EXPECT_EQ(p.counters().releases, 1u);
  EXPECT_EQ(p.counters().mismatched_releases, 0u);
}

TEST(CallRecorder, MappingsArePiecesOfWhatWasMapped) {
  Program p;
  p.call("mmap", {0, 0x3000}).ret(0x100000);
  p.call("munmap", {0x101000, 0x1000}).ret(0);
  EXPECT_EQ(p.ledger(),
            "0x100000 4096 mmap\n"
            "0x102000 4096 mmap\n");
  p.call("mremap", {0x102000, 0x1000, 0x2000, 1}).ret(0x200000);
  p.call("munmap", {0x100000, 0x1000}).ret(kFailed);  // taken back
  EXPECT_EQ(p.ledger(),
            "0x100000 4096 mmap\n"
            "0x200000 8192 mremap\n");
  p.segment_size = 0x4000;
  p.call("shmat", {1, 0, 0}).ret(0x300000);
  p.call("mmap", {0x301000, 0x1000}).ret(0x301000);
  p.call("shmdt", {0x300000}).ret(0);  // all that is left of the segment
  EXPECT_EQ(p.ledger(),
            "0x100000 4096 mmap\n"
            "0x200000 8192 mremap\n"
            "0x301000 4096 mmap\n");
}

TEST(CallRecorder, MunmapInsideFreeIsNotTheProgramsOwn) {
  Program p;
  p.call("mmap", {0, 0x1000}).ret(0x100000);
  p.call("malloc", {1 << 20}).ret(0x200010);
  p.call("free", {0x200010}).call("munmap", {0x100000, 0x1000}).ret(0).ret();
  EXPECT_EQ(p.ledger(), "0x100000 4096 mmap\n");
  p.function().call("munmap", {0x100000, 0x1000}).ret(0);  // as deep as the one before
  EXPECT_EQ(p.ledger(), "");
}

TEST(CallRecorder, AReturnThatCannotBeSeenIsCounted) {
  Program p;
  p.call("malloc", {100});
  p.recorder.unseen_return(1);
  p.ret(0x1000);
  EXPECT_EQ(p.ledger(), "");
  EXPECT_EQ(p.counters().dropped, 1u);
  EXPECT_TRUE(p.counters().returns_missed);
}

TEST(CallRecorder, CallsOfThreadsThatAreGoneAreNotInFlight) {
  Program p;
  p.thread(2).call("malloc", {100});
  EXPECT_EQ(p.counters().in_flight, 1u);
  p.recorder.keep_threads({1});
  EXPECT_EQ(p.counters().in_flight, 0u);
}

TEST(CallRecorder, ANewBlockOverAnOldOneReplacesIt) {
  Program p;
  p.call("malloc", {100}).ret(0x1000);
  p.call("malloc", {100}).ret(0x1040);  // the release of the first one was not seen
  EXPECT_EQ(p.ledger(), "0x1040 100 malloc\n");
}

TEST(CallRecorder, KeepsEachStackOnceWithThreadAndAge) {
  Program p;
  p.thread(77).function();
  p.now = 1000;
  p.call("malloc", {1}).ret(0x1000);
  p.now = 1500;
  const Ledger ledger = p.recorder.ledger();
  const Allocation& a = ledger.recorded()[0];
  EXPECT_EQ(ledger.tid(a), 77u);
  EXPECT_EQ(ledger.age_ms(a), std::optional<std::uint64_t>(500));
  std::vector<Address> frames;
  for (const CodeAddress& frame : ledger.stack(a.stack)) frames.push_back(frame.pc);
  EXPECT_EQ(frames, (std::vector<Address>{0x400020, 0x400010}));
}

TEST(CallRecorder, WithoutStacksNoneAreTaken) {
  Program p(false);
  p.call("malloc", {1}).ret(0x1000);
  p.call("free", {0x1000}).ret();
  EXPECT_EQ(p.stacks_taken, 0);
}

}  // namespace
