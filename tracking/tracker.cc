// SPDX-License-Identifier: Apache-2.0
#include "tracking/tracker.h"

#include <algorithm>
#include <cstring>

#include "inferior/target_modules.h"
#include "tracking/agent_image.h"
#include "tracking/agent_memory.h"
#include "tracking/code_map.h"
#include "tracking/entry_points.h"
#include "tracking/island_rules.h"
#include "tracking/rule_publisher.h"

namespace heapledger {
namespace {

using HookList = std::vector<ModuleHooks>;

ModuleHooks& hooks_of(HookList& list, const std::string& module) {
  for (ModuleHooks& h : list) {
    if (h.module == module) return h;
  }
  list.push_back({module, {}, {}});
  return list.back();
}

// In the order of the list of entry points, each name once.
HookList summarize(const Patcher::Outcome& outcome, const std::vector<RefusedHook>& refused_before) {
  HookList list;
  auto refuse = [&](const RefusedHook& r) {
    hooks_of(list, r.request.module).not_hooked.emplace_back(r.request.symbol, r.reason);
  };
  std::vector<std::pair<std::string, std::string>> hooked;
  for (const EntryPoint& e : entry_points()) {
    for (const InstalledHook* h : outcome.installed) {
      if (h->request.symbol != e.name) continue;
      auto& names = hooks_of(list, h->request.module).hooked;
      if (std::find(names.begin(), names.end(), e.name) == names.end()) names.push_back(e.name);
    }
  }
  for (const RefusedHook& r : refused_before) refuse(r);
  for (const RefusedHook& r : outcome.refused) refuse(r);
  return list;
}

void merge(HookList& all, const HookList& more) {
  for (const ModuleHooks& m : more) {
    ModuleHooks& h = hooks_of(all, m.module);
    for (const std::string& name : m.hooked) {
      if (std::find(h.hooked.begin(), h.hooked.end(), name) == h.hooked.end()) h.hooked.push_back(name);
    }
    for (const auto& refused : m.not_hooked) {
      if (std::find(h.not_hooked.begin(), h.not_hooked.end(), refused) == h.not_hooked.end()) {
        h.not_hooked.push_back(refused);
      }
    }
  }
}

bool allocates(agent::Kind kind) {
  return kind >= agent::Kind::malloc && kind <= agent::Kind::pvalloc;
}

Address main_stack_end(const Mappings& mappings) {
  for (const Mapping& m : mappings) {
    if (m.name == "[stack]") return m.range.end;
  }
  return 0;
}

// glibc places block starts at least 32 bytes apart; any other allocator may do with 16.
bool only_glibc_allocates(const std::vector<HookRequest>& requests,
                          const std::vector<Module>& modules) {
  for (const HookRequest& r : requests) {
    if (!allocates(r.kind)) continue;
    const Module* m = find_module(modules, r.function);
    if (m == nullptr || m->elf == nullptr || is_musl(*m) ||
        !m->elf->symbol("__libc_malloc").has_value()) {
      return false;
    }
  }
  return true;
}

const char* kNothingToHook =
    "nothing to hook: no malloc is exported here (a static program without symbols?); name it: "
    "leaks start --hook malloc=ADDR --hook free=ADDR";

}  // namespace

struct Tracker::Impl {
  Target& target;
  TargetControl& control;
  Patcher patcher;
  RulePublisher publisher;
  CodeMap code;
  std::optional<AgentMemory> agent;
  std::vector<AddressRange> former_memory;  // of agents before a stop; they stay mapped
  TrackingOptions options;
  HookList hooks;
  bool active = false;
  bool adopted = false;
  bool rules_wait = false;  // for another event: there was no memory for them at the last one

  Impl(Target& t, TargetControl& c) : target(t), control(c), patcher(t, c), publisher(t, c) {}

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

  Result<std::vector<HookRequest>> extra_requests(const std::vector<Module>& modules) {
    std::vector<HookRequest> requests;
    for (const auto& [name, address] : options.extra_hooks) {
      auto request = place_entry_point(name, address, modules);
      if (!request) return tl::unexpected(request.error());
      requests.push_back(std::move(*request));
    }
    return requests;
  }

  void aim(std::vector<HookRequest>& requests) {
    for (HookRequest& r : requests) r.hook = agent->image + AgentImage::embedded().hook(r.shape);
  }

