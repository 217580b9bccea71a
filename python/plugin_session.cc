// SPDX-License-Identifier: Apache-2.0
#include "python/plugin_session.h"

#include <dlfcn.h>
#include <link.h>

#include <stdexcept>
#include <string_view>

#include "commands/query.h"

namespace heapledger {
namespace {

// LLDB loads plugins privately, so their names are not found by a plain dlsym.
int look_for_query(dl_phdr_info* info, std::size_t, void* found) {
  if (info->dlpi_name == nullptr || *info->dlpi_name == 0) return 0;
  if (std::string_view(info->dlpi_name).find("heapledger") == std::string_view::npos) return 0;
  void* handle = dlopen(info->dlpi_name, RTLD_NOLOAD | RTLD_LAZY);
  if (handle == nullptr) return 0;
  void* query = dlsym(handle, kQuerySymbol);
  dlclose(handle);  // LLDB keeps it
  if (query == nullptr) return 0;
  *static_cast<void**>(found) = query;
  return 1;
}

}  // namespace

std::string plugin_query(const std::vector<std::string>& words) {
  void* found = nullptr;
  dl_iterate_phdr(look_for_query, &found);
  if (found == nullptr) {
    throw std::runtime_error("heapledger is not loaded here: `plugin load heapledger_lldb.so` in LLDB, "
                             "`source heapledger_gdb.py` in gdb");
  }
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  std::string text;
  const auto take = [](void* baton, const char* piece, std::size_t size) {
    static_cast<std::string*>(baton)->append(piece, size);
  };
  const int ok = reinterpret_cast<Query*>(found)(pointers.data(), pointers.size(), take, &text);
  if (ok == 0) throw std::runtime_error(text);
  return text;
}

}  // namespace heapledger
