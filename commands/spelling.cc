// SPDX-License-Identifier: Apache-2.0
#include "commands/spelling.h"

#include <algorithm>
#include <vector>

namespace heapledger {

std::size_t spelling_distance(std::string_view a, std::string_view b) {
  // Rows of the table for the first i - 2, i - 1 and i letters of `a`.
  std::vector<std::size_t> before_last, last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({changed, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = last;
    last = row;
  }
  return last[b.size()];
}

std::optional<std::string> meant(std::string_view typed, std::span<const std::string> words) {
  constexpr std::size_t kLongest = 64;  // nobody means a command by more
  if (typed.size() > kLongest) return std::nullopt;
  std::size_t nearest = typed.size() < 6 ? 1 : 2;
  std::optional<std::string> found;
  for (const std::string& word : words) {
    const std::size_t distance = spelling_distance(typed, word);
    if (distance > nearest || (found && distance == nearest)) continue;
    nearest = distance;
    found = word;
  }
  return found;
}

}  // namespace heapledger
