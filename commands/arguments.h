// SPDX-License-Identifier: Apache-2.0
//
// Words a user typed after a command, checked against what the command takes. The table of options
// here is also where help and completion come from. CLI11 reads the words; its errors become one
// line of ours that names the argument and what was expected.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inferior/address.h"
#include "inferior/result.h"

namespace heapledger {

struct OptionSpec {
  std::string name;                  // "--sort"
  std::string value;                 // "MS"; empty: a flag
  std::string help;                  // one line, lower case, no full stop
  std::vector<std::string> choices;  // when only these are right
  bool repeated = false;
};

struct PositionalSpec {
  std::string name;   // "ADDR"
  bool required = false;
  std::string expected;              // for errors: "an address such as 0x7f8f70863220"
  std::vector<std::string> choices;
  bool rest = false;                 // takes all remaining words, joined by spaces (an expression)
};

class Arguments {
 public:
  static Result<Arguments> parse(std::span<const OptionSpec> options,
                                 const std::optional<PositionalSpec>& positional,
                                 std::span<const std::string> words);

  bool has(const std::string& option) const { return values_.contains(option); }
  // The last value given; values of repeated options in order.
  std::optional<std::string> value(const std::string& option) const;
  std::vector<std::string> all(const std::string& option) const;
  const std::optional<std::string>& positional() const { return positional_; }

  // nullopt when the option was not given; the Error names it and what was expected.
  Result<std::optional<std::uint64_t>> number(const std::string& option) const;
  Result<std::optional<std::uint64_t>> bytes(const std::string& option) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::optional<std::string> positional_;
};

// Digits only, no sign; nullopt when `text` is anything else or does not fit.
std::optional<std::uint64_t> parse_number(std::string_view text);
// A number with an optional suffix k, M, G or T (times 1024, upper or lower case).
std::optional<std::uint64_t> parse_bytes(std::string_view text);
// Hexadecimal with or without 0x.
std::optional<Address> parse_hexadecimal(std::string_view text);

// An address as it was typed. Digits alone can be read in two ways: hexadecimal as `leaks top
// --addresses` prints them, decimal as JSON has them.
struct TypedAddress {
  Address value;
  std::optional<Address> decimal;  // the other reading
  friend bool operator==(const TypedAddress&, const TypedAddress&) = default;
};
std::optional<TypedAddress> parse_address(std::string_view text);

}  // namespace heapledger
