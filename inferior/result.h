// SPDX-License-Identifier: Apache-2.0
//
// How a function that can fail says so: Result<T>, whose Error tells what was attempted and on what.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace heapledger {

struct Error {
  std::string message;  // one line, no full stop, starts in lower case: "cannot read ledger: ..."
};

template <typename T>
using Result = tl::expected<T, Error>;

// return fail("cannot open {}: {}", path, reason);
template <typename... Args>
tl::unexpected<Error> fail(fmt::format_string<Args...> text, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(text, std::forward<Args>(args)...)});
}

}  // namespace heapledger
