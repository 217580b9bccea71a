// SPDX-License-Identifier: Apache-2.0
#include "tracking/signal_frame.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace heapledger {
namespace {

constexpr std::uint64_t kStackLimit = 8 << 20;
constexpr std::size_t kChunkWords = 32768;
constexpr int kMostStacks = 8;

// struct rt_sigframe { pretcode; struct ucontext { flags, link, stack[3], sigcontext }; siginfo }
// in words; sigcontext is r8..r15 di si bp bx dx ax cx sp ip flags, then cs gs fs ss as 16 bits
// each.
constexpr std::size_t kReturnAddress = 0;
constexpr std::size_t kContextFlags = 1;
constexpr std::size_t kContextLink = 2;
constexpr std::size_t kRegisters = 6;
constexpr std::size_t kSp = kRegisters + 15;
constexpr std::size_t kIp = kRegisters + 16;
constexpr std::size_t kSegments = kRegisters + 18;
constexpr std::size_t kFrameWords = kSegments + 1;

constexpr std::uint64_t kUserCode64 = 0x33;  // cs of 64-bit user code
constexpr std::uint64_t kContextFlagBits =
    0x7;  // UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS

bool looks_like_frame(std::span<const std::uint64_t> words) {
  return (words[kSegments] & 0xffff) == kUserCode64 && words[kContextLink] == 0 &&
         (words[kContextFlags] & ~kContextFlagBits) == 0 && words[kReturnAddress] != 0;
}

// Chunks overlap by a frame, so that none is cut.
void scan_stack(const Memory& memory, AddressRange stack, std::vector<SignalFrame>& frames) {
  std::vector<std::uint64_t> words(kChunkWords);
  for (Address at = stack.begin; at < stack.end;) {
    const std::uint64_t wanted = std::min<std::uint64_t>(kChunkWords * 8, stack.end - at);
    const auto buffer = std::as_writable_bytes(std::span(words)).first(wanted);
    const std::size_t count = memory.read_up_to(at, buffer) / 8;
    if (count < kFrameWords) return;
    for (std::size_t i = 0; i + kFrameWords <= count; ++i) {
      const auto frame = std::span<const std::uint64_t>(words).subspan(i, kFrameWords);
      if (looks_like_frame(frame) && calls_sigreturn(memory, frame[kReturnAddress])) {
        frames.push_back({at + 8 * (i + kIp), frame[kIp], frame[kSp]});
      }
    }
    at += 8 * (count - kFrameWords + 1);
  }
}

}  // namespace

bool calls_sigreturn(const Memory& memory, Address code) {
  constexpr std::array<std::uint8_t, 9> kMov64 = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  constexpr std::array<std::uint8_t, 7> kMov32 = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
  std::array<std::uint8_t, 9> found{};
  memory.read_up_to(code, std::as_writable_bytes(std::span(found)));
  return found == kMov64 || std::equal(kMov32.begin(), kMov32.end(), found.begin());
}

std::vector<SignalFrame> find_signal_frames(const Memory& memory, const Mappings& mappings,
                                            Address sp) {
  std::vector<SignalFrame> frames;
  std::vector<AddressRange> scanned;
  const auto scan_from = [&](Address start) {
    const Mapping* mapping = find_mapping(mappings, start);
    if (!mapping || scanned.size() == kMostStacks) return;
    for (const AddressRange& range : scanned) {
      if (range.contains(start)) return;
    }
    const Address begin = start & ~Address{7};
    scanned.push_back({begin, std::min(mapping->range.end, begin + kStackLimit)});
    scan_stack(memory, scanned.back(), frames);
  };
  scan_from(sp);
  for (std::size_t i = 0; i < frames.size(); ++i) scan_from(frames[i].sp);
  return frames;
}

}  // namespace heapledger
