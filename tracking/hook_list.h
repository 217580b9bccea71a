// SPDX-License-Identifier: Apache-2.0
//
// What is hooked, module by module, as the start message and `leaks status` tell it.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tracking/patcher.h"

namespace heapledger {

struct ModuleHooks {  // one line of the start message and of `leaks status`
  std::string module;
  std::vector<std::string> hooked;   // in the order of the list of entry points, demangled
  std::vector<std::pair<std::string, std::string>> not_hooked;  // name, reason
  // Recorded all the same, by a breakpoint in the place of the jump: name, why it cannot be patched.
  std::vector<std::pair<std::string, std::string>> by_breakpoint;
};

using HookList = std::vector<ModuleHooks>;

// The reason why an IFUNC is not hooked yet (resolve_indirect).
inline constexpr char kNotResolvedYet[] =
    "is resolved at run time (IFUNC): tried again when the process goes on from a stop";

// Each name of a module once.
HookList hook_list(std::span<const HookRequest* const> hooked,
                   std::span<const RefusedHook> refused,
                   std::span<const RefusedHook> by_breakpoint = {});
// The one of that module, made when there is none.
ModuleHooks& hooks_of(HookList& list, const std::string& module);
// What has been resolved since is no more among what was not.
void merge(HookList& all, const HookList& more);
// Why the first function that is not hooked is not; "no reason" when there is none.
std::string first_reason(const HookList& list);

}  // namespace heapledger
