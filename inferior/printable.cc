// SPDX-License-Identifier: Apache-2.0
#include "inferior/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace heapledger {
namespace {

std::uint8_t byte(char c) { return static_cast<std::uint8_t>(c); }

// Bytes of the well-formed UTF-8 sequence that `text` begins with (Unicode, table 3-7); 0: none.
std::size_t sequence(std::string_view text) {
  const std::uint8_t first = byte(text[0]);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(text[i]) & 0xc0) != 0x80) return 0;
  }
  const std::uint8_t second = byte(text[1]);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool beyond = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return overlong || beyond ? 0 : size;
}

// U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: what follows is shown in another order.
bool is_direction(std::string_view sequence) {
  if (!sequence.starts_with("\xe2\x80") && !sequence.starts_with("\xe2\x81")) return false;
  const std::uint8_t last = byte(sequence[2]);
  return byte(sequence[1]) == 0x80 ? last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae)
                                   : last >= 0xa6 && last <= 0xa9;
}

bool is_control(std::string_view sequence) {
  const std::uint8_t first = byte(sequence[0]);
  if (is_direction(sequence)) return true;
  return first < 0x20 || first == 0x7f || (first == 0xc2 && byte(sequence[1]) < 0xa0);
}

std::string in_numbers(std::string_view text, std::string_view but) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = sequence(text);
    const std::string_view piece = text.substr(0, std::max<std::size_t>(size, 1));
    text.remove_prefix(piece.size());
    if (size != 0 && (!is_control(piece) || but.find(piece[0]) != std::string_view::npos)) {
      result += piece;
      continue;
    }
    for (const char c : piece) fmt::format_to(std::back_inserter(result), "\\x{:02x}", byte(c));
  }
  return result;
}

}  // namespace

std::string printable(std::string_view text) { return in_numbers(text, "\n\t"); }
std::string one_line(std::string_view name) { return in_numbers(name, ""); }

}  // namespace heapledger
