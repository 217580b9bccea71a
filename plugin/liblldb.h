// SPDX-License-Identifier: Apache-2.0
//
// One binary for LLDB 14 to 22: the plugin is not linked to liblldb but finds it in the process
// that loads it. LLDB's public API only grows, so a function that an older version does not have is
// called behind has(). Linking would pull in a second liblldb of another version, which crashes.
//
// Where liblldb was loaded privately (Python's `import lldb`, lldb-dap), a constructor makes its
// symbols global before the first of them is needed; this works because the plugin is bound lazily
// (-z lazy).
#pragma once

namespace heapledger {

// Whether this process's liblldb has a function, by its mangled name.
bool has(const char* mangled);

}  // namespace heapledger
