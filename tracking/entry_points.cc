// SPDX-License-Identifier: Apache-2.0
#include "tracking/entry_points.h"

#include <cxxabi.h>
#include <elf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <span>

#include "inferior/relocated.h"
#include "tracking/event_places.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kUnknownSize = 256;  // bytes looked at when a symbol tells no size
constexpr std::uint64_t kShortFunction = 16;

std::string demangle(const char* symbol) {
  int status = 0;
  char* text = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  std::string name = status == 0 ? text : symbol;
  std::free(text);
  return name;
}

bool is_glibc_loader(const Module& m) {
  return m.name.starts_with("ld-linux") || (m.name.starts_with("ld-2.") && m.name.ends_with(".so"));
}

bool is_dynamic(const Module& m) { return m.elf->section(".dynsym") != nullptr; }

// A static-PIE has a .dynsym too, without anything of use in it.
bool exports_count(const Module& m) {
  return is_dynamic(m) && (m.elf->type() == ET_DYN || m.elf->has_interpreter()) &&
         !(m.is_program && !m.elf->has_interpreter());
}

// First function symbol after `value`, or value + limit.
std::uint64_t next_function(const ElfFile& elf, std::uint64_t value, std::uint64_t limit) {
  std::uint64_t next = value + limit;
  elf.for_each_symbol([&](const ElfSymbol& s) {
    if ((s.type == STT_FUNC || s.type == STT_GNU_IFUNC) && s.value > value) {
      next = std::min(next, s.value);
    }
  });
  return next;
}

std::vector<std::uint8_t> function_bytes(const ElfFile& elf, std::uint64_t value,
                                         std::uint64_t size) {
  if (size == 0) size = next_function(elf, value, kUnknownSize) - value;
  if (size < kShortFunction) size = next_function(elf, value, kShortFunction) - value;
  std::span<const std::byte> bytes;
  for (; size > 0 && bytes.empty(); size /= 2) bytes = elf.at(value, size);
  std::vector<std::uint8_t> copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
  return copy;
}

// Functions that were written in assembly may have a symbol without a type.
std::vector<ElfSymbol> functions(const ElfFile& elf, const std::string& name) {
  std::vector<ElfSymbol> found = elf.functions(name);
  if (!found.empty()) return found;
  const auto symbol = elf.symbol(name);
  if (!symbol || symbol->type != STT_NOTYPE || symbol->binding == STB_LOCAL) return found;
  for (const ElfSegment& segment : elf.segments()) {
    const bool is_code = segment.type == PT_LOAD && (segment.flags & PF_X) != 0;
    if (is_code && symbol->value - segment.address < segment.file_size) found.push_back(*symbol);
  }
  return found;
}

// Global definitions; in a static program whose linker made everything local (static-PIE), the only
// local one.
std::vector<ElfSymbol> definitions(const ElfFile& elf, const std::string& name, bool only_exported) {
  std::vector<ElfSymbol> all = functions(elf, name);
  std::vector<ElfSymbol> global;
  for (const ElfSymbol& s : all) {
    if (s.binding != STB_LOCAL && (s.dynamic || !only_exported)) global.push_back(s);
  }
  if (global.empty() && !only_exported && all.size() == 1) return all;
  return global;
}

HookRequest request_for(const EntryPoint& entry, const Module& m, std::uint64_t value,
                        std::uint64_t size) {
  HookRequest r;
  r.symbol = entry.name;
  r.module = m.name;
  r.module_range = m.range;
  r.function = m.bias + value;
  r.original = function_bytes(*m.elf, value, size);
  r.kind = entry.kind;
  r.shape = entry.shape;
  return r;
}

void look_for_side_entries(const Module& m, std::span<HookRequest> requests) {
  std::vector<FunctionPlace> places;
  for (const HookRequest& r : requests) places.push_back({r.function - m.bias, r.original.size()});
  auto found = find_side_entries(*m.elf, places);
  for (std::size_t i = 0; i < found.size(); ++i) requests[i].side_entries = std::move(found[i]);
}

// The function that the resolver chooses.
Result<HookRequest> chosen_function(TargetControl& control, const std::vector<Module>& modules,
                                    const HookRequest& resolver) {
  const auto chosen = control.call(resolver.function, {});
  if (!chosen) return fail("is resolved at run time (IFUNC), and its resolver cannot be called");
  const Module* m = find_module(modules, *chosen);
  if (m == nullptr || m->elf == nullptr || !m->code.contains(*chosen)) {
    return fail("is resolved at run time (IFUNC) to {:#x}, which is in no module's code", *chosen);
  }
  const auto symbol = m->elf->function_at(*chosen - m->bias);
  const bool begins = symbol && symbol->value == *chosen - m->bias;
  HookRequest r = resolver;
  r.module_range = m->range;
  r.function = *chosen;
  r.original = function_bytes(*m->elf, *chosen - m->bias, begins ? symbol->size : 0);
  if (r.original.empty()) return fail("its code is not in the file");
  look_for_side_entries(*m, std::span(&r, 1));
  return r;
}

Result<HookRequest> place_entry_point(const std::string& name, Address address,
                                      const std::vector<Module>& modules) {
  const EntryPoint* entry = find_entry_point(name);
  if (entry == nullptr) return fail("cannot hook '{}': not an allocator entry point", name);
  const Module* m = find_module(modules, address);
  if (m == nullptr || m->elf == nullptr || !m->code.contains(address)) {
    return fail("cannot hook {} at {:#x}: the address is in no module's code", name, address);
  }
  HookRequest r = request_for(*entry, *m, address - m->bias, 0);
  if (r.original.empty()) {
    return fail("cannot hook {} at {:#x}: its code is not in {}", name, address, m->path);
  }
  look_for_side_entries(*m, std::span(&r, 1));
  return r;
}

}  // namespace

