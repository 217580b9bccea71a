// SPDX-License-Identifier: Apache-2.0
//
// The small files of /proc: read whole, and numbers behind titles ("VmSize:     2500 kB").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heapledger {

// At most `limit` bytes, because files of /proc tell no size; empty when it cannot be read.
std::string read_proc_file(const std::string& path, std::size_t limit = 1 << 16);
std::string read_proc_file(std::uint64_t pid, const char* name);

// The number behind a line's title; nullopt: there is no such line, or no number ("unlimited").
std::optional<std::uint64_t> number_after(std::string_view text, std::string_view title, int base = 10);

}  // namespace heapledger
