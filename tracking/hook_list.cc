// SPDX-License-Identifier: Apache-2.0
#include "tracking/hook_list.h"

#include <algorithm>

#include "tracking/entry_points.h"

namespace heapledger {
namespace {

template <typename T>
void add_once(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

void forget_unresolved(ModuleHooks& module, const std::string& function) {
  std::erase(module.not_hooked, std::pair<std::string, std::string>(function, kNotResolvedYet));
}

}  // namespace

ModuleHooks& hooks_of(HookList& list, const std::string& module) {
  for (ModuleHooks& h : list) {
    if (h.module == module) return h;
  }
  list.push_back({.module = module});
  return list.back();
}

HookList hook_list(std::span<const HookRequest* const> hooked,
                   std::span<const RefusedHook> refused,
                   std::span<const RefusedHook> by_breakpoint) {
  HookList list;
  for (const EntryPoint& e : entry_points()) {
    for (const HookRequest* request : hooked) {
      if (request->symbol == e.name) add_once(hooks_of(list, request->module).hooked, e.name);
    }
  }
  for (const RefusedHook& r : refused) {
    hooks_of(list, r.request.module).not_hooked.emplace_back(r.request.symbol, r.reason);
  }
  for (const RefusedHook& r : by_breakpoint) {
    hooks_of(list, r.request.module).by_breakpoint.emplace_back(r.request.symbol, r.reason);
  }
  return list;
}

void merge(HookList& all, const HookList& more) {
  for (const ModuleHooks& m : more) {
    ModuleHooks& h = hooks_of(all, m.module);
    for (const std::string& name : m.hooked) forget_unresolved(h, name);
    for (const auto& [name, reason] : m.not_hooked) forget_unresolved(h, name);
    for (const auto& [name, reason] : m.by_breakpoint) forget_unresolved(h, name);
    for (const std::string& name : m.hooked) add_once(h.hooked, name);
    for (const auto& refused : m.not_hooked) add_once(h.not_hooked, refused);
    for (const auto& replaced : m.by_breakpoint) add_once(h.by_breakpoint, replaced);
  }
}

std::string first_reason(const HookList& list) {
  for (const ModuleHooks& m : list) {
    if (!m.not_hooked.empty()) return m.not_hooked.front().second;
  }
  return "no reason";
}

}  // namespace heapledger
