// SPDX-License-Identifier: Apache-2.0
//
// How the hooked functions are told: the start line and the lines of `leaks status`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tracking/tracker.h"

namespace heapledger {

// "malloc, calloc, operator new": overloads of an operator are one name.
std::string hooked_names(const ModuleHooks& module);

// "libc.so.6: malloc, calloc; libstdc++.so.6: operator new"; modules without hooks are left out.
std::string hooked_by_module(std::span<const ModuleHooks> modules);

// "libfoo.so: malloc (too short)"; empty when there are none.
std::string not_hooked_by_module(std::span<const ModuleHooks> modules);
// "app: pvalloc (a branch leads back into its first bytes)"
std::string breakpoints_by_module(std::span<const ModuleHooks> modules);

// The line tracking starts with.
std::string start_line(std::span<const ModuleHooks> modules, Engine engine);

}  // namespace heapledger
