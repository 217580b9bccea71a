// SPDX-License-Identifier: Apache-2.0
#include "commands/hook_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/numbers.h"

namespace heapledger {
namespace {

bool hooks_malloc(const ModuleHooks& module) {
  const auto trap = [](const auto& entry) { return entry.first == "malloc"; };
  return std::find(module.hooked.begin(), module.hooked.end(), "malloc") != module.hooked.end() ||
         std::any_of(module.by_breakpoint.begin(), module.by_breakpoint.end(), trap);
}

std::string with_reasons(std::span<const ModuleHooks> modules,
                         std::vector<std::pair<std::string, std::string>> ModuleHooks::*list) {
  std::vector<std::string> parts;
  for (const ModuleHooks& module : modules) {
    std::vector<std::string> functions;
    for (const auto& [name, reason] : module.*list) {
      functions.push_back(fmt::format("{} ({})", name, reason));
    }
    if (functions.empty()) continue;
    parts.push_back(fmt::format("{}: {}", module.module, fmt::join(functions, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

std::string hooked_names(const ModuleHooks& module) {
  std::vector<std::string> names;
  for (const std::string& function : module.hooked) {
    std::string name(without_parameters(function));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string hooked_by_module(std::span<const ModuleHooks> modules) {
  std::vector<std::string> parts;
  for (const ModuleHooks& module : modules) {
    if (module.hooked.empty()) continue;
    parts.push_back(fmt::format("{}: {}", module.module, hooked_names(module)));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string not_hooked_by_module(std::span<const ModuleHooks> modules) {
  return with_reasons(modules, &ModuleHooks::not_hooked);
}

std::string breakpoints_by_module(std::span<const ModuleHooks> modules) {
  return with_reasons(modules, &ModuleHooks::by_breakpoint);
}

std::string start_line(std::span<const ModuleHooks> modules, Engine engine) {
  std::string line = engine == Engine::breakpoint ? "heapledger: tracking by breakpoints: "
                                                  : "heapledger: tracking: ";
  line += hooked_by_module(modules);
  if (const std::string slow = breakpoints_by_module(modules); !slow.empty()) {
    line += "; by breakpoints, slowly: " + slow;
  }
  if (const std::string rest = not_hooked_by_module(modules); !rest.empty()) {
    line += "; not hooked: " + rest;
  }
  if (std::none_of(modules.begin(), modules.end(), hooks_malloc)) {
    line += "; no malloc was found (leaks start --hook malloc=ADDR)";
  }
  return line + "\n";
}

}  // namespace heapledger
