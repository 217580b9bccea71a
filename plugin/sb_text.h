// SPDX-License-Identifier: Apache-2.0
//
// LLDB's strings: char pointers that may be null, paths in two parts.
#pragma once

#include <lldb/API/LLDB.h>

#include <string>
#include <string_view>

namespace heapledger {

inline std::string text_of(const char* text) { return text ? text : ""; }

inline std::string path_of(const lldb::SBFileSpec& file) {
  if (!file.IsValid()) return "";
  const std::string folder = text_of(file.GetDirectory());
  const std::string name = text_of(file.GetFilename());
  if (folder.empty()) return name;
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

// Errors of LLDB may have several lines; the first one, without "error: ".
inline std::string first_line(const lldb::SBError& error) {
  std::string_view text = error.GetCString() ? error.GetCString() : "unknown error";
  while (text.starts_with("error: ")) text.remove_prefix(7);
  text = text.substr(0, text.find('\n'));
  return std::string(text);
}

}  // namespace heapledger
