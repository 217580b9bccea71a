// SPDX-License-Identifier: Apache-2.0
#include "inferior/remote_modules.h"

#include <elf.h>

#include <algorithm>

#include "inferior/elf_cache.h"
#include "inferior/regular_file.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

void extend(AddressRange& range, AddressRange more) {
  more = {more.begin / kPage * kPage, (more.end + kPage - 1) / kPage * kPage};
  range = range.empty() ? more
                        : AddressRange{std::min(range.begin, more.begin),
                                       std::max(range.end, more.end)};
}

std::optional<Module> module_of(const LoadedModule& loaded, const Memory& memory) {
  Module module;
  module.elf = ElfCache::instance().take(open_regular(loaded.path), 0, loaded.path);
  if (module.elf == nullptr || !is_image_of(*module.elf, loaded.bias, memory)) return std::nullopt;
  module.path = loaded.path;
  module.name = loaded.path.substr(loaded.path.rfind('/') + 1);
  module.bias = loaded.bias;
  module.is_program = loaded.is_program;
  for (const ElfSegment& s : module.elf->segments()) {
    if (s.type != PT_LOAD || s.memory_size == 0) continue;
    const Address begin = loaded.bias + s.address;
    extend(module.range, {begin, begin + s.memory_size});
    if ((s.flags & PF_X) != 0) extend(module.code, {begin, begin + s.memory_size});
  }
  return module;
}

}  // namespace

std::vector<Module> remote_modules(Target& target) {
  std::vector<Module> modules;
  for (const LoadedModule& loaded : target.loaded_modules()) {
    if (auto module = module_of(loaded, target.memory())) modules.push_back(std::move(*module));
  }
  std::sort(modules.begin(), modules.end(),
            [](const Module& a, const Module& b) { return a.range.begin < b.range.begin; });
  return modules;
}

}  // namespace heapledger
