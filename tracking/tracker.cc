// SPDX-License-Identifier: Apache-2.0
#include "tracking/tracker.h"

#include <algorithm>
#include <cstring>

#include "inferior/target_modules.h"
#include "tracking/agent_image.h"
#include "tracking/agent_memory.h"
#include "tracking/announcements.h"
#include "tracking/breakpoint_tracker.h"
#include "tracking/call_filters.h"
#include "tracking/code_map.h"
#include "tracking/core_contents.h"
#include "tracking/entry_points.h"
#include "tracking/entry_redirects.h"
#include "tracking/found_hooks.h"
#include "tracking/hook_list.h"
#include "tracking/island_rules.h"
#include "tracking/memory_share.h"
#include "tracking/restored_entries.h"
#include "tracking/rule_publisher.h"
#include "tracking/unresolved_functions.h"

namespace heapledger {

struct Tracker::Impl {
  Target& target;
  TargetControl& control;
  Patcher patcher;
  EntryRedirects redirects;  // of what the patcher refuses
  RulePublisher publisher;
  Announcements announcements;
  CodeMap code;
  std::optional<AgentMemory> agent;
  std::unique_ptr<BreakpointTracker> breakpoints;  // instead of the agent
  std::vector<AddressRange> former_memory;  // of agents before a stop; they stay mapped
  TrackingOptions options;
  HookList hooks;
  UnresolvedFunctions unresolved;
  bool active = false;
  bool adopted = false;
  bool rules_wait = false;  // for another event: there was no memory for them at the last one

  Impl(Target& t, TargetControl& c) : target(t), control(c), patcher(t, c), redirects(c),
                                      publisher(t, c), announcements(t, c) {}

  struct Picture {
    Mappings mappings;
    std::vector<Module> modules;
  };
  Result<Picture> look() {
    auto mappings = target.mappings();
    if (!mappings) return tl::unexpected(mappings.error());
    auto modules = read_modules(target, *mappings);
    if (!modules) return tl::unexpected(modules.error());
    return Picture{std::move(*mappings), std::move(*modules)};
  }

  // An Error: the process has no room for an agent, or it may not be brought in.
  Result<AgentConfig> configure(const Picture& picture, const std::vector<HookRequest>& requests) {
    if (auto can = check_filters(target); !can && !options.despite_filters) {
      return tl::unexpected(can.error());
    }
    AgentConfig config{.granule_shift = only_glibc_allocates(requests, picture.modules) ? 5u : 4u,
                       .stacks = options.stacks,
                       .time = options.time,
                       .main_stack_end = main_stack_end(picture.mappings)};
    auto limited = limit_ledger(target, picture.mappings, options.max_ledger_bytes, config);
    if (!limited) return tl::unexpected(limited.error());
    return config;
  }

  // The breakpoint engine: entry points of modules that came now.
  HookList watch(const EntryPointsFound& found) {
    std::vector<RefusedHook> refused = found.refused;
    std::vector<const HookRequest*> watched;
    for (const HookRequest& request : found.requests) {
      if (auto done = breakpoints->watch(request)) {
        watched.push_back(&request);
      } else {
        refused.push_back({request, done.error().message});
      }
    }
    return hook_list(watched, refused);
  }

  Result<HookList> start_breakpoints(const EntryPointsFound& found) {
    retire_agent();
    breakpoints = std::make_unique<BreakpointTracker>(target, control, code, options.stacks);
    hooks = watch(found);
    if (std::all_of(hooks.begin(), hooks.end(), [](auto& m) { return m.hooked.empty(); })) {
      breakpoints.reset();
      return fail("cannot track by breakpoints: {}", first_reason(hooks));
    }
    active = true;
    return hooks;
  }

