// SPDX-License-Identifier: Apache-2.0
//
// The contract between the agent (inside the inferior) and the debugger side.
//
// Everything both sides must agree on stands here and nowhere else: where the agent's memory is,
// what its words mean, who writes them, and when they may be read.
//
// Version law: a change of a structure, of a field's meaning or of a kind's number raises kVersion.
// Adding a field in a `reserved` place does not. The debugger refuses a ledger of another version.
//
// Who writes: "debugger" fields are written while every thread is stopped (or before the first hook
// is installed); "agent" fields are written by any thread of the inferior at any time. The debugger
// reads everything at any instruction: the agent fills first and publishes last, so that a reader
// sees a whole entry or none.
//
// No word the agent stores equals the address of a block: positions are implied by the place of a
// slot, and where an address must be kept it is stored as encode(address). A scan (ours or another
// tool's) therefore never takes the ledger for an owner.
#pragma once

#include <cstdint>

#include "agent/kinds.h"

namespace heapledger::agent {

using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

inline constexpr uint64_t kMagic = 0x3152474c50414548;  // "HEAPLGR1", little endian
inline constexpr uint32_t kVersion = 4;

// Encoded addresses are non-canonical: they equal no user address and point nowhere.
constexpr uint64_t encode(uint64_t address) { return ~address; }
constexpr uint64_t decode(uint64_t word) { return ~word; }

// ---------------------------------------------------------------------------------------------
// The image: one R-X mapping, written by the debugger, never writable in the inferior.

// At symbol heapledger_header of the image, whose first byte is its ELF header. The addresses are filled in by the debugger
// in its copy before it writes the image; the inferior cannot change them, and a fork that wipes
// Control cannot lose them.
struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t image_size;  // bytes of the whole image, page aligned
  uint64_t control;     // Control*
  uint64_t state;       // State*
  uint64_t image_begin;  // where the image was written; a return address in [begin, end) is ours
  uint64_t image_end;
  uint64_t reserved[2];
};
static_assert(sizeof(Header) == 64);

// One per patched function; lies in an island (R-X) beside its entry stub. debugger.
struct Site {
  uint64_t original;  // trampoline: the displaced instructions, then a jump back
  uint64_t function;  // first byte of the hooked function
  uint32_t kind;      // Kind
  uint32_t index;     // position in the debugger's list of hooked functions
  uint64_t reserved;
};
static_assert(sizeof(Site) == 32);

// One page of its own, MADV_WIPEONFORK: a forked child reads zeros, so its hooks pass through.
struct Control {
  uint32_t active;  // debugger: 0 pass through, 1 record
  uint32_t wiped;   // agent: 1 once the page is marked MADV_WIPEONFORK
};

// ---------------------------------------------------------------------------------------------
// Unwind rules, compiled by the debugger from .eh_frame.

enum class RuleType : uint8_t {
  none = 0,      // empty cache entry / no rule covers this pc
  sp,            // CFA = sp + cfa
  bp,            // CFA = bp + cfa
  end,           // outermost frame: no return address
  signal,        // rt_sigframe: bp, sp and pc come from the ucontext at sp
  plt,           // PLT stub: CFA = sp + ((pc & 15) >= cfa ? 16 : 8)
  bp_deref,      // DRAP: CFA = *(bp + cfa); RuleBody::bp is 0 and rbp was saved in the word at bp
  bad,           // covered, but not expressible
};

// RA is always at CFA - 8. bp = 0: rbp unchanged; otherwise rbp was saved at CFA + 8 * bp.
struct RuleBody {
  int32_t cfa;
  int16_t bp;
  uint8_t type;  // RuleType
  uint8_t reserved;
};
static_assert(sizeof(RuleBody) == 8);

// One loaded module. offsets[] is sorted; row i covers [base + offsets[i], base + offsets[i + 1]),
// the last one up to `end`. bodies[index[i]] is its rule. debugger; never changed once published.
struct Module {
  uint64_t begin;    // executable range, absolute
  uint64_t end;
  uint64_t base;     // what offsets[] are relative to
  uint64_t offsets;  // uint32_t[row_count]
  uint64_t index;    // uint16_t[row_count]
  uint64_t bodies;   // RuleBody[]
  uint32_t row_count;
  uint32_t incarnation;  // < 2^16: how many other modules covered part of this range before
};
static_assert(sizeof(Module) == 56);

// Sorted by begin, ranges disjoint. Replaced as a whole; the old one stays mapped and unchanged.
struct ModuleTable {
  uint32_t generation;  // differs from every earlier table's; a thread's previous stack of another
                        // generation is not reused
  uint32_t count;
  // Module modules[count];
};
static_assert(sizeof(ModuleTable) == 8);

