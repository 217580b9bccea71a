// SPDX-License-Identifier: Apache-2.0
#include "commands/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

namespace heapledger {
namespace {

const OptionSpec* find_option(std::span<const OptionSpec> options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const OptionSpec& o) { return o.name == name; });
  return found == options.end() ? nullptr : &*found;
}

std::string expected_value(const OptionSpec& option) {
  return option.choices.empty() ? option.value : fmt::format("{}", fmt::join(option.choices, ", "));
}

bool is_negative_number(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9';
}

std::string unknown_option(std::span<const OptionSpec> options, const std::string& word) {
  std::vector<std::string> names;
  for (const OptionSpec& option : options) names.push_back(option.name);
  if (names.empty()) return fmt::format("unknown option {}: this command takes none", word);
  return fmt::format("unknown option {}: expected one of {}", word, fmt::join(names, ", "));
}

// CLI11 tells of an option in the form "--sort: 1 required TEXT missing".
std::string in_our_words(std::span<const OptionSpec> options, const std::string& message) {
  for (const OptionSpec& option : options) {
    if (message.find(option.name) == std::string::npos) continue;
    if (option.value.empty()) return fmt::format("{} takes no value", option.name);
    return fmt::format("{} needs a value: {}", option.name, expected_value(option));
  }
  return message.substr(0, message.find('\n'));
}

Result<void> check_choice(std::string_view what, const std::vector<std::string>& choices,
                          const std::string& value) {
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) {
    return {};
  }
  return fail("{} must be {}, not '{}'", what, fmt::join(choices, ", "), value);
}

// What CLI11 left over: the positional argument, or words that have no place.
Result<std::optional<std::string>> take_positional(std::span<const OptionSpec> options,
                                                   const std::optional<PositionalSpec>& positional,
                                                   std::span<const std::string> words) {
  std::optional<std::string> taken;
  bool options_ended = false;
  for (const std::string& word : words) {
    if (word == "--" && !options_ended) {
      options_ended = true;
      continue;
    }
    if (word.starts_with("-") && word.size() > 1 && !options_ended) {
      if (positional && is_negative_number(word)) {
        return fail("{} must be {}, not '{}'", positional->name, positional->expected, word);
      }
      return fail("{}", unknown_option(options, word));
    }
    if (!positional || (taken && !positional->rest)) return fail("unexpected argument '{}'", word);
    taken = taken ? *taken + " " + word : word;
  }
  if (!taken) {
    if (positional && positional->required) {
      return fail("{} is missing: expected {}", positional->name, positional->expected);
    }
    return std::nullopt;
  }
  auto right = check_choice(positional->name, positional->choices, *taken);
  if (!right) return tl::unexpected(right.error());
  return taken;
}

std::optional<std::uint64_t> parse_digits(std::string_view text, int base) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

Result<Arguments> Arguments::parse(std::span<const OptionSpec> options,
                                   const std::optional<PositionalSpec>& positional,
                                   std::span<const std::string> words) {
  Arguments result;
  std::map<std::string, bool> flags;
  std::vector<std::string> rest;
  try {
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    for (const OptionSpec& option : options) {
      if (option.value.empty()) {
        app.add_flag(option.name, flags[option.name]);
      } else {
        app.add_option(option.name, result.values_[option.name])
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      }
    }
    std::vector<std::string> backwards(words.rbegin(), words.rend());  // as CLI11 takes them
    app.parse(backwards);
    rest = app.remaining();
  } catch (const CLI::Error& error) {
    return fail("{}", in_our_words(options, error.what()));
  }
  std::erase_if(result.values_, [](const auto& entry) { return entry.second.empty(); });
  for (const auto& [name, given] : flags) {
    if (given) result.values_[name].emplace_back();
  }
  for (const OptionSpec& option : options) {
    for (const std::string& value : result.all(option.name)) {
      // CLI11 takes whatever comes next for a value.
      if (find_option(options, value) != nullptr) {
        return fail("{} needs a value: {}", option.name, expected_value(option));
      }
      auto right = check_choice(option.name, option.choices, value);
      if (!right) return tl::unexpected(right.error());
    }
  }
  auto place = take_positional(options, positional, rest);
  if (!place) return tl::unexpected(place.error());
  result.positional_ = std::move(*place);
  return result;
}

std::optional<std::string> Arguments::value(const std::string& option) const {
  const auto found = values_.find(option);
  if (found == values_.end()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Arguments::all(const std::string& option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

Result<std::optional<std::uint64_t>> Arguments::number(const std::string& option) const {
  const auto text = value(option);
  if (!text) return std::nullopt;
  const auto parsed = parse_number(*text);
  if (!parsed) return fail("{} must be a number, not '{}'", option, *text);
  return parsed;
}

Result<std::optional<std::uint64_t>> Arguments::bytes(const std::string& option) const {
  const auto text = value(option);
  if (!text) return std::nullopt;
  const auto parsed = parse_bytes(*text);
  if (!parsed) {
    return fail("{} must be a number of bytes such as 4096, 4k or 2M, not '{}'", option, *text);
  }
  return parsed;
}

std::optional<std::uint64_t> parse_number(std::string_view text) { return parse_digits(text, 10); }

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  constexpr std::string_view kSuffixes = "kmgt";
  if (text.empty()) return std::nullopt;
  const char last = text.back() >= 'A' && text.back() <= 'Z' ? char(text.back() + 32) : text.back();
  const std::size_t place = kSuffixes.find(last);
  unsigned shift = 0;
  if (place != std::string_view::npos) {
    shift = 10 * unsigned(place + 1);
    text.remove_suffix(1);
  }
  const auto number = parse_digits(text, 10);
  if (!number || *number > (UINT64_MAX >> shift)) return std::nullopt;
  return *number << shift;
}

std::optional<Address> parse_hexadecimal(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return parse_digits(text, 16);
}

std::optional<TypedAddress> parse_address(std::string_view text) {
  const auto hexadecimal = parse_hexadecimal(text);
  const auto decimal = parse_digits(text, 10);
  if (hexadecimal) return TypedAddress{*hexadecimal, decimal};
  if (decimal) return TypedAddress{*decimal, std::nullopt};  // 17 digits and more
  return std::nullopt;
}

}  // namespace heapledger
