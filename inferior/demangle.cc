// SPDX-License-Identifier: Apache-2.0
#include "inferior/demangle.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace heapledger {

std::string demangled(std::string_view symbol) {
  const std::string name(symbol.substr(0, 1 << 16));
  if (!name.starts_with("_Z")) return name;
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text ? std::string(text.get()) : name;
}

}  // namespace heapledger
