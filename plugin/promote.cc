// SPDX-License-Identifier: Apache-2.0
//
// Makes liblldb's symbols visible to this plugin where the host loaded them RTLD_LOCAL (Python's
// `import lldb`): without it the first SB call ends the whole process.
#include <dlfcn.h>
#include <link.h>

#include <cstring>

namespace {

constexpr const char* kProbe = "_ZN4lldb10SBDebugger16GetVersionStringEv";

int promote_object(dl_phdr_info* info, size_t, void*) {
  if (info->dlpi_name == nullptr || std::strstr(info->dlpi_name, "lldb") == nullptr) return 0;
  void* handle = dlopen(info->dlpi_name, RTLD_NOLOAD | RTLD_LAZY | RTLD_GLOBAL);
  return handle != nullptr && dlsym(handle, kProbe) != nullptr ? 1 : 0;
}

__attribute__((constructor)) void promote_liblldb() {
  if (dlsym(RTLD_DEFAULT, kProbe) == nullptr) dl_iterate_phdr(promote_object, nullptr);
}

}  // namespace
