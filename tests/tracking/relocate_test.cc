// SPDX-License-Identifier: Apache-2.0
//
// Functions written as bytes are moved and run; the entries of real allocators are moved, and those
// of this process are run.
#include "tracking/relocate.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <ostream>
#include <string>
#include <utility>

#include "tests/tracking/code_page.h"
#include "tests/tracking/entry_points.h"

namespace heapledger {
namespace {

using testing::Bytes;
using testing::call;
using testing::CodePage;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes nops(std::size_t count) { return Bytes(count, 0x90); }

const Bytes kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
const Bytes kMoreCode = {0x48, 0x89, 0xf8, 0xc3};  // mov %rdi,%rax ; ret

std::string reason(const Bytes& function, Address address = 0x401000,
                   Address trampoline = 0x400000) {
  const auto relocation = relocate_entry(function, address, trampoline);
  return relocation ? "moved" : relocation.error().message;
}

// A function and its patched copy: at the copy's entry stands a jump to the trampoline.
class Moved {
 public:
  explicit Moved(const Bytes& function, std::size_t entry = 0) {
    original_ = page_.put(function) + entry;
    patched_ = page_.put(function) + entry;
    const Address trampoline = page_.take(64);
    const auto relocation =
        relocate_entry(std::span(function).subspan(entry), patched_, trampoline);
    if (!relocation) {
      ADD_FAILURE() << relocation.error().message;
      return;
    }
    relocation_ = *relocation;
    CodePage::write(trampoline, relocation_.code);
    const Address jump = patched_ + relocation_.skipped;
    Bytes bytes(relocation_.displaced, 0xcc);  // whoever runs into the rest is told
    const auto distance = static_cast<std::int32_t>(trampoline - (jump + kJumpSize));
    bytes[0] = 0xe9;
    std::memcpy(&bytes[1], &distance, sizeof distance);
    CodePage::write(jump, bytes);
  }

  const Relocation& relocation() const { return relocation_; }
  std::uint64_t original(std::uint64_t argument) const { return call(original_, argument); }
  std::uint64_t patched(std::uint64_t argument) const { return call(patched_, argument); }