  // The agent's hooks of modules that came now.
  HookList install(EntryPointsFound found) {
    aim(found.requests);
    Patcher::Outcome outcome = patcher.install(std::move(found.requests));
    std::vector<const HookRequest*> hooked;
    for (const InstalledHook* h : outcome.installed) hooked.push_back(&h->request);
    std::vector<RefusedHook> by_breakpoint;
    for (RefusedHook& r : outcome.refused) {
      auto& list = redirects.install(r.request) ? by_breakpoint : found.refused;
      list.push_back(std::move(r));
    }
    return hook_list(hooked, found.refused, by_breakpoint);
  }

  bool hooks_an_allocation() const {
    const auto allocation = [](const auto& hook) { return allocates(hook->request.kind); };
    const auto& jumps = patcher.installed();
    const auto& traps = redirects.installed();
    return std::any_of(jumps.begin(), jumps.end(), allocation) ||
           std::any_of(traps.begin(), traps.end(), allocation);
  }

  void forget_code(AddressRange gone) {
    patcher.forget(gone);
    redirects.forget(gone);
  }

  Result<void> remove_hooks() {
    redirects.stop();
    return patcher.remove_all();
  }

  void aim(std::vector<HookRequest>& requests) {
    for (HookRequest& r : requests) r.hook = agent->image + AgentImage::embedded().hook(r.shape);
  }

  // Rules of everything mapped now, our own code included.
  Result<void> publish_rules(bool code_went_away) {
    code.add_own(agent->image_range, agent->image, AgentImage::embedded().rules(), "heapledger-agent");
    const auto add = [&](const std::vector<AddressRange>& islands, const auto& hooks) {
      for (const AddressRange& island : islands) {
        code.add_own(island, island.begin, island_rules(island, hooks, code), "heapledger-island");
      }
    };
    add(patcher.islands(), patcher.installed());
    add(redirects.islands(), redirects.installed());
    return publisher.publish(agent->state, code, code_went_away);
  }

  void announce() {
    announcements.agent(agent->image);
    announcements.hooks(patcher.installed(), patcher.islands(), code);
    announcements.hooks(redirects.installed(), redirects.islands(), code);
  }

  Result<void> keep_cores_small(const Mappings& mappings) {
    std::vector<AddressRange> own = publisher.memory();
    for (const AddressRange& reserve : control.reserves()) own.push_back(reserve);
    return leave_out_of_cores(control, *agent, own, patched_text(patcher.installed(), mappings));
  }

  void retire_agent() {
    if (!agent) return;
    for (const AddressRange& r : current_memory()) former_memory.push_back(r);
    publisher.forget();
    agent.reset();
  }

  std::vector<AddressRange> current_memory() {
    std::vector<AddressRange> ranges;
    if (!agent) return ranges;
    ranges = {agent->image_range, agent->data_range};
    for (const AddressRange& r : publisher.memory()) ranges.push_back(r);
    for (const AddressRange& r : patcher.islands()) ranges.push_back(r);
    for (const AddressRange& r : redirects.islands()) ranges.push_back(r);
    const AddressRange arena = mapped_arena(target.memory(), *agent);
    if (!arena.empty()) ranges.push_back(arena);
    return ranges;
  }

