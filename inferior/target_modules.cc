// SPDX-License-Identifier: Apache-2.0
#include "inferior/target_modules.h"

#include <filesystem>

#include "inferior/remote_modules.h"

namespace heapledger {
namespace {

std::string without_links(const std::string& path) {
  std::error_code error;
  const auto plain = std::filesystem::canonical(path, error);
  return error ? path : plain.string();
}

// Without an auxiliary vector: what the debugger calls the program.
void mark_program(std::vector<Module>& modules, const std::string& path) {
  const std::string program = without_links(path);
  for (Module& module : modules) {
    module.is_program = module.path == path || without_links(module.path) == program;
  }
}

}  // namespace

Result<std::vector<Module>> read_modules(Target& target, const Mappings& mappings) {
  if (target.kind() == ProcessKind::live_remote) return remote_modules(target);
  const bool local = target.kind() == ProcessKind::live_local;
  auto modules = ModuleList::read(local ? target.pid() : 0, mappings, target.memory());
  if (modules && !local) mark_program(*modules, target.program_path());
  return modules;
}

}  // namespace heapledger
