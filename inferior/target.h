// SPDX-License-Identifier: Apache-2.0
//
// The one door to the debugged process. plugin/ (LLDB) and python/ (gdb) implement it; the engine
// asks few questions, in batches, and never mirrors a debugger's API.
//
// Two levels: Target observes (works on cores and remotely), TargetControl changes the inferior.
// What is slow or different in the debuggers the project does itself for local processes
// (/proc/PID/maps, process_vm_readv, ELF files): Target supplies identity, registers, symbols,
// variables, code writes, breakpoints, output and interruption.
//
// All methods are called on the debugger's own thread while the inferior is stopped; none throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inferior/address.h"
#include "inferior/mappings.h"
#include "inferior/memory.h"
#include "inferior/result.h"

namespace heapledger {

enum class ProcessKind { none, live_local, live_remote, core };
enum class ProcessState { none, running, stopped, exited };

struct ThreadState {
  std::uint64_t tid = 0;         // the kernel's
  std::uint32_t index = 0;       // the debugger's number, 1-based
  Address pc = 0;
  Address sp = 0;
  Address fs_base = 0;           // 0: unknown
  bool has_registers = false;    // false: pc and sp only, or nothing
  // rax rbx rcx rdx rsi rdi rbp r8..r15 (without rsp and rip)
  std::array<std::uint64_t, 15> general{};
  std::vector<std::uint64_t> vector;  // xmm/ymm/zmm contents as 64-bit words; may be empty
  std::string name;
};

// A code address: pc is what is looked up (callers subtract 1 from return addresses themselves).
struct CodeAddress {
  Address pc = 0;
  std::uint16_t incarnation = 0;  // of the module at that address, see agent/protocol.h Module
  bool interrupted = false;       // no return address: a signal arrived at pc; look up pc itself
};

struct SymbolFrame {
  std::string function;   // demangled; empty: unknown
  std::string file;       // full path; empty: unknown
  std::uint32_t line = 0;
  std::string module;     // file name of the module, e.g. libc.so.6; empty: unknown
  std::uint64_t offset = 0;         // pc - start of the (non-inlined) function, 0 for inlined frames
  std::uint64_t module_offset = 0;  // pc - load bias
  Address address = 0;
  bool inlined = false;   // inlined into the next frame of the list
};

struct DataName {         // a place in module data: "g_server+8 [app]"
  std::string symbol;
  std::uint64_t offset = 0;
  std::string module;
  std::string file;
  std::uint32_t line = 0;
};

struct Variable {
  std::string name;
  std::string type;
  AddressRange range;
};

struct FrameInfo {        // one frame of a thread's backtrace, innermost first
  std::uint32_t index = 0;
  Address pc = 0;
  Address cfa = 0;        // end of the frame's own stack memory
  std::string function;
  std::string file;
  std::uint32_t line = 0;
  std::vector<Variable> variables;  // with an address in memory only
};

// A module as the debugger lists it. Only asked for where the project cannot look itself: remote
// processes.
struct LoadedModule {
  std::string path;  // of a file this machine can read; the debugger found or fetched it
  Address bias = 0;  // run-time address = bias + link-time address
  bool is_program = false;
};

// A thread that came to a watched address (TargetControl::watch), before it executes what is there.
struct WatchedStop {
  std::uint64_t tid = 0;
  Address pc = 0;  // the watched address
  Address sp = 0;
  // At a function's entry the first four arguments; at a return rax is the result.
  std::uint64_t rdi = 0, rsi = 0, rdx = 0, rcx = 0;
  std::uint64_t rax = 0;
  std::uint64_t r11 = 0;  // neither argument nor result: free for what jumps there
};

class WatchVisitor {
 public:
  virtual ~WatchVisitor() = default;
  // On the debugger's thread; every thread is stopped, and goes on afterwards without the user being
  // told. May read memory, ask for call_stack(stop.tid), watch further addresses and set_pc(stop.tid);
  // may not unwatch, nor call functions of the inferior.
  virtual void reached(const WatchedStop& stop) = 0;
};

class Target {
 public:
  virtual ~Target() = default;