const std::vector<EntryPoint>& entry_points() {
  static const std::vector<EntryPoint> list = [] {
    std::vector<EntryPoint> entries;
#define X(symbol, kind, shape) \
  entries.push_back({symbol, demangle(symbol), agent::Kind::kind, agent::Shape::shape});
    HEAPLEDGER_ENTRY_POINTS(X)
#undef X
    return entries;
  }();
  return list;
}

const EntryPoint* find_entry_point(const std::string& symbol_or_name) {
  for (const EntryPoint& e : entry_points()) {
    if (e.symbol == symbol_or_name || e.name == symbol_or_name) return &e;
  }
  return nullptr;
}

EntryPointsFound find_entry_points(const Module& module) {
  EntryPointsFound found;
  if (module.elf == nullptr || is_glibc_loader(module)) return found;
  bool only_exported = exports_count(module);
  for (const EntryPoint& entry : entry_points()) {
    for (const ElfSymbol& s : definitions(*module.elf, entry.symbol, only_exported)) {
      HookRequest r = request_for(entry, module, s.value, s.size);
      if (s.type == STT_GNU_IFUNC) {
        found.indirect.push_back(std::move(r));
      } else if (r.original.empty()) {
        found.refused.push_back({std::move(r), "its code is not in the file"});
      } else {
        found.requests.push_back(std::move(r));
      }
    }
  }
  look_for_side_entries(module, found.requests);
  return found;
}

std::vector<HookRequest> find_exit_functions(const std::vector<Module>& modules) {
  std::vector<HookRequest> requests;
  for (const EventPlace& place : exit_places(modules)) {
    const EntryPoint entry{place.function, place.function, agent::Kind::none, agent::Shape::new_like};
    const Module& m = *find_module(modules, place.address);
    if (is_musl(m) && place.function == "_exit") continue;  // it calls _Exit at once
    requests.push_back(request_for(entry, m, place.address - m.bias, 0));
  }
  return requests;
}

void EntryPointsFound::add(EntryPointsFound more) {
  std::move(more.requests.begin(), more.requests.end(), std::back_inserter(requests));
  std::move(more.refused.begin(), more.refused.end(), std::back_inserter(refused));
  std::move(more.indirect.begin(), more.indirect.end(), std::back_inserter(indirect));
}

EntryPointsFound find_entry_points(const std::vector<Module>& modules) {
  EntryPointsFound found;
  for (const Module& m : modules) found.add(find_entry_points(m));
  return found;
}

void resolve_indirect(const Memory& memory, TargetControl& control, const std::vector<Module>& modules,
                      EntryPointsFound& found) {
  for (HookRequest& resolver : std::exchange(found.indirect, {})) {
    const Module* m = find_module(modules, resolver.function);
    if (!control.all_stopped() || (m != nullptr && !is_relocated(*m, memory))) {
      found.indirect.push_back(std::move(resolver));
    } else if (auto chosen = chosen_function(control, modules, resolver)) {
      found.requests.push_back(std::move(*chosen));
    } else {
      found.refused.push_back({std::move(resolver), chosen.error().message});
    }
  }
}

bool allocates(agent::Kind kind) {
  return kind >= agent::Kind::malloc && kind <= agent::Kind::pvalloc;
}

bool only_glibc_allocates(const std::vector<HookRequest>& requests,
                          const std::vector<Module>& modules) {
  for (const HookRequest& r : requests) {
    if (!allocates(r.kind)) continue;
    const Module* m = find_module(modules, r.function);
    if (m == nullptr || m->elf == nullptr || is_musl(*m) ||
        !m->elf->symbol("__libc_malloc").has_value()) {
      return false;
    }
  }
  return true;
}

Result<EntryPointsFound> entry_points_to_hook(
    const Memory& memory, TargetControl& control, const std::vector<Module>& modules,
    const std::vector<std::pair<std::string, Address>>& placed) {
  EntryPointsFound all;
  for (const auto& [name, address] : placed) {
    auto request = place_entry_point(name, address, modules);
    if (!request) return tl::unexpected(request.error());
    all.requests.push_back(std::move(*request));
  }
  all.add(find_entry_points(modules));
  resolve_indirect(memory, control, modules, all);
  const auto is_allocation = [](const HookRequest& r) { return allocates(r.kind); };
  if (std::none_of(all.requests.begin(), all.requests.end(), is_allocation)) {
    return fail("nothing to hook: no malloc is exported here (a static program without symbols?); name it: "
                "leaks start --hook malloc=ADDR --hook free=ADDR");
  }
  return all;
}

const char* sanitizer_of(const Module& module) {
  if (module.elf == nullptr) return nullptr;
  static constexpr std::pair<const char*, const char*> kRuntimes[] = {
      {"__asan_init", "AddressSanitizer"},
      {"__lsan_do_leak_check", "LeakSanitizer"},
      {"__msan_init", "MemorySanitizer"},
      {"__tsan_init", "ThreadSanitizer"},
      {"__hwasan_init", "HWAddressSanitizer"}};
  for (auto [symbol, name] : kRuntimes) {
    if (!module.elf->functions(symbol).empty()) return name;
  }
  return nullptr;
}

}  // namespace heapledger
