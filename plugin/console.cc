// SPDX-License-Identifier: Apache-2.0
#include "plugin/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "inferior/printable.h"
#include "plugin/liblldb.h"

namespace heapledger {
namespace {

constexpr auto kQuietFor = std::chrono::milliseconds(700);
constexpr auto kBetween = std::chrono::milliseconds(100);

}  // namespace

void Console::begin_command(lldb::SBCommandReturnObject* result) {
  result_ = result;
  begun_ = Clock::now();
}

void Console::end_command() {
  clear_progress();
  result_ = nullptr;
}

void Console::write(std::string_view text) {
  if (text.empty()) return;
  clear_progress();
  const std::string shown = printable(text);
  text = shown;
  if (result_ == nullptr) {
    write_to_file(text);
    return;
  }
  // In pieces, as the result formats them into one buffer each.
  constexpr std::size_t kPiece = 1 << 16;
  for (; !text.empty(); text.remove_prefix(std::min(kPiece, text.size()))) {
    result_->Printf("%s", std::string(text.substr(0, kPiece)).c_str());
  }
}

void Console::write_to_file(std::string_view text) {
  lldb::SBFile file = debugger_.GetOutputFile();
  while (!text.empty()) {
    std::size_t written = 0;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    if (file.Write(bytes, text.size(), &written).Fail() || written == 0) return;
    text.remove_prefix(written);
  }
  file.Flush();
}

bool Console::interrupted() {
  if (debugger_.GetCommandInterpreter().WasInterrupted()) return true;
  static const bool has_requests = has("_ZN4lldb10SBDebugger18InterruptRequestedEv");
  return has_requests && debugger_.InterruptRequested();
}

bool Console::on_terminal() {
  std::FILE* file = debugger_.GetOutputFileHandle();
  return file != nullptr && isatty(fileno(file)) == 1;
}

void Console::progress(std::uint64_t done, std::uint64_t total, std::string_view what) {
  const auto now = Clock::now();
  if (result_ == nullptr || total == 0 || now - begun_ < kQuietFor ||
      now - last_progress_ < kBetween || !on_terminal()) {
    return;
  }
  last_progress_ = now;
  progress_shown_ = true;
  write_to_file(fmt::format("\r{} {} %\x1b[K", what, done * 100 / total));
}

void Console::clear_progress() {
  if (progress_shown_) write_to_file("\r\x1b[K");
  progress_shown_ = false;
}

}  // namespace heapledger