  // Identity.
  virtual ProcessKind kind() = 0;
  virtual ProcessState state() = 0;
  virtual std::uint64_t pid() = 0;
  virtual std::uint64_t stop_id() = 0;         // changes whenever the process has run
  virtual std::string program_path() = 0;      // the executable's, or empty
  virtual bool is_x86_64() = 0;
  // What of the process this target lacks by its nature (a core file that was cut off), in words.
  virtual std::string missing_evidence() { return ""; }
  virtual std::string debugger() = 0;          // "lldb 19.1.7"
  virtual std::optional<int> exit_status() = 0;

  // Observing.
  virtual const Memory& memory() = 0;          // fast path for local processes
  virtual Result<Mappings> mappings() = 0;
  virtual std::vector<ThreadState> thread_positions() = 0;  // tid, index, pc, sp only; cheap
  virtual std::vector<ThreadState> threads() = 0;           // with registers
  // One list per address, innermost (most inlined) frame first, at least one entry each.
  virtual std::vector<std::vector<SymbolFrame>> symbolize(std::span<const CodeAddress>) = 0;
  virtual std::optional<DataName> name_data(Address) = 0;
  virtual std::vector<FrameInfo> backtrace(std::uint64_t tid, bool with_variables) = 0;
  // The thread's pc, then return addresses outwards, by the debugger's own unwinder: frames that were
  // called, not inlined ones. `interrupted` is set in the frame a signal handler returns to. At most
  // `limit` frames; empty when the debugger cannot tell.
  virtual std::vector<CodeAddress> call_stack(std::uint64_t tid, std::size_t limit) {
    (void)tid, (void)limit;
    return {};
  }
  // What the debugger has loaded into the process; empty where it is not asked (see LoadedModule).
  virtual std::vector<LoadedModule> loaded_modules() { return {}; }
  virtual Result<Address> evaluate(const std::string& expression) = 0;

  // The user.
  virtual void out(std::string_view text) = 0;      // streams at once
  virtual bool interrupted() = 0;                   // Ctrl-C since the command began
  virtual void progress(std::uint64_t done, std::uint64_t total, std::string_view what) = 0;
};

class TargetControl {
 public:
  virtual ~TargetControl() = default;

  // False at an event where the debugger holds one thread only (gdb at a loader event): functions that
  // run may not be patched, and nothing can be called.
  virtual bool all_stopped() { return true; }
  // The process goes with its debugger, however that ends (gdb kills what it launched).
  virtual bool dies_with_debugger() { return false; }
  // Memory of ours beside what allocate() handed out. Never a root.
  virtual std::vector<AddressRange> reserves() { return {}; }

  // Private anonymous memory in the inferior, page granular, zero filled. Executable means R-X,
  // otherwise RW-. With near != 0 every byte lies within +-2 GiB of every byte of `near`.
  virtual Result<Address> allocate(std::uint64_t size, bool executable, AddressRange near) = 0;
  // Code or read-only data, through the debugger so that its caches stay true. User breakpoints in
  // the range are disabled around the write and enabled again: they keep working (debugger-api A7).
  virtual Result<void> write_code(Address address, std::span<const std::byte> bytes) = 0;
  // Writable data, fast.
  virtual Result<void> write_data(Address address, std::span<const std::byte> bytes) = 0;
  // Places of breakpoint traps (enabled, inserted) inside the range, the user's and the debugger's.
  virtual std::vector<Address> breakpoints_in(AddressRange range) = 0;
  virtual Result<void> set_pc(std::uint64_t tid, Address pc) = 0;
  // Calls a function of the inferior with up to 6 integer arguments on a stopped thread, others
  // stay stopped.
  virtual Result<std::uint64_t> call(Address function, std::span<const std::uint64_t> arguments) = 0;
  // Tells the debugger of an ELF file mapped at `base`, so that backtraces through it are right.
  virtual Result<void> announce(std::span<const std::byte> elf, Address base,
                                const std::string& name) = 0;

  // A breakpoint of ours that the user neither sees nor stops at: `visitor` is told whenever a thread
  // comes to `address`, until unwatch or the end of the process image. One visitor per address (a
  // second watch replaces it); it outlives its watches. A breakpoint of the user's at the same address
  // keeps working.
  virtual Result<void> watch(Address address, WatchVisitor& visitor) {
    (void)visitor;
    return fail("cannot watch {:#x}: this debugger cannot do that", address);
  }
  virtual void unwatch(Address address) { (void)address; }
};

}  // namespace heapledger