  Result<std::size_t> restore_adopted() {
    auto picture = look();
    if (!picture) return tl::unexpected(picture.error());
    return restore_from_files(target.memory(), control, picture->modules);
  }
};

Tracker::Tracker(Target& target, TargetControl& control)
    : impl_(std::make_unique<Impl>(target, control)) {}
Tracker::~Tracker() = default;

Result<std::vector<ModuleHooks>> Tracker::start(const TrackingOptions& options) {
  Impl& t = *impl_;
  if (t.active) return modules_changed();
  if (!t.control.all_stopped()) return fail("other threads are running: stop the process first");
  t.options = options;
  auto picture = t.look();
  if (!picture) return tl::unexpected(picture.error());

  for (const Module& m : picture->modules) {
    if (const char* sanitizer = sanitizer_of(m)) {
      return fail("{} replaces the allocator in {}: ask it for leaks, or rebuild without it",
                  sanitizer, m.name);
    }
  }
  auto found = entry_points_to_hook(t.target.memory(), t.control, picture->modules, options.extra_hooks);
  if (!found) return tl::unexpected(found.error());
  t.unresolved.take_from(*found);
  t.code.update(picture->modules);
  if (options.engine == Engine::breakpoint) return t.start_breakpoints(*found);

  const auto config = t.configure(*picture, found->requests);
  if (!config) return tl::unexpected(config.error());
  t.breakpoints.reset();
  if (t.adopted) {
    if (auto done = t.restore_adopted(); !done) return tl::unexpected(done.error());
    t.adopted = false;
  }
  t.retire_agent();
  auto agent = bring_agent_in(t.control, *config);
  if (!agent) return fail("{}{}", agent.error().message, may_be_forbidden(t.target));
  t.agent = *agent;
  HookList summary = t.install(std::move(*found));
  if (!t.hooks_an_allocation()) {
    const std::string reason = first_reason(summary);
    (void)t.remove_hooks();
    return fail("cannot hook malloc: {}{}", reason, may_be_forbidden(t.target));
  }
  auto ready = t.publish_rules(false);
  if (ready) ready = t.keep_cores_small(picture->mappings);
  if (ready) ready = set_active(t.control, *t.agent, true);
  if (!ready) {
    (void)t.remove_hooks();
    return tl::unexpected(ready.error());
  }
  t.active = true;
  t.announce();
  t.hooks = summary;
  return summary;
}

Result<std::vector<ModuleHooks>> Tracker::modules_changed() {
  Impl& t = *impl_;
  if (!t.active) return HookList{};
  auto picture = t.look();
  if (!picture) return tl::unexpected(picture.error());
  CodeMap::Change change = t.code.update(picture->modules);
  if (change.empty() && !waits_for_stop()) return HookList{};
  for (const AddressRange& gone : change.removed) t.unresolved.forget(gone);
  EntryPointsFound found;
  t.unresolved.give_to(found);
  for (const Module* m : change.added) found.add(find_entry_points(*m));
  resolve_indirect(t.target.memory(), t.control, picture->modules, found);
  t.unresolved.take_from(found);
  HookList summary;
  if (t.breakpoints) {
    for (const AddressRange& gone : change.removed) t.breakpoints->forget(gone);
    summary = t.watch(found);
  } else {
    for (const AddressRange& gone : change.removed) t.forget_code(gone);
    summary = t.install(std::move(found));
    auto published = t.publish_rules(!change.removed.empty() || t.rules_wait);
    t.rules_wait = !published;
    t.announce();
    if (!published) return tl::unexpected(published.error());
  }
  merge(t.hooks, summary);
  return summary;
}

Result<void> Tracker::stop() {
  Impl& t = *impl_;
  if (!t.active) return {};
  if (t.breakpoints) {
    t.breakpoints->stop();
    t.active = false;
    return {};
  }
  // A module that went away since the last loader event is only forgotten.
  if (auto picture = t.look()) {
    for (const AddressRange& gone : t.code.update(picture->modules).removed) t.forget_code(gone);
  }
  if (auto done = set_active(t.control, *t.agent, false); !done) return done;
  Result<void> done;
  if (!t.adopted) {
    done = t.remove_hooks();
  } else if (auto restored = t.restore_adopted(); !restored) {
    done = tl::unexpected(restored.error());
  }
  if (done) {
    t.active = false;
    t.adopted = false;
  }
  return done;
}

Result<std::size_t> Tracker::remove_left_hooks() {
  if (!impl_->adopted || impl_->active) return 0;
  return impl_->restore_adopted();
}

std::vector<Tracker::Unhooked> Tracker::unhook_under_breakpoints(Traps traps) {
  Impl& t = *impl_;
  std::vector<Unhooked> unhooked;
  if (!t.active || t.breakpoints) return unhooked;
  for (const InstalledHook* hook : t.patcher.under_breakpoints(traps)) {
    const HookRequest request = hook->request;
    if (!t.patcher.remove(*hook)) continue;
    const auto redirected = t.redirects.install(request);
    ModuleHooks& of_module = hooks_of(t.hooks, request.module);
    std::erase(of_module.hooked, request.symbol);
    (redirected ? of_module.by_breakpoint : of_module.not_hooked)
        .emplace_back(request.symbol, "a breakpoint stands inside its entry");
    unhooked.push_back({request.symbol, redirected ? "" : redirected.error().message});
  }
  if (!unhooked.empty()) {
    t.rules_wait = !t.publish_rules(false);
    t.announce();
  }
  return unhooked;
}

void Tracker::forget() {
  Impl& t = *impl_;
  t.breakpoints.reset();
  t.patcher.forget_all();
  t.redirects.forget_all();
  t.publisher.forget();
  t.announcements.forget();
  t.code.clear();
  t.agent.reset();
  t.former_memory.clear();
  t.hooks.clear();
  t.unresolved.forget_all();
  t.active = t.adopted = t.rules_wait = false;
}

Result<bool> Tracker::adopt() {
  Impl& t = *impl_;
  if (has_ledger()) return true;
  if (t.target.kind() == ProcessKind::live_remote) return false;  // no agent is brought in there
  auto picture = t.look();
  if (!picture) return tl::unexpected(picture.error());
  auto found = find_agents(t.target.memory(), picture->mappings);
  if (!found) return tl::unexpected(found.error());
  if (found->empty()) return false;
  for (std::size_t i = found->size(); i-- > 0;) {  // the newest comes first
    t.retire_agent();
    t.agent = (*found)[i];
    t.announcements.agent(t.agent->image);
  }
  t.code.update(picture->modules);
  const FoundHooks left = find_hooks(t.target.memory(), picture->mappings,
                                     find_entry_points(picture->modules).requests);
  t.announcements.hooks(left.hooks, left.islands, t.code);
  t.adopted = true;
  auto active = t.target.memory().read_value<std::uint32_t>(t.agent->control);
  t.active = active.value_or(0) == 1;
  return true;
}

bool Tracker::waits_for_stop() const {
  return impl_->active && (impl_->rules_wait || !impl_->unresolved.empty());
}
bool Tracker::active() const { return impl_->active; }
bool Tracker::has_ledger() const { return impl_->agent.has_value() || impl_->breakpoints; }
Engine Tracker::engine() const { return impl_->options.engine; }
const std::vector<ModuleHooks>& Tracker::hooks() const { return impl_->hooks; }
Address Tracker::state_address() const { return impl_->agent ? impl_->agent->state : 0; }

void Tracker::pause() { if (impl_->breakpoints) impl_->breakpoints->pause(); }

std::optional<HitCosts> Tracker::costs() const {
  return impl_->breakpoints ? std::optional(impl_->breakpoints->costs()) : std::nullopt;
}

Result<Ledger> Tracker::read_ledger() {
  if (impl_->breakpoints) return impl_->breakpoints->ledger();
  if (!impl_->agent) return fail("there is no ledger: tracking was not started in this process");
  Target& target = impl_->target;
  auto ledger = Ledger::read(target.memory(), impl_->agent->state, &target);
  if (!ledger || target.kind() != ProcessKind::live_local) return ledger;
  // Read afterwards: what was mapped meanwhile, in a process that runs, is not in the ledger.
  if (auto mappings = target.mappings()) ledger->keep_mapped(*mappings);
  return ledger;
}

std::vector<AddressRange> Tracker::own_memory() {
  std::vector<AddressRange> ranges = impl_->former_memory;
  for (const AddressRange& r : impl_->current_memory()) ranges.push_back(r);
  for (const AddressRange& r : impl_->control.reserves()) ranges.push_back(r);
  return ranges;
}

std::optional<Tracker::CodeOrigin> Tracker::code_origin(CodeAddress address) const {
  const CodeRange* r = impl_->code.find(address.pc, address.incarnation);
  if (r == nullptr) return std::nullopt;
  return CodeOrigin{r->path, r->bias, r->range, r->loaded, r->elf};
}

}  // namespace heapledger
