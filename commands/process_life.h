// SPDX-License-Identifier: Apache-2.0
//
// The life of a debugged process, told to its session: launch, loader events, exec, end. Debuggers
// have events of their own for some of it and none for the rest, so a front end calls follow()
// whenever it gets to run, and the difference to the last look is what happened.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "commands/session.h"
#include "inferior/process_image.h"
#include "inferior/target.h"
#include "tracking/tracker.h"

namespace heapledger {

// What a front end does about its own memory of a process.
struct ProcessLifeEvents {
  std::function<void()> forget;        // the process, or its image, is gone: what was kept is void
  std::function<void()> note_modules;  // stopped: modules may have come or gone
  // Address of the loader's r_debug by its symbol, for a program without DT_DEBUG; 0: unknown.
  std::function<Address()> r_debug;
};

class ProcessLife {
 public:
  ProcessLife(Target& target, Session& session, ProcessLifeEvents events)
      : target_(target), session_(session), events_(std::move(events)) {}

  // `identity` tells two processes of the debugger apart, whatever their pids.
  void follow(std::uint64_t identity);

  // A breakpoint at the loader's event or at a static program's start was hit in `function`. Returns
  // what the user is told.
  std::string loader_event(std::string_view function);
  // Where the loader calls at each event, by what the process itself says; 0: unknown.
  Address loader_event_function() const;

  // The program is about to end (once per image; nothing is due without `leaks at-exit`).
  bool exit_call_due();

  // The debugger lets the process go on without it: hooks out. Returns what the user is told.
  std::string let_go();

  // Before the process runs on: hooks under breakpoints set since are taken out.
  std::string before_resume(Traps traps);

  bool has_process() const { return process_.has_value(); }
  bool launched() const { return launched_; }
  const std::optional<ProcessImage>& image() const { return image_; }

 private:
  bool still_our_image();
  void process_ended();
  LoaderState loader_state_now();

  Target& target_;
  Session& session_;
  ProcessLifeEvents events_;
  std::optional<std::uint64_t> process_;
  std::optional<ProcessImage> image_;
  bool launched_ = false;     // not attached to (of a remote process unknown): its beginning is seen
  bool loader_seen_ = false;  // the loader's event has come in this image
  bool exit_judged_ = false;
};

}  // namespace heapledger
