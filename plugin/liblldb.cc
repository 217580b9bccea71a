// SPDX-License-Identifier: Apache-2.0
#include "plugin/liblldb.h"

#include <dlfcn.h>
#include <link.h>

#include <cstring>

namespace heapledger {
namespace {

constexpr const char* kVersion = "_ZN4lldb10SBDebugger16GetVersionStringEv";

// Python's extension module is a link to liblldb: its name has "lldb" in it as well.
int promote_if_liblldb(dl_phdr_info* info, std::size_t, void*) {
  if (info->dlpi_name == nullptr || std::strstr(info->dlpi_name, "lldb") == nullptr) return 0;
  void* handle = dlopen(info->dlpi_name, RTLD_NOLOAD | RTLD_LAZY | RTLD_GLOBAL);
  return handle != nullptr && dlsym(handle, kVersion) != nullptr ? 1 : 0;
}

__attribute__((constructor)) void make_liblldb_global() {
  if (!has(kVersion)) dl_iterate_phdr(promote_if_liblldb, nullptr);
}

}  // namespace

bool has(const char* mangled) { return dlsym(RTLD_DEFAULT, mangled) != nullptr; }

}  // namespace heapledger
