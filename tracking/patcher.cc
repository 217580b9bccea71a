// SPDX-License-Identifier: Apache-2.0
//
// The order of an installation, all threads being stopped:
//
//   plan     what can be patched, and where its item will be       nothing is written
//   items    stub, Site and trampoline into the islands            nothing reaches them yet
//   move     threads and signal frames out of the bytes to be replaced
//   jumps    one write a function
//
// A function that fails at one step is refused there; what was done for it so far is harmless.
#include "tracking/patcher.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "tracking/island.h"
#include "tracking/patch.h"
#include "tracking/signal_frame.h"

namespace heapledger {
namespace {

constexpr std::uint8_t kTrap = 0xcc;

// What is the same for all functions of one installation.
struct Stop {
  std::vector<ThreadState> threads;
  std::optional<Mappings> mappings;  // unknown for a remote process
  std::vector<SignalFrame> frames;
};

Stop look_at(Target& target) {
  Stop stop{.threads = target.thread_positions()};
  auto mappings = target.mappings();
  if (!mappings) return stop;
  stop.mappings = std::move(*mappings);
  for (const ThreadState& thread : stop.threads) {
    const auto frames = find_signal_frames(target.memory(), *stop.mappings, thread.sp);
    stop.frames.insert(stop.frames.end(), frames.begin(), frames.end());
  }
  return stop;
}

struct Plan {
  std::unique_ptr<InstalledHook> hook;
  std::vector<std::uint8_t> item;  // contents
  std::string failure;             // empty: all is well so far
};

}  // namespace

struct Patcher::Impl {
  Impl(Target& t, TargetControl& c) : target(t), control(c), islands(c) {}

  std::vector<Plan> make_plans(const std::vector<HookRequest>& requests, const Stop& stop);
  Result<void> fill_in(Plan& plan, const std::vector<Plan>& others, const Stop& stop);
  bool is_known(Address function, const std::vector<Plan>& plans) const;
  Result<void> check_overlap(const InstalledHook& hook, const std::vector<Plan>& plans) const;
  Result<void> check_place(const InstalledHook& hook, const Stop& stop) const;
  Result<void> check_pcs(const InstalledHook& hook, const Stop& stop) const;
  Result<void> place(Plan& plan);
  bool reuse_item(InstalledHook& hook, std::vector<std::uint8_t>& code) const;

  void write_items(std::vector<Plan>& plans);
  Result<void> write_hook(const InstalledHook& hook, const Stop& stop);
  Result<void> move_pcs(const InstalledHook& hook, const Stop& stop);
  std::map<Address, std::string> write_hooks(std::vector<Plan> plans, const Stop& stop);
  Result<void> restore(const InstalledHook& hook);

  Result<void> compare(Address address, std::span<const std::uint8_t> expected) const;
  const InstalledHook* find(Address function) const;
  bool leads_elsewhere(const InstalledHook& hook) const;

