// SPDX-License-Identifier: Apache-2.0
#include "tracking/event_places.h"

#include <algorithm>

#include "tracking/instruction.h"

namespace heapledger {
namespace {

constexpr const char* kLoaderEvent = "_dl_debug_state";
constexpr const char* kStart = "__libc_start_main";
constexpr std::size_t kLongestInstruction = 15;

void add(std::vector<EventPlace>& places, const Module& module, const char* name) {
  if (module.elf == nullptr) return;
  for (const ElfSymbol& symbol : module.elf->functions(name)) {
    const Address address = module.bias + symbol.value;
    const auto there = [&](const EventPlace& place) { return place.address == address; };
    if (std::none_of(places.begin(), places.end(), there)) places.push_back({name, address});
  }
}

void add_second_instruction(std::vector<EventPlace>& places, const Module& program, Address entry) {
  const auto bytes = program.elf->at(entry - program.bias, kLongestInstruction);
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto instruction = decode_instruction({first, bytes.size()}, entry, 0);
  if (instruction) places.push_back({kStart, entry + instruction->length});
}

}  // namespace

std::vector<EventPlace> loader_places(const std::vector<Module>& modules, Address entry) {
  std::vector<EventPlace> places;
  const auto program = std::find_if(modules.begin(), modules.end(),
                                    [](const Module& m) { return m.is_program; });
  for (const Module& module : modules) {
    // A static program holds the loader's function as well, for its own dlopen.
    add(places, module, kLoaderEvent);
  }
  if (program == modules.end() || program->elf == nullptr || program->elf->has_interpreter()) {
    return places;
  }
  add(places, *program, kStart);
  if (places.empty() && entry != 0) add_second_instruction(places, *program, entry);
  return places;
}

std::vector<EventPlace> exit_places(const std::vector<Module>& modules) {
  std::vector<EventPlace> places;
  for (const Module& module : modules) {
    const bool loader = module.elf != nullptr && module.elf->soname().starts_with("ld-linux");
    if (loader || !(is_libc(module) || module.is_program)) continue;
    for (const char* name : {"_exit", "_Exit"}) add(places, module, name);
  }
  return places;
}

}  // namespace heapledger
