// SPDX-License-Identifier: Apache-2.0
//
// Which functions of a process are hooked: every definition of every entry point of the list
// (agent/protocol.h) in every module, and the functions a user places by address.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/protocol.h"
#include "inferior/modules.h"
#include "tracking/patcher.h"

namespace heapledger {

struct EntryPoint {
  std::string symbol;   // "_Znwm"
  std::string name;     // demangled, as users know it: "operator new(unsigned long)"
  agent::Kind kind;
  agent::Shape shape;
};

const std::vector<EntryPoint>& entry_points();
const EntryPoint* find_entry_point(const std::string& symbol_or_name);

struct EntryPointsFound {
  std::vector<HookRequest> requests;  // HookRequest::hook is not filled in
  std::vector<RefusedHook> refused;   // there, but not to be patched (no bytes in the file)
  std::vector<HookRequest> indirect;  // IFUNC: `function` is the resolver, see resolve_indirect

  void add(EntryPointsFound more);
};

// Only exported functions count in dynamic modules, so that a program's own unrelated `cfree` is left
// alone; static programs have a symbol table only. glibc's loader is left out: its malloc is a bump
// allocator for its own data, and its mmap maps libraries.
EntryPointsFound find_entry_points(const Module& module);
EntryPointsFound find_entry_points(const std::vector<Module>& modules);

// Functions that end the process (event_places.h), to be led to code that jumps on to where its site says.
std::vector<HookRequest> find_exit_functions(const std::vector<Module>& modules);

// Calls the resolvers of `found.indirect`, as the loader has and as debuggers do for a breakpoint at such a
// function; what they choose becomes a request, what cannot be resolved is refused. What cannot be called
// now, because other threads run or its module is not relocated yet, stays there.
void resolve_indirect(const Memory& memory, TargetControl& control, const std::vector<Module>& modules,
                      EntryPointsFound& found);

bool allocates(agent::Kind kind);  // heap blocks, and not only as a note
// glibc places block starts at least 32 bytes apart; any other allocator may do with 16.
bool only_glibc_allocates(const std::vector<HookRequest>& requests,
                          const std::vector<Module>& modules);

// All that a start hooks. Functions the user placed (--hook NAME=ADDR) come first: the first request for an
// address wins. The Error names what is wrong: unknown name, address in no module's code, no allocation
// function at all.
Result<EntryPointsFound> entry_points_to_hook(
    const Memory& memory, TargetControl& control, const std::vector<Module>& modules,
    const std::vector<std::pair<std::string, Address>>& placed);

// "AddressSanitizer" and the like when the module brings such a runtime: those replace the allocator
// and keep their own data; nullptr otherwise.
const char* sanitizer_of(const Module& module);

}  // namespace heapledger
