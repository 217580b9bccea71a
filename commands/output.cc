// SPDX-License-Identifier: Apache-2.0
#include "commands/output.h"

#include <fmt/format.h>

#include "inferior/printable.h"

namespace heapledger {

OptionSpec format_option() {
  return {"--format", "text|json", "form of the answer; text when not given", {"text", "json"}};
}

OptionSpec output_option() {
  return {"--output", "FILE", "write the answer to FILE (mode 0600), not to the debugger"};
}

Result<Output> Output::open(Target& target, const Arguments& arguments) {
  Output output(target, arguments.value("--format") == "json");
  if (const auto name = arguments.value("--output")) {
    auto file = OutputFile::open(*name);
    if (!file) return tl::unexpected(file.error());
    output.name_ = *name;
    output.file_.emplace(std::move(*file));
  }
  // Before anything that depends on it; in JSON it is part of the coverage.
  const std::string missing = target.missing_evidence();
  if (!missing.empty() && !output.json_) {
    output.sink()(fmt::format("warning: {}: what is lost or who owns it is unreliable\n", missing));
  }
  return output;
}

Sink Output::sink() {
  if (file_ && json_) return [this](std::string_view text) { file_->write(text); };
  if (file_) return [this](std::string_view text) { file_->write(printable(text)); };
  return [this](std::string_view text) { target_->out(text); };
}

Result<void> Output::finish() {
  if (!file_) return {};
  auto done = file_->commit();
  if (!done) return done;
  target_->out(fmt::format("Wrote {} bytes to {}\n", file_->written(), name_));
  return {};
}

}  // namespace heapledger