// Rule cache: 4 entries a bucket, shared by all threads, filled by the agent's miss path. key is
// pc; written 0 first, then body, then key (release). The debugger zeroes it when code goes away.
struct RuleEntry {
  uint64_t pc;
  int32_t cfa;
  int16_t bp;
  uint8_t type;
  uint8_t reserved;
};
inline constexpr uint64_t kRuleBeingReplaced = 1;  // RuleEntry::pc while its body is written
struct RuleBucket {
  RuleEntry entries[4];
};
static_assert(sizeof(RuleBucket) == 64);

// ---------------------------------------------------------------------------------------------
// The ledger proper.

// One per granule of 2^granule_shift bytes of heap that was ever used; at most one block starts in
// a granule (glibc: 32; other allocators: 16), and the address is implied by the slot's place plus
// `upper`. What does not fit (unaligned, two in a granule, too large) goes to the odd table.
//
//   w0  0      valid      published last (store release), cleared first
//       1      upper      block starts at granule + 16 (only with granule_shift 5)
//       2..6   kind
//       7      truncated  the stack is incomplete
//       8..11  incarnation, +1 at every insert
//       12..55 size       requested bytes
//       56..63 time, bits 22..29
//   w1  0..25  stack      node id; 0 = no stack
//       26..41 thread     index into thread_records; 0 = unknown
//       42..63 time, bits 0..21   (tsc - start_tsc) >> kTimeShift
struct Slot {
  uint64_t w0;
  uint64_t w1;
};
inline constexpr unsigned kTimeShift = 22;
inline constexpr unsigned kSizeBits = 44;
inline constexpr unsigned kStackBits = 26;
inline constexpr unsigned kThreadBits = 16;

struct Entry {
  bool valid;
  bool upper;
  Kind kind;
  bool truncated;
  uint32_t incarnation;
  uint64_t size;
  uint32_t stack;
  uint32_t thread;
  uint32_t time;
};
constexpr Slot pack(const Entry& e) {
  return {(e.valid ? 1u : 0u) | (e.upper ? 2u : 0u) | uint64_t(e.kind) << 2 |
              uint64_t(e.truncated) << 7 | uint64_t(e.incarnation & 15) << 8 |
              (e.size & ((1ull << kSizeBits) - 1)) << 12 | uint64_t(e.time >> 22 & 255) << 56,
          uint64_t(e.stack) | uint64_t(e.thread) << 26 | uint64_t(e.time & 0x3fffff) << 42};
}
constexpr Entry unpack(const Slot& s) {
  return {(s.w0 & 1) != 0,
          (s.w0 & 2) != 0,
          Kind(s.w0 >> 2 & 31),
          (s.w0 >> 7 & 1) != 0,
          uint32_t(s.w0 >> 8 & 15),
          s.w0 >> 12 & ((1ull << kSizeBits) - 1),
          uint32_t(s.w1 & ((1u << kStackBits) - 1)),
          uint32_t(s.w1 >> 26 & ((1u << kThreadBits) - 1)),
          uint32_t(s.w1 >> 42 | (s.w0 >> 56) << 22)};
}

// address -> slot:  directory[a >> 33] -> table[(a >> kLeafShift) & (kTableSize-1)] -> leaf
// A leaf covers kLeafShift bits of address: 2^(kLeafShift - granule_shift) slots.
inline constexpr unsigned kAddressBits = 47;
inline constexpr unsigned kTableShift = 33;  // 8 GiB of addresses a table
inline constexpr unsigned kLeafShift = 17;   // 128 KiB of addresses a leaf
inline constexpr uint64_t kDirectorySize = 1ull << (kAddressBits - kTableShift);  // 16384
inline constexpr uint64_t kTableSize = 1ull << (kTableShift - kLeafShift);        // 65536

// Odd table: open addressing, segments of doubled size, never moved. key = encode(address), 0 empty.
struct OddEntry {
  uint64_t key;
  Slot slot;
  uint64_t reserved;
};
static_assert(sizeof(OddEntry) == 32);
inline constexpr unsigned kOddSegments = 20;
inline constexpr uint32_t kOddFirst = 4096;  // entries in segment 0; segment i has kOddFirst << i

