// SPDX-License-Identifier: Apache-2.0
//
// LLDB's SB API as this plugin uses it: not linked, found in the host at load time, so that one binary
// serves LLDB 14 to 22 (public SB functions are only ever added). A method newer than 14 is called
// behind has().
#pragma once

#include <dlfcn.h>
#include <lldb/API/LLDB.h>

namespace heapledger::plugin {

// Does the host export this mangled name?
inline bool has(const char* mangled) { return dlsym(RTLD_DEFAULT, mangled) != nullptr; }

}  // namespace heapledger::plugin