 private:
  CodePage page_;
  Address original_ = 0, patched_ = 0;
  Relocation relocation_;
};

std::vector<std::pair<unsigned, unsigned>> boundaries(const Relocation& relocation) {
  std::vector<std::pair<unsigned, unsigned>> result;
  for (const auto& [from, to] : relocation.boundaries) result.emplace_back(from, to);
  return result;
}

using Pairs = std::vector<std::pair<unsigned, unsigned>>;

// ---- whole instructions ------------------------------------------------------------------------

TEST(Relocate, TakesWholeInstructions) {
  // push %r12 ; push %rbp ; push %rbx ; mov %rdi,%rbx ; lea 1(%rbx),%rax ; pops ; ret
  const Moved f({0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb, 0x48, 0x8d, 0x43, 0x01, 0x5b, 0x5d, 0x41,
                 0x5c, 0xc3});
  EXPECT_EQ(f.relocation().skipped, 0u);
  EXPECT_EQ(f.relocation().displaced, 7u);
  EXPECT_EQ(f.relocation().code.size(), 12u);  // and a jump back
  EXPECT_EQ(boundaries(f.relocation()), (Pairs{{0, 0}, {2, 2}, {3, 3}, {4, 4}}));
  EXPECT_EQ(f.original(41), 42u);
  EXPECT_EQ(f.patched(41), 42u);
}

TEST(Relocate, TakesExactlyFiveBytesBeforeASystemCall) {
  // getppid: mov $110,%eax ; syscall ; ret
  const Moved f({0xb8, 0x6e, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xc3});
  EXPECT_EQ(f.relocation().displaced, 5u);
  EXPECT_EQ(f.original(0), std::uint64_t(getppid()));
  EXPECT_EQ(f.patched(0), std::uint64_t(getppid()));
}

TEST(Relocate, MovesComputationsOfManyKinds) {
  const std::vector<Bytes> starts = {
      {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8},           // movabs
      {0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0},  // mov %fs:0x28,%rax
      {0x48, 0x81, 0xec, 0x88, 0, 0, 0},              // sub $0x88,%rsp
      {0x48, 0xf7, 0xe6, 0x0f, 0x90, 0xc0},           // mul %rsi ; seto %al
      {0x48, 0x85, 0xff, 0x48, 0x0f, 0x45, 0xc7},     // test ; cmovne
      {0x66, 0x90, 0x48, 0x39, 0xf7},                 // xchg %ax,%ax ; cmp
      {0x0f, 0x28, 0xc1, 0x66, 0x0f, 0x6f, 0xc8},     // movaps ; movdqa
      {0x48, 0xc1, 0xe8, 0x1a, 0x48, 0x21, 0xc8},     // shr ; and
      {0x0f, 0x1f, 0x44, 0, 0},                       // nopl
      {0xc5, 0xf8, 0x77, 0xc5, 0xf9, 0xef, 0xc0},     // vzeroupper ; vpxor
      {0x55, 0x48, 0x89, 0xe5, 0xc9},                 // push ; mov ; leave
  };
  for (const Bytes& start : starts) EXPECT_EQ(reason(start + kMoreCode), "moved");
}

TEST(Relocate, RefusesWhatIsNotKnownToBeSafe) {
  const auto at_start = [](const Bytes& start) { return reason(start + nops(8) + kMoreCode); };
  EXPECT_EQ(at_start({0xe8, 0, 1, 0, 0}), "call at +0 cannot be moved");
  EXPECT_EQ(at_start({0x48, 0x83, 0xec, 0x08, 0xe8, 0, 1, 0, 0}), "call at +4 cannot be moved");
  EXPECT_EQ(at_start({0xff, 0xd0}), "call at +0 cannot be moved");
  EXPECT_EQ(at_start({0xff, 0xe0}), "jmp at +0 cannot be moved");  // jmp *%rax
  EXPECT_EQ(at_start({0x0f, 0x05}), "syscall at +0 cannot be moved");
  EXPECT_EQ(at_start({0x31, 0xc0, 0x0f, 0x05}), "syscall at +2 cannot be moved");
  EXPECT_EQ(at_start({0xcd, 0x80}), "int at +0 cannot be moved");
  EXPECT_EQ(at_start({0xcc}), "int3 at +0 cannot be moved");
  EXPECT_EQ(at_start({0x0f, 0x0b}), "ud2 at +0 cannot be moved");
  EXPECT_EQ(at_start({0xf4}), "hlt at +0 cannot be moved");
  EXPECT_EQ(at_start({0xe2, 0x20}), "loop at +0 cannot be moved");
  EXPECT_EQ(at_start({0xe3, 0x20}), "jrcxz at +0 cannot be moved");
  EXPECT_EQ(at_start({0x67, 0xe3, 0x20}), "jecxz at +0 cannot be moved");
  EXPECT_EQ(at_start({0xc7, 0xf8, 0x20, 0, 0, 0}), "xbegin at +0 cannot be moved");
  EXPECT_EQ(at_start({0x67, 0x8b, 0x05, 0, 0, 0, 0}), "mov at +0 cannot be moved");  // (%eip)
  EXPECT_EQ(at_start({0x06}), "unknown instruction at +0");
  EXPECT_EQ(at_start({0x31, 0xc0, 0x06}), "unknown instruction at +2");
}

// ---- short functions ---------------------------------------------------------------------------

TEST(Relocate, TakesPaddingBehindAShortFunction) {
  const Bytes body = {0x89, 0xf8, 0xc3};  // mov %edi,%eax ; ret
  const Moved f(body + nops(13));
  EXPECT_EQ(f.relocation().displaced, 5u);
  EXPECT_EQ(f.relocation().code, body);  // nothing to jump back to
  EXPECT_EQ(boundaries(f.relocation()), (Pairs{{0, 0}, {2, 2}}));
  EXPECT_EQ(f.original(7), 7u);
  EXPECT_EQ(f.patched(7), 7u);
  EXPECT_EQ(reason(body + Bytes(13, 0xcc)), "moved");
  EXPECT_EQ(reason(body + Bytes{0x0f, 0x1f, 0x80, 0, 0, 0, 0}), "moved");  // one long nop
}

TEST(Relocate, TakesPaddingUpToTheNextAlignedFunction) {
  EXPECT_EQ(reason(Bytes{0x89, 0xf8, 0xc3} + nops(13) + kMoreCode), "moved");
}

TEST(Relocate, RefusesAShortFunctionWithCodeBehind) {
  EXPECT_EQ(reason(Bytes{0x89, 0xf8, 0xc3} + kMoreCode),
            "ret at +2 ends the function before a jump fits, and code follows");
  EXPECT_EQ(reason(Bytes{0x89, 0xf8, 0xc3} + nops(4) + kMoreCode),
            "ret at +2 ends the function before a jump fits, and code follows");
  EXPECT_EQ(reason(Bytes{0x8d, 0x47, 0x01, 0x90, 0xc3} + kMoreCode),
            "ret at +4 ends the function before a jump fits, and code follows");
}

TEST(Relocate, RefusesAFunctionWithoutRoom) {
  EXPECT_EQ(reason({}), "the function is only 0 bytes long");
  EXPECT_EQ(reason({0x89, 0xf8, 0xc3}), "the function is only 3 bytes long");
  EXPECT_EQ(reason({0x89, 0xf8, 0x89}), "unknown instruction at +2");  // cut
  EXPECT_EQ(reason({0x89, 0xf8, 0x89, 0xf8}), "the function is only 4 bytes long");
}

TEST(Relocate, MovesAReturnAtByteFourBeforePadding) {
  const Moved f(Bytes{0x8d, 0x47, 0x01, 0x90, 0xc3} + nops(11));
  EXPECT_EQ(f.original(4), 5u);
  EXPECT_EQ(f.patched(4), 5u);
}

// ---- branches ----------------------------------------------------------------------------------

TEST(Relocate, WidensAShortConditionalJump) {
  // test %edi,%edi ; je 1f ; lea 1(%rdi),%eax ; ret ; 1: mov $9,%eax ; ret
  const Moved f({0x85, 0xff, 0x74, 0x04, 0x8d, 0x47, 0x01, 0xc3, 0xb8, 9, 0, 0, 0, 0xc3});
  EXPECT_EQ(boundaries(f.relocation()), (Pairs{{0, 0}, {2, 2}, {4, 8}}));
  EXPECT_EQ(f.relocation().code.size(), 2u + 6 + 3 + 5);
  for (const auto& [argument, result] : {std::pair{0u, 9u}, {5u, 6u}}) {
    EXPECT_EQ(f.original(argument), result);
    EXPECT_EQ(f.patched(argument), result);
  }
}

TEST(Relocate, WidensEveryConditionByItsName) {
  for (std::uint8_t condition = 0; condition < 16; ++condition) {
    // xor %eax,%eax ; cmp $5,%edi ; jCC 1f ; inc %eax ; 1: ret
    const Moved f(
        {0x31, 0xc0, 0x83, 0xff, 0x05, std::uint8_t(0x70 | condition), 0x02, 0xff, 0xc0, 0xc3});
    // cmp is the last displaced instruction; so once more with the jump among them:
    const Moved g({0x83, 0xff, 0x05, std::uint8_t(0x70 | condition), 0x06, 0xb8, 1, 0, 0, 0, 0xc3,
                   0xb8, 0, 0, 0, 0, 0xc3});
    ASSERT_EQ(boundaries(g.relocation()), (Pairs{{0, 0}, {3, 3}}));
    for (const std::uint64_t argument : {0ull, 4ull, 5ull, 6ull, 0x80000000ull, 0xffffffffull}) {
      EXPECT_EQ(f.patched(argument), f.original(argument));
      EXPECT_EQ(g.patched(argument), g.original(argument));
      EXPECT_EQ(g.patched(argument), f.original(argument));
    }
  }
}

TEST(Relocate, KeepsALongConditionalJump) {
  // test %rdi,%rdi ; je 1f (rel32) ; mov $3,%eax ; ret ; 1: mov $9,%eax ; ret
  const Moved f({0x48, 0x85, 0xff, 0x0f, 0x84, 0x06, 0, 0, 0, 0xb8, 3,
                 0,    0,    0,    0xc3, 0xb8, 9,    0, 0, 0, 0xc3});
  EXPECT_EQ(f.relocation().displaced, 9u);
  EXPECT_EQ(f.patched(0), 9u);
  EXPECT_EQ(f.patched(1), 3u);
}

TEST(Relocate, SendsABranchAmongTheMovedToTheMoved) {
  // xor %eax,%eax ; je 1f ; 1: lea 5(%rdi),%eax ; ret
  const Moved forward({0x31, 0xc0, 0x74, 0x00, 0x8d, 0x47, 0x05, 0xc3});
  EXPECT_EQ(forward.relocation().displaced, 7u);
  EXPECT_EQ(forward.original(1), 6u);
  EXPECT_EQ(forward.patched(1), 6u);
  // 1: dec %edi ; jne 1b ; mov %edi,%eax ; ret
  const Moved backward({0xff, 0xcf, 0x75, 0xfc, 0x89, 0xf8, 0xc3});
  EXPECT_EQ(Bytes(backward.relocation().code.begin() + 2, backward.relocation().code.begin() + 8),
            (Bytes{0x0f, 0x85, 0xf8, 0xff, 0xff, 0xff}));
  EXPECT_EQ(backward.original(1000), 0u);
  EXPECT_EQ(backward.patched(1000), 0u);
}

TEST(Relocate, MovesABackwardConditionalJumpOutOfTheFunction) {
  // mov $42,%eax ; ret ; entry: cmp $5,%edi ; je -11 ; mov %edi,%eax ; ret
  const Moved f({0xb8, 42, 0, 0, 0, 0xc3, 0x83, 0xff, 0x05, 0x74, 0xf5, 0x89, 0xf8, 0xc3}, 6);
  EXPECT_EQ(f.patched(5), 42u);
  EXPECT_EQ(f.patched(6), 6u);
}

TEST(Relocate, RefusesABranchBetweenTheMovedInstructions) {
  // je into the lea behind it
  EXPECT_EQ(reason({0x31, 0xc0, 0x74, 0x01, 0x8d, 0x47, 0x05, 0xc3}),
            "jz at +2 goes into the middle of an instruction");
}

TEST(Relocate, RefusesABranchBackIntoTheDisplacedBytes) {
  // xor %eax,%eax ; 1: inc %eax ; dec %edi ; jne 1b ; ret
  EXPECT_EQ(reason({0x31, 0xc0, 0xff, 0xc0, 0xff, 0xcf, 0x75, 0xfa, 0xc3}),
            "jnz at +6 goes to +2, into the bytes the jump would replace");
  const Bytes start = {0x31, 0xc0, 0xff, 0xc0, 0xff, 0xcf};
  EXPECT_EQ(reason(start + Bytes{0xeb, 0xfa, 0xc3}),
            "jmp at +6 goes to +2, into the bytes the jump would replace");
  EXPECT_EQ(reason(start + Bytes{0xe8, 0xf7, 0xff, 0xff, 0xff, 0xc3}),
            "call at +6 goes to +2, into the bytes the jump would replace");
  EXPECT_EQ(reason(start + Bytes{0xe2, 0xfa, 0xc3}),
            "loop at +6 goes to +2, into the bytes the jump would replace");
  EXPECT_EQ(reason(start + Bytes{0x0f, 0x85, 0xf8, 0xff, 0xff, 0xff, 0xc3}),
            "jnz at +6 goes to +4, into the bytes the jump would replace");
}

TEST(Relocate, FindsABranchBackBehindBytesThatAreNoCode) {
  const Bytes start = {0x31, 0xc0, 0xff, 0xc0, 0xff, 0xcf, 0xc3};
  EXPECT_EQ(reason(start + Bytes{0x06, 0x07, 0xeb, 0xf7}),
            "jmp at +9 goes to +2, into the bytes the jump would replace");
  EXPECT_EQ(reason(start + Bytes{0x06, 0x07, 0x0f}), "moved");  // cut inside an instruction
}

TEST(Relocate, AllowsABranchBackToTheFirstByte) {
  // cmp $5,%edi ; jl 1f ; mov %edi,%eax ; ret ; 1: inc %edi ; jmp entry
  const Moved f({0x83, 0xff, 0x05, 0x7c, 0x03, 0x89, 0xf8, 0xc3, 0xff, 0xc7, 0xeb, 0xf4});
  EXPECT_EQ(f.original(1), 5u);
  EXPECT_EQ(f.patched(1), 5u);
}

// ---- functions that are a jump -----------------------------------------------------------------

TEST(Relocate, MovesAFunctionThatIsAJump) {
  const Bytes target = {0x89, 0xf8, 0xc3};  // mov %edi,%eax ; ret
  const Moved near(target + nops(13) + Bytes{0xe9, 0xeb, 0xff, 0xff, 0xff}, 16);
  EXPECT_EQ(near.relocation().code.size(), 5u);
  EXPECT_EQ(near.patched(3), 3u);
  const Moved padded(target + nops(13) + Bytes{0xeb, 0xee} + nops(14), 16);
  EXPECT_EQ(padded.relocation().displaced, 5u);
  EXPECT_EQ(padded.patched(3), 3u);
  EXPECT_EQ(reason(Bytes{0xeb, 0x20} + kMoreCode),
            "jmp at +0 ends the function before a jump fits, and code follows");
}

TEST(Relocate, MovesAJumpThroughATable) {
  CodePage page;
  const Address target = page.put(Bytes{0x89, 0xf8, 0xc3});
  Bytes jump = {0xff, 0x25, 0, 0, 0, 0};  // jmp *0(%rip), the table behind it
  for (int i = 0; i < 8; ++i) jump.push_back(std::uint8_t(target >> 8 * i));
  const Moved f(jump);
  EXPECT_EQ(f.relocation().code.size(), 6u);
  EXPECT_EQ(f.original(3), 3u);
  EXPECT_EQ(f.patched(3), 3u);
}

// ---- endbr64 -----------------------------------------------------------------------------------

TEST(Relocate, KeepsAnEndbr64InPlace) {
  const Moved f(kEndbr64 + Bytes{0x8d, 0x47, 0x01, 0x01, 0xf8, 0xc3});  // lea ; add ; ret
  EXPECT_EQ(f.relocation().skipped, 4u);
  EXPECT_EQ(f.relocation().displaced, 5u);
  EXPECT_EQ(boundaries(f.relocation()), (Pairs{{4, 0}, {7, 3}}));
  EXPECT_EQ(f.original(3), 7u);
  EXPECT_EQ(f.patched(3), 7u);
}

TEST(Relocate, GivesUpAnEndbr64WhenNothingElseHelps) {
  // libstdc++'s nothrow new: endbr64 ; sub $8,%rsp ; call 1f ; add $8,%rsp ; ret ; 1: lea 1(%rdi) ;
  // ret
  const Moved f(kEndbr64 + Bytes{0x48, 0x83, 0xec, 0x08, 0xe8, 5, 0, 0, 0, 0x48, 0x83, 0xc4, 0x08,
                                 0xc3, 0x8d, 0x47, 0x01, 0xc3});
  EXPECT_EQ(f.relocation().skipped, 0u);
  EXPECT_EQ(f.relocation().displaced, 8u);
  EXPECT_EQ(boundaries(f.relocation()), (Pairs{{0, 0}, {4, 4}}));
  EXPECT_EQ(f.original(3), 4u);
  EXPECT_EQ(f.patched(3), 4u);
}

TEST(Relocate, RefusesACallRightAfterAnEndbr64) {
  EXPECT_EQ(reason(kEndbr64 + Bytes{0xe8, 0, 1, 0, 0} + kMoreCode), "call at +4 cannot be moved");
}

TEST(Relocate, AllowsABranchBackToTheByteBehindAnEndbr64) {
  // endbr64 ; 1: inc %edi ; cmp $9,%edi ; jne 1b ; mov %edi,%eax ; ret
  const Moved f(kEndbr64 + Bytes{0xff, 0xc7, 0x83, 0xff, 0x09, 0x75, 0xf9, 0x89, 0xf8, 0xc3});
  EXPECT_EQ(f.relocation().skipped, 4u);
  EXPECT_EQ(f.original(2), 9u);
  EXPECT_EQ(f.patched(2), 9u);
}

// ---- rip-relative ------------------------------------------------------------------------------

TEST(Relocate, CorrectsRipRelativeOperands) {
  // cmpb $7,data(%rip) ; sete %al ; movzbl %al,%eax ; ret ; data: .byte 7
  // The displacement is not at the end of the instruction.
  const Moved compare(
      {0x80, 0x3d, 0x07, 0, 0, 0, 0x07, 0x0f, 0x94, 0xc0, 0x0f, 0xb6, 0xc0, 0xc3, 0x07});
  EXPECT_EQ(compare.relocation().displaced, 7u);
  EXPECT_EQ(compare.original(0), 1u);
  EXPECT_EQ(compare.patched(0), 1u);
  // lea data(%rip),%rax ; mov (%rax),%eax ; ret ; data: .long 77
  const Moved address({0x48, 0x8d, 0x05, 0x03, 0, 0, 0, 0x8b, 0x00, 0xc3, 77, 0, 0, 0});
  EXPECT_EQ(address.patched(0), 77u);
  // mov data(%rip),%eax ; ret
  const Moved load({0x8b, 0x05, 0x01, 0, 0, 0, 0xc3, 78, 0, 0, 0});
  EXPECT_EQ(load.patched(0), 78u);
}

TEST(Relocate, RefusesWhatIsOutOfReach) {
  constexpr Address kFunction = 0x401000;
  constexpr Address kLast = kFunction + (Address{2} << 30);  // for what is at kFunction + 5
  const Bytes load = {0x8b, 0x05, 0x01, 0, 0, 0, 0xc3, 78, 0, 0, 0};
  EXPECT_EQ(reason(load, kFunction, kLast + 2),
            "mov at +0: 0x401007 is out of reach of the trampoline at 0x80401002");
  const Bytes jump = {0xe9, 0, 0, 0, 0};
  EXPECT_EQ(reason(jump, kFunction, kLast), "moved");
  EXPECT_EQ(reason(jump, kFunction, kLast + 1),
            "jmp at +0: 0x401005 is out of reach of the trampoline at 0x80401001");
  EXPECT_EQ(reason(nops(8), kFunction, kLast),
            "the function is out of reach of its trampoline at 0x80401000");
  EXPECT_EQ(reason(nops(8), kFunction, kLast - 5), "moved");
}

TEST(Relocate, RefusesAFunctionThatReadsItsOwnFirstBytes) {
  EXPECT_EQ(reason({0x8b, 0x05, 0xfa, 0xff, 0xff, 0xff, 0xc3}),
            "mov at +0 refers to the bytes the jump would replace");
  EXPECT_EQ(reason({0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xc3}), "moved");  // its own address
}

}  // namespace
}  // namespace heapledger
