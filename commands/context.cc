// SPDX-License-Identifier: Apache-2.0
#include "commands/context.h"

#include "commands/judgement.h"

namespace heapledger {

Context::Context(Target& target_, TargetControl& control_)
    : target(target_), control(control_), tracker(target_, control_) {}

Context::~Context() = default;

void Context::forget_ledger() {
  scan_.reset();
  cached_.reset();
}

Result<void> Context::stopped_process() const {
  switch (target.state()) {
    case ProcessState::none:
      return fail("no process: run the program first");
    case ProcessState::running:
      return fail("process {} is running: interrupt it first", target.pid());
    case ProcessState::exited: {
      const auto status = target.exit_status();
      const std::string how = status ? fmt::format(" with status {}", *status) : std::string();
      const std::string who = last_pid ? fmt::format("process {}", *last_pid) : "the process";
      return fail("{} has exited{}: stop it earlier, or have `leaks at-exit` scan it at its end",
                  who, how);
    }
    case ProcessState::stopped:
      break;
  }
  if (!target.is_x86_64()) {
    return fail("process {} is not a 64-bit x86-64 program: only those are supported",
                target.pid());
  }
  return {};
}

void Context::adopt_once() {
  if (adopted_ || tracker.has_ledger() || target.state() != ProcessState::stopped) return;
  adopted_ = true;
  (void)tracker.adopt();  // an agent of another version is as good as none: start says more
}

Result<const Ledger*> Context::ledger() {
  auto there = stopped_process();
  if (!there) return tl::unexpected(there.error());
  if (cached_ && cached_->stop_id == target.stop_id()) return &cached_->ledger;
  forget_ledger();
  if (!read_ledger) {
    adopt_once();
    if (!tracker.has_ledger()) {
      if (target.kind() == ProcessKind::core) {
        return fail("this core has no ledger: its process was not tracked");
      }
      return fail("process {} is not tracked: `leaks start` tracks it from now on", target.pid());
    }
  }
  auto read = read_ledger ? read_ledger() : tracker.read_ledger();
  if (!read) return tl::unexpected(read.error());
  cached_ = Cached{target.stop_id(), std::move(*read)};
  return &cached_->ledger;
}

Result<const ProcessScan*> Context::scan(LeaderRule leader) {
  const auto read = ledger();
  if (!read) return tl::unexpected(read.error());
  if (scan_ && scan_->leader == leader) return &scan_->scan;
  scan_.reset();
  ProcessScanOptions options;
  options.scan.leader = leader;
  options.tracked_from_start = tracked_from_start;
  auto made = make_scan ? make_scan(**read, options)
                        : scan_process(target, **read, tracker.own_memory(), options);
  if (!made) return tl::unexpected(made.error());
  scan_ = CachedScan{leader, std::move(*made)};
  return &scan_->scan;
}

void Context::forget_process() {
  tracker.forget();
  forget_ledger();
  adopted_ = false;
  launched = false;
  tracked_from_start = false;
  stopped_by_user = false;
  spoke = false;
}

LedgerCoverage Context::coverage(const Ledger& ledger) const {
  LedgerCoverage coverage = ledger_coverage(ledger, tracker.hooks());
  coverage.started_late = !tracked_from_start;
  return coverage;
}

FrameResolver Context::frame_resolver() {
  return FrameResolver(target, tracker.own_memory(),
                       [this](CodeAddress address) { return tracker.code_origin(address); });
}

}  // namespace heapledger
