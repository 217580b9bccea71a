// SPDX-License-Identifier: Apache-2.0
#include "plugin/evaluation.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "plugin/sb_text.h"

namespace heapledger {
namespace {

constexpr std::uint32_t kTimeout = 5'000'000;  // microseconds; the first call of a process is slow

std::optional<Address> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  } else if (!text.empty() && text[0] >= '0' && text[0] <= '9' &&
             text.find_first_not_of("0123456789") != std::string_view::npos) {
    base = 16;  // begins like a number, so it cannot be a name
  }
  Address value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  const bool whole =
      !text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// "<user expression 2>:1:1: use of undeclared identifier 'x'"
std::string without_position(const std::string& message) {
  if (!message.starts_with("<user expression")) return message;
  const std::size_t at = message.find(": ");
  return at == std::string::npos ? message : message.substr(at + 2);
}

// LLDB's dynamic value of a pointer to a polymorphic object is another pointer (to the most derived
// object) whose own place is not the variable's.
Result<Address> address_of_value(lldb::SBValue value) {
  value = value.GetStaticValue();
  value.SetPreferSyntheticValue(false);
  lldb::SBType type = value.GetType().GetCanonicalType();
  const lldb::TypeClass kind = type.GetTypeClass();
  if (kind == lldb::eTypeClassArray || kind == lldb::eTypeClassClass ||
      kind == lldb::eTypeClassStruct || kind == lldb::eTypeClassUnion) {
    const Address at = value.GetLoadAddress();
    if (at != LLDB_INVALID_ADDRESS) return at;
    return fail("it is an object without an address");
  }
  lldb::SBError error;
  const std::uint64_t number = value.GetValueAsUnsigned(error, 0);
  if (error.Fail()) return fail("it is neither a pointer nor a number");
  return number;
}

}  // namespace

lldb::SBExpressionOptions quiet_options() {
  lldb::SBExpressionOptions options;
  options.SetIgnoreBreakpoints(true);
  options.SetUnwindOnError(true);
  options.SetTrapExceptions(false);
  options.SetTryAllThreads(false);
  options.SetStopOthers(true);
  options.SetTimeoutInMicroSeconds(kTimeout);
  options.SetSuppressPersistentResult(true);
  options.SetAutoApplyFixIts(false);
  return options;
}

Result<Address> evaluate_address(lldb::SBTarget& target, lldb::SBThread thread,
                                 const std::string& expression) {
  const std::string text(trimmed(expression));
  if (const auto number = parse_number(text)) return *number;
  lldb::SBFrame frame = thread.IsValid() ? thread.GetSelectedFrame() : lldb::SBFrame();
  if (frame.IsValid()) {
    lldb::SBValue path = frame.GetValueForVariablePath(text.c_str(), lldb::eNoDynamicValues);
    if (path.IsValid() && path.GetError().Success()) return address_of_value(path);
  }
  const lldb::SBExpressionOptions options = quiet_options();
  lldb::SBValue value = frame.IsValid() ? frame.EvaluateExpression(text.c_str(), options)
                                        : target.EvaluateExpression(text.c_str(), options);
  if (!value.IsValid() || value.GetError().Fail()) {
    return fail("{}", without_position(first_line(value.GetError())));
  }
  return address_of_value(value);
}

Result<std::uint64_t> call_function(lldb::SBThread thread, Address function,
                                    std::span<const std::uint64_t> arguments) {
  lldb::SBFrame frame = thread.IsValid() ? thread.GetFrameAtIndex(0) : lldb::SBFrame();
  if (!frame.IsValid()) return fail("cannot call {:#x}: no stopped thread", function);
  std::string types, values;
  for (const std::uint64_t argument : arguments) {
    types += types.empty() ? "unsigned long" : ", unsigned long";
    values += fmt::format("{}{:#x}UL", values.empty() ? "" : ", ", argument);
  }
  const std::string text = fmt::format("((unsigned long (*)({})){:#x}UL)({})",
                                       types.empty() ? "void" : types, function, values);
  lldb::SBExpressionOptions options = quiet_options();
  options.SetLanguage(lldb::eLanguageTypeC99);
  lldb::SBValue value = frame.EvaluateExpression(text.c_str(), options);
  lldb::SBError error = value.GetError();
  if (!value.IsValid() || error.Fail()) {
    return fail("cannot call {:#x}: {}", function, first_line(error));
  }
  const std::uint64_t result = value.GetValueAsUnsigned(error, 0);
  if (error.Fail()) return fail("cannot call {:#x}: {}", function, first_line(error));
  return result;
}

}  // namespace heapledger
