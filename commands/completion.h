// SPDX-License-Identifier: Apache-2.0
//
// What could stand for the last of the words typed after `leaks`.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace heapledger {

std::vector<std::string> completions(std::span<const std::string> words);

}  // namespace heapledger
