// SPDX-License-Identifier: Apache-2.0
//
// What somebody meant who typed a word that does not exist.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace heapledger {

// Letters to add, drop, change or swap with their neighbour (optimal string alignment: no part is changed
// twice).
std::size_t spelling_distance(std::string_view a, std::string_view b);

// The word nearest to `typed` if it is one mistake away, two in a word of six letters or more.
std::optional<std::string> meant(std::string_view typed, std::span<const std::string> words);

}  // namespace heapledger