// Stack depot: a node is a frame and its caller; the path from a node to id 0 is a stack, innermost
// first. pc is the return address; its bits 48..63 hold the module's incarnation.
struct Node {
  uint64_t pc;
  uint32_t parent;
  uint32_t interrupted;  // 1: pc is where a signal arrived, not a return address
};
static_assert(sizeof(Node) == 16);
inline constexpr uint32_t kNodesPerChunk = 4096;
inline constexpr uint32_t kNodeChunks = 1u << (kStackBits - 12);  // 16384
struct StackEntry {  // hash of a whole stack -> node
  uint64_t hash;
  uint32_t node;
  uint32_t reserved;
};
inline constexpr unsigned kStackSegments = 10;
inline constexpr uint32_t kStackFirst = 4096;  // entries in segment 0; segment i: kStackFirst << 2i

// Mapped segments: a record per mmap, mremap or shmat, or per piece that partial releases have left of
// one, plus one per partial release until what it released is cut out of the others. Replay all that
// count in order of `sequence`; the pieces of a mapping share its number.
struct MappingRecord {
  uint64_t sequence;  // taken after a mapping call, before a releasing one
  uint64_t begin;     // encode(address)
  uint64_t length;    // bytes, page multiple
  uint32_t state;     // MappingState, published last
  uint32_t kind;      // Kind: mmap, mremap, shmat; munmap, shmdt
  uint32_t stack;
  uint32_t thread;
  uint32_t time;
  uint32_t next;       // in a list: free records, or live ones that wait (State::mapping_queue)
  uint32_t flags;      // mmap: prot | flags << 8
  uint32_t truncated;  // 1: the stack is incomplete
  uint64_t reserved;
};
static_assert(sizeof(MappingRecord) == 64);
enum class MappingState : uint32_t {
  unused = 0,
  live = 1,
  dead = 2,     // its release is in progress
  cutting = 3,  // counts as live: a part is being cut out of it
};
inline constexpr uint32_t kMappingsPerChunk = 1024;
inline constexpr uint32_t kMappingChunks = 1024;

// Where mappings begin; a word is index + 1 of the record. For the agent alone.
// address -> directory[a >> kTableShift] -> table[] -> leaf[]
inline constexpr unsigned kMappingLeafShift = 22;      // 4 MiB of addresses a leaf
inline constexpr uint64_t kMappingLeafSize = 1 << 10;  // uint32_t: one page
inline constexpr uint64_t kMappingTableSize = 1ull << (kTableShift - kMappingLeafShift);

struct ThreadRecord {
  uint32_t tid;
  uint32_t first_time;
};
inline constexpr uint32_t kThreadsPerChunk = 4096;
inline constexpr uint32_t kThreadChunks = (1u << kThreadBits) / kThreadsPerChunk;

// Per-thread state, found by the thread pointer. agent.
struct StackFrame {
  uint64_t pc;          // return address, incarnation in bits 48..63
  uint64_t sp;          // stack pointer after the return
  uint64_t bp;
  uint64_t bp_slot;     // where bp was loaded from, 0: unchanged since the inner frame; bit 0: bp
                        // decides an outer CFA; bit 1: pc was interrupted by a signal, not called
  uint64_t hash;        // of this frame and all outer ones
};
inline constexpr uint32_t kMaxFrames = 1024;
inline constexpr uint32_t kNestedFrames = 256;

struct Thread {
  uint64_t tcb;         // encode(thread pointer)
  uint32_t tid;
  uint32_t index;       // into thread_records
  uint64_t busy;        // stack address of the innermost hook inside a real call; 0 none
  uint64_t stack_end;   // encode(end of the stack this thread usually runs on)
  uint64_t note_slot;   // operator new/delete: encode(stack slot of its return address)
  uint64_t note_return;  // and the word in it
  uint32_t note_kind;   // 0: no note
  uint32_t generation;  // of `frames`
  uint32_t frame_count;  // frames[0 .. frame_count): previous stack, outermost first
  uint32_t last_node;
  uint64_t last_hash;
  // What is in progress, for a reader at a stop.
  uint32_t in_flight_kind;  // 0: nothing
  uint32_t in_flight_reserved;
  uint64_t in_flight_block;  // realloc: encode(old block), its entry below; 0 otherwise
  Slot in_flight_slot;
  // Counters since tracking started, of all threads that ever had this block.
  uint64_t allocations;
  uint64_t releases;
  uint64_t bytes;        // requested, cumulative
  uint64_t unknown_releases;  // of addresses the ledger does not know
  uint64_t mismatched;   // released by the wrong family (new[] by delete, new by free ...)
  uint64_t truncated;    // stacks
  uint64_t frames_walked;
  uint64_t frames_reused;
  uint64_t stack_low;    // encode(lowest address of this thread's stack known to be readable)
  uint64_t walks[2];     // stack address of the walk in progress that uses frames/nested; 0 none
  uint64_t note_size;    // operator new: what was asked for (malloc gets at least 1, aligned_alloc more)
  uint64_t stack_hole;   // encode(a page below stack_low that cannot be read): another stack; 0 none
  StackFrame frames[kMaxFrames];
  StackFrame fresh[kMaxFrames];        // scratch: frames not yet known to be in `frames`, innermost first
  StackFrame nested[kNestedFrames];    // scratch of a walk that interrupted another one (signal)
};