  // Rules of everything mapped now, our own code included.
  Result<void> publish_rules(bool code_went_away) {
    const AgentImage& image = AgentImage::embedded();
    static const auto image_rules = std::make_shared<const UnwindTable>(
        compile_unwind_rules(image.elf()).value_or(UnwindTable{}));
    code.add_own(agent->image_range, agent->image, image_rules, "heapledger-agent");
    for (const AddressRange& island : patcher.islands()) {
      code.add_own(island, island.begin, island_rules(island, patcher.installed(), code),
                   "heapledger-island");
    }
    return publisher.publish(agent->state, code, code_went_away);
  }

  void announce() {
    auto placed = std::vector<std::byte>(AgentImage::embedded().file().begin(),
                                         AgentImage::embedded().file().end());
    (void)control.announce(placed, agent->image, "heapledger-agent");  // backtraces only
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
    auto begin = target.memory().read_value<Address>(agent->state + offsetof(agent::State, arena_begin));
    auto end = target.memory().read_value<Address>(agent->state + offsetof(agent::State, arena_end));
    if (begin && end && *begin != 0 && *begin < *end) ranges.push_back({*begin, *end});
    return ranges;
  }

  // Hooks an earlier session installed: where the file's bytes and the process's differ by a jump.
  Result<void> restore_from_files() {
    auto picture = look();
    if (!picture) return tl::unexpected(picture.error());
    for (const Module& m : picture->modules) {
      for (const HookRequest& r : find_entry_points(m).requests) {
        if (auto done = restore(r); !done) return done;
      }
    }
    return {};
  }

  Result<void> restore(const HookRequest& r) {
    constexpr std::size_t kLongest = 32;
    std::vector<std::byte> now(std::min(kLongest, r.original.size()));
    if (auto done = target.memory().read(r.function, now); !done) return done;
    std::size_t first = now.size(), last = 0;
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] == std::byte(r.original[i])) continue;
      first = std::min(first, i);
      last = i;
    }
    if (first == now.size()) return {};
    auto bytes = std::as_bytes(std::span(r.original)).subspan(first, last + 1 - first);
    return control.write_code(r.function + first, bytes);
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

  std::vector<HookRequest> requests;
  std::vector<RefusedHook> refused;
  for (const Module& m : picture->modules) {
    if (const char* sanitizer = sanitizer_of(m)) {
      return fail("{} replaces the allocator in {}: ask it for leaks, or rebuild without it",
                  sanitizer, m.name);
    }
    EntryPointsFound found = find_entry_points(m);
    std::move(found.requests.begin(), found.requests.end(), std::back_inserter(requests));
    std::move(found.refused.begin(), found.refused.end(), std::back_inserter(refused));
  }
  auto extra = t.extra_requests(picture->modules);
  if (!extra) return tl::unexpected(extra.error());
  // Functions the user placed come first: the first request for an address wins.
  requests.insert(requests.begin(), extra->begin(), extra->end());
  auto is_allocation = [](const HookRequest& r) { return allocates(r.kind); };
  if (std::none_of(requests.begin(), requests.end(), is_allocation)) return fail("{}", kNothingToHook);

  if (t.adopted) {
    if (auto done = t.restore_from_files(); !done) return tl::unexpected(done.error());
    t.adopted = false;
  }
  t.retire_agent();
  AgentConfig config;
  config.granule_shift = only_glibc_allocates(requests, picture->modules) ? 5 : 4;
  config.stacks = options.stacks;
  config.time = options.time;
  config.max_bytes = options.max_ledger_bytes;
  config.main_stack_end = main_stack_end(picture->mappings);
  auto agent = bring_agent_in(t.control, config);
  if (!agent) return tl::unexpected(agent.error());
  t.agent = *agent;
  // The agent's memory is in, the hooks are not.

  t.code.update(picture->modules);
  t.aim(requests);
  Patcher::Outcome outcome = t.patcher.install(std::move(requests));
  auto hooked_allocation = [](const InstalledHook* h) { return allocates(h->request.kind); };
  if (std::none_of(outcome.installed.begin(), outcome.installed.end(), hooked_allocation)) {
    std::string reason = outcome.refused.empty() ? "no reason" : outcome.refused.front().reason;
    (void)t.patcher.remove_all();
    return fail("cannot hook malloc: {}", reason);
  }
  auto ready = t.publish_rules(false);
  if (ready) ready = set_active(t.control, *t.agent, true);
  if (!ready) {
    (void)t.patcher.remove_all();
    return tl::unexpected(ready.error());
  }
  t.active = true;
  t.announce();
  t.hooks.clear();
  HookList summary = summarize(outcome, refused);
  merge(t.hooks, summary);
  return summary;
}

