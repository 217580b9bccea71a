// SPDX-License-Identifier: Apache-2.0
//
// A report's file: complete or not there. Written under another name in the same folder and renamed
// when it is whole, readable by its owner only (a report tells about a program's memory).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "inferior/result.h"

namespace heapledger {

// Where report text goes, piece by piece.
using Sink = std::function<void(std::string_view)>;

class OutputFile {
 public:
  // `path` is relative to the working folder of the debugger. What is not a regular file (/dev/null,
  // a pipe) is written to directly.
  static Result<OutputFile> open(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // without commit nothing is left behind

  void write(std::string_view text);  // an error is kept for commit()
  Result<void> commit();
  std::uint64_t written() const { return written_; }

 private:
  OutputFile(std::string path, std::string final_path, std::string temporary, int fd);

  std::string path_;        // as the user gave it
  std::string final_path_;  // links followed
  std::string temporary_;   // empty: written to directly
  int fd_ = -1;
  int error_ = 0;           // errno of the first failed write
  std::uint64_t written_ = 0;
};

}  // namespace heapledger
