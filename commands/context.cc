// SPDX-License-Identifier: Apache-2.0
#include "commands/context.h"

#include "commands/judgement.h"

namespace heapledger {

Context::Context(Target& target_, TargetControl& control_)
    : target(target_), control(control_), tracker(target_, control_), exit_gate(target_, control_) {}

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
  auto recorded = recorded_ledger();
  if (!recorded) return tl::unexpected(recorded.error());
  Cached cached{.stop_id = target.stop_id(), .recorded = recorded->has_value()};
  if (*recorded) cached.ledger = std::move(**recorded);
  const bool complete = saw_everything() && cached.ledger.counters().dropped == 0;
  if (!cached.recorded || !complete) join_heap(cached);
  if (!cached.recorded && !cached.heap) {
    if (target.kind() == ProcessKind::core) {
      const std::string missing = target.missing_evidence();
      return fail("this core has no ledger: its process was not tracked ({}){}{}", cached.no_heap,
                  missing.empty() ? "" : "; ", missing);
    }
    return fail("process {} is not tracked ({}): `leaks start` tracks it from now on", target.pid(),
                cached.no_heap);
  }
  cached_ = std::move(cached);
  return &cached_->ledger;
}

// Nothing when the process was never tracked.
Result<std::optional<Ledger>> Context::recorded_ledger() {
  if (!read_ledger) adopt_once();
  if (!read_ledger && !tracker.has_ledger()) return std::nullopt;
  auto read = read_ledger ? read_ledger() : tracker.read_ledger();
  if (!read) return tl::unexpected(read.error());
  return std::move(*read);
}

bool Context::saw_everything() const {
  return tracked_from_start && (read_ledger || tracker.active());
}

void Context::join_heap(Cached& cached) {
  auto heap = walk_process_heap(target, own_memory());
  if (!heap) {
    cached.no_heap = heap.error().message;
    return;
  }
  cached.ledger.join_heap(std::move(heap->used), tracker.active());
  cached.heap = std::move(*heap);
}

const BlockShapes& Context::shapes() {
  static const BlockShapes none;
  if (!cached_) return none;
  if (!cached_->shapes) {
    const auto mappings = target.mappings();
    cached_->shapes.emplace(target, mappings.value_or(Mappings()), cached_->ledger);
  }
  return *cached_->shapes;
}

const HeapWalk* Context::heap() const {
  return cached_ && cached_->heap ? &*cached_->heap : nullptr;
}

Result<const ProcessScan*> Context::scan(LeaderRule leader) {
  const auto read = ledger();
  if (!read) return tl::unexpected(read.error());
  if (scan_ && scan_->leader == leader) return &scan_->scan;
  scan_.reset();
  ProcessScanOptions options;
  options.scan.leader = leader;
  options.tracked_from_start = saw_everything();
  options.heap = heap();
  options.shapes = [this]() -> const BlockShapes& { return shapes(); };
  auto made = make_scan ? make_scan(**read, options)
                        : scan_process(target, **read, own_memory(), options);
  if (!made) return tl::unexpected(made.error());
  scan_ = CachedScan{leader, std::move(*made)};
  return &scan_->scan;
}

void Context::open_exit_gate() {
  const bool due = at_exit && exit_gate.stop() == 0 && no_exit_gate.empty();
  if (!due || target.state() != ProcessState::stopped || !control.all_stopped()) return;
  if (control.dies_with_debugger()) return;  // a breakpoint does no harm there
  if (tracker.active() && tracker.engine() == Engine::breakpoint) {
    no_exit_gate = "tracking is by breakpoints";
  } else if (auto opened = exit_gate.open(); !opened) {
    no_exit_gate = opened.error().message;
  }
}

std::vector<AddressRange> Context::own_memory() {
  std::vector<AddressRange> ranges = tracker.own_memory();
  for (const AddressRange& range : exit_gate.memory()) ranges.push_back(range);
  return ranges;
}

void Context::forget_process() {
  tracker.forget();
  exit_gate.forget();
  no_exit_gate.clear();
  forget_ledger();
  adopted_ = false;
  launched = false;
  tracked_from_start = false;
  stopped_by_user = false;
  spoke = false;
}

LedgerCoverage Context::coverage(const Ledger& ledger) const {
  LedgerCoverage coverage = ledger_coverage(ledger, tracker.hooks());
  coverage.missing_evidence = target.missing_evidence();
  coverage.started_late = !tracked_from_start;
  if (!cached_) return coverage;
  coverage.recorded = cached_->recorded;
  coverage.stopped = cached_->recorded && !read_ledger && !tracker.active();
  coverage.heap_not_walked = cached_->no_heap;
  if (cached_->heap) {
    coverage.requested_sizes = cached_->heap->requested_sizes;
    coverage.heap_notes = cached_->heap->notes;
    coverage.heap_damage = cached_->heap->messages;
  }
  return coverage;
}

FrameResolver Context::frame_resolver() {
  return FrameResolver(target, own_memory(),
                       [this](CodeAddress address) { return tracker.code_origin(address); });
}

}  // namespace heapledger
