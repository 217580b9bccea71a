// SPDX-License-Identifier: Apache-2.0
//
// Every way from LLDB into the plugin goes through here: one at a time, and no exception leaves
// (LLDB is built without them and would end).
#pragma once

#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <string>

#include "inferior/printable.h"

namespace heapledger {

std::recursive_timed_mutex& plugin_lock();

// Runs `body`. What went wrong in a library, or that the plugin is busy, is returned as a line.
// Waiting has an end because a script's HandleCommand holds LLDB's own lock while it waits for
// ours, and a callback on the event thread may hold ours and want LLDB's.
template <typename Body>
std::optional<std::string> enter(Body&& body) noexcept {
  try {
    const std::unique_lock lock(plugin_lock(), std::chrono::seconds(10));
    if (!lock.owns_lock()) return "heapledger is busy with an event of the process: try again";
    body();
    return std::nullopt;
  } catch (const std::exception& error) {
    return "internal error: " + printable(error.what());
  } catch (...) {
    return "internal error";
  }
}

}  // namespace heapledger
