// SPDX-License-Identifier: Apache-2.0
//
// A line a user typed, cut into words.
#pragma once

#include <string>
#include <vector>

namespace heapledger {

// At spaces; quotes keep a word together.
std::vector<std::string> split_words(const std::string& line);

// The last word may be empty: what is to be completed.
std::vector<std::string> words_to_complete(const std::string& line);

}  // namespace heapledger
