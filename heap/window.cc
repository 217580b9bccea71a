// SPDX-License-Identifier: Apache-2.0
//
// The window moves forward from the wanted word, or ends behind it when the reader goes down.
#include "heap/window.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

}  // namespace

std::optional<std::uint64_t> Window::load(Address address) {
  const std::uint64_t window = bytes_.size();
  if (address > ~Address{0} - window) {
    return std::nullopt;
  }
  const Address forward = address & ~(kPage - 1);
  const bool falls = size_ != 0 && address < begin_ && begin_ - address < window;
  const Address backward = forward + 2 * kPage - window;
  if (falls && forward + 2 * kPage > window) {
    begin_ = backward;
    size_ = memory_.read_up_to(begin_, bytes_);
    if (address + 8 <= begin_ + size_) {
      return word(address);
    }
  }
  begin_ = forward;
  size_ = memory_.read_up_to(begin_, bytes_);
  if (address + 8 > begin_ + size_) {
    return std::nullopt;
  }
  return word(address);
}

}  // namespace heapledger
