// SPDX-License-Identifier: Apache-2.0
#include "commands/words.h"

#include <CLI/CLI.hpp>

namespace heapledger {

std::vector<std::string> split_words(const std::string& line) {
  return CLI::detail::split_up(line);
}

std::vector<std::string> words_to_complete(const std::string& line) {
  std::vector<std::string> words = split_words(line);
  if (line.empty() || line.back() == ' ' || line.back() == '\t') words.emplace_back();
  return words;
}

}  // namespace heapledger