struct ThreadEntry {
  uint64_t tcb;     // encode(thread pointer), 0 empty
  uint64_t thread;  // Thread*
};
inline constexpr uint32_t kThreadTableSize = 8192;

inline constexpr uint64_t kArenaFull = 0x1000;  // State::arena_error: max_bytes are handed out

inline constexpr uint32_t kUndumped = 12;
inline constexpr uint64_t kText = 1;

// The state: read-write, private, allocated and configured by the debugger; the rest is the agent's.
struct State {
  uint64_t magic;
  uint32_t version;
  uint32_t size;  // sizeof(State)
  // Configuration. debugger, before active.
  uint32_t granule_shift;   // 5: every tracked allocator keeps block starts 32 bytes apart; else 4
  uint32_t flags;           // StateFlags
  uint64_t main_stack_end;  // encode(end of the [stack] mapping)
  uint64_t start_tsc;
  uint64_t rules;           // RuleBucket[rule_mask + 1]
  uint64_t rule_mask;
  uint64_t modules;         // ModuleTable*, swapped as a whole
  uint64_t max_bytes;       // of the arena; 0 = no limit
  // Begin and end of memory that the agent leaves out of core files (MADV_DONTDUMP) when it places its
  // arena, page aligned; 0: none. Memory of ours that nobody needs to read the ledger, and with kText set
  // in `begin` the program's text that was written to: the kernel would dump every page of it.
  uint64_t undumped[kUndumped][2];
  // Arena: addresses that are mapped from the front, as they are needed. Nothing is mapped ahead, so that
  // limits of address space which the program puts on itself mean what they meant. agent.
  uint64_t arena_begin;
  uint64_t arena_end;     // of the addresses it may come to use
  uint64_t arena_next;    // bytes from arena_begin that are handed out
  uint64_t arena_opened;  // bytes ever mapped
  uint64_t arena_word;    // arena_begin | log2(size); the word the agent itself goes by
  uint64_t arena_error;   // why it could not grow when it last could not: an errno, or kArenaFull; 0 never
  // Counters without a thread. agent.
  uint64_t dropped;            // allocations not recorded: no memory
  uint64_t dropped_mappings;
  uint64_t dropped_stacks;     // recorded without a stack: no memory
  uint64_t threads_without_state;
  uint64_t other_allocations;  // counters of hooks that ran without thread state
  uint64_t other_releases;
  uint64_t other_bytes;
  uint64_t sequence;
  uint32_t tid_offset;         // of the tid in the thread control block; found by the agent; 0 unknown
  uint32_t thread_count;       // indexes handed out: 1 .. thread_count; index 0 is "unknown"
  uint32_t node_count;         // ids handed out: 1 .. node_count; id 0 is "no stack"
  uint32_t mapping_count;      // indexes handed out: 0 .. mapping_count - 1
  uint64_t mapping_free;       // tag << 32 | index + 1
  uint64_t odd_count;          // keys ever inserted
  uint64_t stack_entries;      // hashes ever inserted
  uint32_t mapping_token;      // odd: a thread is cutting mapping records
  uint32_t mapping_queue;      // records that wait for it: a list by `next`, index + 1
  uint64_t mapping_longest;    // bytes of the longest mapping ever recorded
  uint64_t mapping_index;      // where mappings begin: uint64_t[kDirectorySize]
  // Pointers, each published by compare and swap. agent.
  uint64_t odd[kOddSegments];
  uint64_t stacks[kStackSegments];
  uint64_t thread_records[kThreadChunks];
  uint64_t mappings[kMappingChunks];
  uint64_t nodes[kNodeChunks];
  ThreadEntry threads[kThreadTableSize];
  uint64_t directory[kDirectorySize];
};
enum StateFlags : uint32_t {
  kRecordStacks = 1,
  kRecordTime = 2,
  kMaxIsShare = 4,  // max_bytes is a share of what the process's own limits leave, not the user's choice
};

}  // namespace heapledger::agent
