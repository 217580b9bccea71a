// SPDX-License-Identifier: Apache-2.0
//
// Where an answer goes and in which form: the options --format and --output, the same everywhere.
#pragma once

#include <optional>

#include "commands/arguments.h"
#include "inferior/target.h"
#include "report/output_file.h"

namespace heapledger {

OptionSpec format_option();  // --format text|json
OptionSpec output_option();  // --output FILE

class Output {
 public:
  // The file is opened before the work is done, so that a bad name is told at once.
  static Result<Output> open(Target& target, const Arguments& arguments);

  bool json() const { return json_; }
  Sink sink();               // valid as long as this
  Result<void> finish();     // the file takes its name

 private:
  Output(Target& target, bool json) : target_(&target), json_(json) {}

  Target* target_;
  bool json_;
  std::string name_;
  std::optional<OutputFile> file_;
};

}  // namespace heapledger