Result<std::vector<ModuleHooks>> Tracker::modules_changed() {
  Impl& t = *impl_;
  if (!t.active) return HookList{};
  auto picture = t.look();
  if (!picture) return tl::unexpected(picture.error());
  CodeMap::Change change = t.code.update(picture->modules);
  if (change.empty() && !t.rules_wait) return HookList{};
  for (const AddressRange& gone : change.removed) t.patcher.forget(gone);
  std::vector<HookRequest> requests;
  std::vector<RefusedHook> refused;
  for (const Module* m : change.added) {
    EntryPointsFound found = find_entry_points(*m);
    std::move(found.requests.begin(), found.requests.end(), std::back_inserter(requests));
    std::move(found.refused.begin(), found.refused.end(), std::back_inserter(refused));
  }
  t.aim(requests);
  Patcher::Outcome outcome = t.patcher.install(std::move(requests));
  auto published = t.publish_rules(!change.removed.empty() || t.rules_wait);
  t.rules_wait = !published;
  if (!published) return tl::unexpected(published.error());
  HookList summary = summarize(outcome, refused);
  merge(t.hooks, summary);
  return summary;
}

Result<void> Tracker::stop() {
  Impl& t = *impl_;
  if (!t.active) return {};
  // A module that went away since the last loader event is only forgotten.
  if (auto picture = t.look()) {
    for (const AddressRange& gone : t.code.update(picture->modules).removed) t.patcher.forget(gone);
  }
  if (auto done = set_active(t.control, *t.agent, false); !done) return done;
  auto done = t.adopted ? t.restore_from_files() : t.patcher.remove_all();
  if (done) {
    t.active = false;
    t.adopted = false;
  }
  return done;
}

std::vector<std::string> Tracker::unhook_under_breakpoints(Traps traps) {
  Impl& t = *impl_;
  std::vector<std::string> names;
  if (!t.active) return names;
  std::vector<const InstalledHook*> hit;
  if (traps == Traps::listed) hit = t.patcher.with_breakpoints_inside();
  for (const auto& hook : t.patcher.installed()) {
    if (traps == Traps::listed) break;
    const auto expected = static_cast<std::int32_t>(hook->stub - (hook->patched + kJumpSize));
    const auto displacement = t.target.memory().read_value<std::int32_t>(hook->patched + 1);
    if (displacement && *displacement != expected) hit.push_back(hook.get());
  }
  for (const InstalledHook* hook : hit) {
    const std::string name = hook->request.symbol;
    ModuleHooks& of_module = hooks_of(t.hooks, hook->request.module);
    if (!t.patcher.remove(*hook)) continue;
    std::erase(of_module.hooked, name);
    of_module.not_hooked.emplace_back(name, "a breakpoint stands inside its entry");
    names.push_back(name);
  }
  return names;
}

void Tracker::forget() {
  Impl& t = *impl_;
  t.patcher.forget_all();
  t.publisher.forget();
  t.code.clear();
  t.agent.reset();
  t.former_memory.clear();
  t.hooks.clear();
  t.active = t.adopted = t.rules_wait = false;
}

Result<bool> Tracker::adopt() {
  Impl& t = *impl_;
  if (t.agent) return true;
  auto picture = t.look();
  if (!picture) return tl::unexpected(picture.error());
  auto found = find_agent(t.target.memory(), picture->mappings);
  if (!found) return tl::unexpected(found.error());
  if (!*found) return false;
  t.agent = **found;
  t.code.update(picture->modules);
  t.adopted = true;
  auto active = t.target.memory().read_value<std::uint32_t>(t.agent->control);
  t.active = active.value_or(0) == 1;
  return true;
}

bool Tracker::waits_for_stop() const { return impl_->active && impl_->rules_wait; }
bool Tracker::active() const { return impl_->active; }
bool Tracker::has_ledger() const { return impl_->agent.has_value(); }
const std::vector<ModuleHooks>& Tracker::hooks() const { return impl_->hooks; }
Address Tracker::state_address() const { return impl_->agent ? impl_->agent->state : 0; }

Result<Ledger> Tracker::read_ledger() {
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
  return CodeOrigin{r->path, r->bias, r->range, r->loaded};
}

}  // namespace heapledger
