// SPDX-License-Identifier: Apache-2.0
//
// Where a debugger has to stop a program so that nothing of it is missed: at the loader's event (or, in
// a static program, where libc takes over) and where it ends. From the ELF files that are mapped, for
// debuggers whose own search by name is slow or speaks to the user.
#pragma once

#include <string>
#include <vector>

#include "inferior/modules.h"

namespace heapledger {

struct EventPlace {
  std::string function;  // "_dl_debug_state", "__libc_start_main", "_exit"
  Address address = 0;
  friend bool operator==(const EventPlace&, const EventPlace&) = default;
};

// The loader's event of a dynamic program. A static program's start: __libc_start_main, or, without
// symbols, its second instruction (at the first one it stands already), called __libc_start_main too;
// `entry` 0 is unknown.
std::vector<EventPlace> loader_places(const std::vector<Module>& modules, Address entry);

// _exit and _Exit, wherever they are defined: exit() of musl calls one, of glibc the other.
std::vector<EventPlace> exit_places(const std::vector<Module>& modules);

}  // namespace heapledger
