// SPDX-License-Identifier: Apache-2.0
//
// The exit code of gdb itself. gdb offers a script no call for it; but when it ends it calls exit(),
// and what is registered with on_exit(3) may still choose another code. By then gdb has detached,
// written its history and cleaned up.
#pragma once

namespace heapledger {

// From now on gdb ends with `code`, when that is not 0. With 0 gdb's own code stands, which is 1 when
// its last command failed.
void set_exit_status(int code);

}  // namespace heapledger
