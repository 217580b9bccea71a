// SPDX-License-Identifier: Apache-2.0
//
// Exact and text reads on top of Memory::read_up_to.
#include "inferior/memory.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace heapledger {

Result<void> Memory::read(Address address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t got = read_up_to(address + done, out.subspan(done));
    if (got == 0) {
      return fail("cannot read {} bytes at {:#x}: {:#x} is unreadable", out.size(), address,
                  address + done);
    }
    done += got;
  }
  return {};
}

std::string Memory::read_c_string(Address address, std::size_t limit) const {
  std::string text;
  std::array<std::byte, 256> piece;
  while (text.size() < limit) {
    const std::size_t want = std::min(piece.size(), limit - text.size());
    const std::size_t got = read_up_to(address + text.size(), std::span(piece).first(want));
    const char* bytes = reinterpret_cast<const char*>(piece.data());
    const std::size_t length = strnlen(bytes, got);
    text.append(bytes, length);
    if (length < want) {
      break;  // the terminator, or the end of what is readable
    }
  }
  return text;
}

}  // namespace heapledger