  Target& target;
  TargetControl& control;
  Islands islands;
  std::vector<std::unique_ptr<InstalledHook>> installed;
  // Items of functions whose hook was removed. Threads may still be inside, so they serve the same
  // function or none.
  std::map<Address, IslandItem> retired;
  std::uint32_t next_index = 0;
};

const InstalledHook* Patcher::Impl::find(Address function) const {
  for (const auto& hook : installed) {
    if (hook->request.function == function) return hook.get();
  }
  return nullptr;
}

bool Patcher::Impl::leads_elsewhere(const InstalledHook& hook) const {
  const auto written = jump_bytes(hook);
  std::int32_t expected;
  std::memcpy(&expected, written.data() + 1, sizeof expected);
  const auto distance = target.memory().read_value<std::int32_t>(hook.patched + 1);
  return distance && *distance != expected;
}

// Equal but for the traps of breakpoints that the debugger knows.
Result<void> Patcher::Impl::compare(Address address, std::span<const std::uint8_t> expected) const {
  std::vector<std::uint8_t> actual(expected.size());
  if (auto read = target.memory().read(address, std::as_writable_bytes(std::span(actual))); !read) {
    return read;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    const AddressRange here{address + i, address + i + 1};
    if (actual[i] == kTrap && !control.breakpoints_in(here).empty()) continue;
    return fail("{:#x} holds {:02x}, not {:02x}", address, fmt::join(actual, " "),
                fmt::join(expected, " "));
  }
  return {};
}

// ---------------------------------------------------------------------------------------------
// Planning.

std::vector<Plan> Patcher::Impl::make_plans(const std::vector<HookRequest>& requests,
                                            const Stop& stop) {
  std::vector<Plan> plans;
  for (const HookRequest& request : requests) {
    if (is_known(request.function, plans)) continue;  // aliases: the first request wins
    Plan plan{.hook = std::make_unique<InstalledHook>()};
    plan.hook->request = request;
    if (auto filled = fill_in(plan, plans, stop); !filled) plan.failure = filled.error().message;
    plans.push_back(std::move(plan));
  }
  return plans;
}

bool Patcher::Impl::is_known(Address function, const std::vector<Plan>& plans) const {
  return find(function) != nullptr ||
         std::any_of(plans.begin(), plans.end(),
                     [&](const Plan& plan) { return plan.hook->request.function == function; });
}

// A function that begins among the displaced bytes of another.
Result<void> Patcher::Impl::check_overlap(const InstalledHook& hook,
                                          const std::vector<Plan>& plans) const {
  const auto check = [&](const InstalledHook& other) -> Result<void> {
    if (!patched_range(other).overlaps(patched_range(hook))) return {};
    return fail("its first bytes overlap those of {}", other.request.symbol);
  };
  for (const auto& other : installed) {
    if (auto checked = check(*other); !checked) return checked;
  }
  for (const Plan& other : plans) {
    if (!other.failure.empty()) continue;
    if (auto checked = check(*other.hook); !checked) return checked;
  }
  return {};
}

Result<void> Patcher::Impl::fill_in(Plan& plan, const std::vector<Plan>& others, const Stop& stop) {
  InstalledHook& hook = *plan.hook;
  if (auto displaced = displace(hook); !displaced) return displaced;
  if (auto checked = check_overlap(hook, others); !checked) return checked;
  const Address function = hook.request.function;
  const auto before = std::span(hook.request.original).first(patched_range(hook).end - function);
  if (auto same = compare(function, before); !same) {
    return fail("already patched by something else: {}", same.error().message);
  }
  if (auto checked = check_place(hook, stop); !checked) return checked;
  if (auto checked = check_pcs(hook, stop); !checked) return checked;
  return place(plan);
}

Result<void> Patcher::Impl::check_place(const InstalledHook& hook, const Stop& stop) const {
  const AddressRange patched = patched_range(hook);
  const Mapping* mapping = stop.mappings ? find_mapping(*stop.mappings, patched.begin) : nullptr;
  if (mapping && !mapping->executable) return fail("{:#x} is not executable", patched.begin);
  if (mapping && mapping->shared) {
    return fail("its code is shared memory: other processes would run into the hook");
  }
  for (const Address breakpoint : control.breakpoints_in(inside(hook))) {
    return fail("a breakpoint stands at +{}, inside the bytes the jump would replace",
                breakpoint - hook.request.function);
  }
  return {};
}

Result<void> Patcher::Impl::check_pcs(const InstalledHook& hook, const Stop& stop) const {
  const auto check = [&](Address pc) -> Result<void> {
    if (!inside(hook).contains(pc) || moved_pc(hook, pc)) return {};
    return fail("a thread stands at +{}, inside an instruction that would be moved",
                pc - hook.request.function);
  };
  for (const ThreadState& thread : stop.threads) {
    if (auto checked = check(thread.pc); !checked) return checked;
  }
  for (const SignalFrame& frame : stop.frames) {
    if (auto checked = check(frame.pc); !checked) return checked;
  }
  return {};
}

// True: the item of an earlier hook of this function serves again, its trampoline being the same.
bool Patcher::Impl::reuse_item(InstalledHook& hook, std::vector<std::uint8_t>& code) const {
  const auto earlier = retired.find(hook.request.function);
  if (earlier == retired.end()) return false;
  auto relocated = relocate_into(earlier->second, hook);
  if (!relocated) return false;
  code = std::move(*relocated);
  return compare(hook.trampoline, code).has_value();
}

Result<void> Patcher::Impl::place(Plan& plan) {
  InstalledHook& hook = *plan.hook;
  std::vector<std::uint8_t> code;
  if (!reuse_item(hook, code)) {
    const auto item = islands.take(reach_of(hook.request));
    if (!item) return tl::unexpected(item.error());
    auto relocated = relocate_into(*item, hook);
    if (!relocated) {
      islands.give_back(*item);
      return tl::unexpected(relocated.error());
    }
    code = std::move(*relocated);
  }
  hook.index = next_index++;
  plan.item = item_bytes(hook, code);
  return {};
}

// ---------------------------------------------------------------------------------------------
// Writing.

// Items that stand side by side go in one write: a debugger takes 0.1-0.5 ms for each.
void Patcher::Impl::write_items(std::vector<Plan>& plans) {
  std::vector<Plan*> order;
  for (Plan& plan : plans) {
    if (plan.failure.empty()) order.push_back(&plan);
  }
  std::sort(order.begin(), order.end(),
            [](const Plan* a, const Plan* b) { return a->hook->stub < b->hook->stub; });
  for (std::size_t first = 0, next; first < order.size(); first = next) {
    std::vector<std::uint8_t> bytes;
    const Address begin = order[first]->hook->stub;
    for (next = first; next < order.size() && order[next]->hook->stub == begin + bytes.size();
         ++next) {
      bytes.insert(bytes.end(), order[next]->item.begin(), order[next]->item.end());
    }
    auto written = control.write_code(begin, std::as_bytes(std::span(bytes)));
    if (written) written = compare(begin, bytes);
    if (written) continue;
    for (std::size_t i = first; i < next; ++i) order[i]->failure = written.error().message;
  }
}

// Threads go first: in the trampoline they run the same instructions, whether the jump comes or
// not.
Result<void> Patcher::Impl::write_hook(const InstalledHook& hook, const Stop& stop) {
  if (auto moved = move_pcs(hook, stop); !moved) return moved;
  const auto jump = jump_bytes(hook);
  auto written = control.write_code(hook.patched, std::as_bytes(std::span(jump)));
  if (written) written = compare(hook.patched, jump);
  if (written) return {};
  // Whatever part of it was written must go; that this fails too cannot be helped.
  const auto original = original_bytes(hook);
  (void)control.write_code(hook.patched, std::as_bytes(std::span(original)));
  return written;
}

Result<void> Patcher::Impl::move_pcs(const InstalledHook& hook, const Stop& stop) {
  for (const ThreadState& thread : stop.threads) {
    if (!inside(hook).contains(thread.pc)) continue;
    if (auto moved = control.set_pc(thread.tid, *moved_pc(hook, thread.pc)); !moved) return moved;
  }
  for (const SignalFrame& frame : stop.frames) {
    if (!inside(hook).contains(frame.pc)) continue;
    const Address pc = *moved_pc(hook, frame.pc);
    const auto bytes = std::as_bytes(std::span(&pc, 1));
    if (auto moved = control.write_data(frame.pc_slot, bytes); !moved) return moved;
  }
  return {};
}

// Returns why the others were not hooked, by function.
std::map<Address, std::string> Patcher::Impl::write_hooks(std::vector<Plan> plans,
                                                          const Stop& stop) {
  std::map<Address, std::string> failures;
  for (Plan& plan : plans) {
    const Address function = plan.hook->request.function;
    auto written = plan.failure.empty() ? write_hook(*plan.hook, stop) : fail("{}", plan.failure);
    if (written) {
      retired.erase(function);
      installed.push_back(std::move(plan.hook));
      continue;
    }
    failures[function] = written.error().message;
    if (plan.hook->stub != 0) retired[function] = {plan.hook->stub};  // a thread may be inside
  }
  return failures;
}

// A jump that is not ours any more is not touched: somebody who patched over it keeps a copy of it,
// and the island it leads to stays.
Result<void> Patcher::Impl::restore(const InstalledHook& hook) {
  const auto original = original_bytes(hook);
#ifdef HEAPLEDGER_MUTANT_TRAP_LEFT  // tests/mutants
  if (hook.request.symbol == "pvalloc") {
    return control.write_code(hook.patched, std::as_bytes(std::span(&kTrap, 1)));
  }
#endif
  if (compare(hook.patched, original)) return {};
  auto restored = compare(hook.patched, jump_bytes(hook));
  if (restored) {
    restored = control.write_code(hook.patched, std::as_bytes(std::span(original)));
  }
  if (restored) restored = compare(hook.patched, original);
  if (restored) return {};
  return fail("cannot restore {}: {}", hook.request.symbol, restored.error().message);
}

// ---------------------------------------------------------------------------------------------

Patcher::Patcher(Target& target, TargetControl& control)
    : impl_(std::make_unique<Impl>(target, control)) {}

Patcher::~Patcher() = default;

Patcher::Outcome Patcher::install(std::vector<HookRequest> requests) {
  const Stop stop = look_at(impl_->target);
  std::vector<Plan> plans = impl_->make_plans(requests, stop);
  impl_->write_items(plans);
  const std::map<Address, std::string> failures = impl_->write_hooks(std::move(plans), stop);

  Outcome outcome;
  for (HookRequest& request : requests) {
    if (const InstalledHook* hook = impl_->find(request.function)) {
      outcome.installed.push_back(hook);
    } else {
      const Address function = request.function;
      outcome.refused.push_back({std::move(request), failures.at(function)});
    }
  }
  return outcome;
}

Result<void> Patcher::remove_all(const std::vector<AddressRange>& gone) {
  for (const AddressRange& range : gone) forget(range);
  std::string failures;
  std::erase_if(impl_->installed, [&](const std::unique_ptr<InstalledHook>& hook) {
    const auto restored = impl_->restore(*hook);
    if (restored) impl_->retired[hook->request.function] = {hook->stub};
    if (!restored) failures += (failures.empty() ? "" : "; ") + restored.error().message;
    return restored.has_value();
  });
  if (!failures.empty()) return fail("{}", failures);
  return {};
}

Result<void> Patcher::remove(const InstalledHook& hook) {
  if (auto restored = impl_->restore(hook); !restored) return restored;
  impl_->retired[hook.request.function] = {hook.stub};
  std::erase_if(impl_->installed, [&](const auto& other) { return other.get() == &hook; });
  return {};
}

std::vector<const InstalledHook*> Patcher::under_breakpoints(Traps traps) const {
  std::vector<const InstalledHook*> result;
  for (const auto& hook : impl_->installed) {
    const bool hit = traps == Traps::listed ? !impl_->control.breakpoints_in(inside(*hook)).empty()
                                            : impl_->leads_elsewhere(*hook);
    if (hit) result.push_back(hook.get());
  }
  return result;
}

Result<void> Patcher::check(const InstalledHook& hook) const {
  return impl_->compare(hook.patched, jump_bytes(hook));
}

void Patcher::forget_all() {
  impl_->installed.clear();
  impl_->retired.clear();
  impl_->islands.forget_all();
  impl_->next_index = 0;
}

void Patcher::forget(AddressRange module_range) {
  std::erase_if(impl_->installed, [&](const std::unique_ptr<InstalledHook>& hook) {
    return module_range.contains(hook->request.function);
  });
  std::erase_if(impl_->retired,
                [&](const auto& entry) { return module_range.contains(entry.first); });
}

const std::vector<std::unique_ptr<InstalledHook>>& Patcher::installed() const {
  return impl_->installed;
}

std::vector<AddressRange> Patcher::islands() const { return impl_->islands.ranges(); }

}  // namespace heapledger
