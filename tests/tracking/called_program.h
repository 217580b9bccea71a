// SPDX-License-Identifier: Apache-2.0
//
// A program that is played call by call, for tests of what records its allocations.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tracking/call_recorder.h"
#include "tracking/entry_points.h"

namespace heapledger::testing {

// "operator new[]" of "operator new[](unsigned long)"; the first entry point of that kind.
inline std::string name_of(agent::Kind kind) {
  for (const EntryPoint& entry : entry_points()) {
    if (entry.kind == kind) return entry.name.substr(0, entry.name.find('('));
  }
  return "none";
}

inline constexpr std::uint64_t kFailed = ~std::uint64_t{0};

// A program that is played call by call, as a debugger would see it. Its functions are the list's.
class CalledProgram final : public CallWorld, public Memory {
 public:
  explicit CalledProgram(bool stacks = true) : recorder(*this, stacks) {}

  // The innermost frame calls `name`; each call has a return address of its own.
  CalledProgram& call(const std::string& name, std::vector<std::uint64_t> arguments = {}) {
    push();
    return enter(name, arguments);
  }
  // The innermost function jumps to `name` instead of returning.
  CalledProgram& jump(const std::string& name, std::vector<std::uint64_t> arguments = {}) {
    return enter(name, arguments);
  }
  // It returns.
  CalledProgram& ret(std::uint64_t value = 0) {
    const Frame frame = pop();
    if (watched_.contains(frame.back)) {
      recorder.returned({.tid = tid, .pc = frame.back, .sp = frame.sp + 8, .rax = value});
    }
    return *this;
  }
  // Another function of the program, which the recorder is not told of.
  CalledProgram& function() {
    push();
    return *this;
  }
  // A signal handler begins; leave() ends it.
  CalledProgram& signal() {
    sp() -= 2048;
    frames().push_back({next_site_ += 16, sp(), true});
    return *this;
  }
  // The innermost frame is gone without having returned (longjmp, an exception).
  CalledProgram& leave() {
    pop();
    return *this;
  }
  CalledProgram& word(Address address, std::uint64_t value) {
    words_[address] = value;
    return *this;
  }
  CalledProgram& thread(std::uint64_t which) {
    tid = which;
    return *this;
  }

  // "0x1000 100 malloc", one line each.
  std::string ledger() {
    std::string text;
    const Ledger ledger = recorder.ledger();
    for (const Allocation& a : ledger.recorded()) {
      text += fmt::format("{:#x} {} {}{}\n", a.block.start, a.block.size, name_of(a.kind),
                          a.in_flight ? " in flight" : "");
    }
    return text;
  }
  LedgerCounters counters() { return recorder.ledger().counters(); }

  // CallWorld and Memory.
  const Memory& memory() override { return *this; }
  std::size_t read_up_to(Address address, std::span<std::byte> out) const override {
    const auto found = words_.find(address);
    if (found == words_.end() || out.size() != 8) return 0;
    std::memcpy(out.data(), &found->second, 8);
    return 8;
  }
  std::vector<CodeAddress> call_stack(std::uint64_t which) override {
    ++stacks_taken;
    std::vector<CodeAddress> stack{{.pc = pc_}};
    if (!unwinds) return stack;
    const auto& list = threads_[which].frames;
    for (auto frame = list.rbegin(); frame != list.rend(); ++frame) {
      if (frame->interrupted) stack.push_back({.pc = kRestorer});
      stack.push_back({.pc = frame->back, .interrupted = frame->interrupted});
    }
    return stack;
  }
  std::uint64_t mapping_size(Address) override { return segment_size; }
  std::uint64_t milliseconds() override { return now; }

  CallRecorder recorder;
  std::uint64_t tid = 1;
  std::uint64_t now = 0;
  std::uint64_t segment_size = 0;
  int stacks_taken = 0;
  bool unwinds = true;

 private:
  static constexpr Address kRestorer = 0x7f0000;
  struct Frame {
    Address back, sp;
    bool interrupted;
  };
  struct Thread {
    std::vector<Frame> frames;
    Address sp = 0x7ffff000;
  };
  std::vector<Frame>& frames() { return threads_[tid].frames; }
  Address& sp() { return threads_[tid].sp; }

  void push() {
    sp() -= 64;
    frames().push_back({next_site_ += 16, sp(), false});
    words_[sp()] = frames().back().back;
  }
  CalledProgram& enter(const std::string& name, std::vector<std::uint64_t> arguments) {
    const EntryPoint* entry = find_entry_point(name);
    arguments.resize(4);
    pc_ = 0x10000 + 0x100 * Address(entry - entry_points().data());
    const auto back = recorder.entered(
        entry->kind, entry->shape,
        {.tid = tid, .pc = pc_, .sp = frames().back().sp, .rdi = arguments[0],
         .rsi = arguments[1], .rdx = arguments[2], .rcx = arguments[3]});
    if (back) watched_[*back] = true;
    return *this;
  }
  Frame pop() {
    const Frame frame = frames().back();
    frames().pop_back();
    sp() += frame.interrupted ? 2048 : 64;
    pc_ = frame.back;
    return frame;
  }

  std::map<std::uint64_t, Thread> threads_;
  std::map<Address, std::uint64_t> words_;
  std::map<Address, bool> watched_;
  Address next_site_ = 0x400000;
  Address pc_ = 0;
};

}  // namespace heapledger::testing
