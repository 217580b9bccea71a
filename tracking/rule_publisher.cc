// SPDX-License-Identifier: Apache-2.0
#include "tracking/rule_publisher.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <span>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
// Each event of the loader needs about 1 KiB, and each allocation a thread that is borrowed for it.
constexpr std::uint64_t kChunk = 1 << 20;
std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

template <typename T>
std::uint64_t bytes_of(const std::vector<T>& v) { return round_up(v.size() * sizeof(T), 8); }

template <typename T>
Address append(std::vector<std::byte>& out, Address base, const std::vector<T>& v) {
  Address at = base + out.size();
  std::uint64_t old = out.size();
  out.resize(old + bytes_of(v));
  if (!v.empty()) std::memcpy(out.data() + old, v.data(), v.size() * sizeof(T));
  return at;
}

std::uint64_t size_of(const UnwindTable& t) {
  return bytes_of(t.offsets) + bytes_of(t.index) + bytes_of(t.bodies);
}

}  // namespace

Result<Address> RulePublisher::allocate(std::uint64_t size) {
  size = round_up(size, 64);
  if (free_.size() < size) {
    const std::uint64_t chunk = std::max(kChunk, round_up(size, kPage));
    auto address = control_.allocate(chunk, false, {});
    if (!address) return address;
    memory_.push_back({*address, *address + chunk});
    free_ = memory_.back();
  }
  const Address piece = free_.begin;
  free_.begin += size;
  return piece;
}

Result<void> RulePublisher::write_tables(
    const std::vector<std::shared_ptr<const UnwindTable>>& tables) {
  std::uint64_t size = 0;
  for (const auto& t : tables) size += size_of(*t);
  if (size == 0) return {};
  auto base = allocate(size);
  if (!base) return tl::unexpected(base.error());
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  for (const auto& t : tables) {
    Tables at;
    at.offsets = append(bytes, *base, t->offsets);
    at.index = append(bytes, *base, t->index);
    at.bodies = append(bytes, *base, t->bodies);
    written_[t] = at;
  }
  return control_.write_data(*base, bytes);
}

// Entries that a thread is writing at this moment are left to it: another one would take what was
// emptied under it. What it writes is of code that is on its stack, so of none that went away.
Result<void> RulePublisher::empty_in_place(Address cache, std::uint64_t buckets) {
  std::vector<agent::RuleBucket> rules(buckets);
  if (auto read = target_.memory().read_array(cache, std::span(rules)); !read) return read;
  for (agent::RuleBucket& bucket : rules) {
    for (agent::RuleEntry& entry : bucket.entries) {
      if (entry.pc != agent::kRuleBeingReplaced) entry = {};
    }
  }
  return control_.write_data(cache, std::as_bytes(std::span(rules)));
}

Result<void> RulePublisher::empty_cache(Address state) {
  auto cache = target_.memory().read_value<Address>(state + offsetof(agent::State, rules));
  auto mask = target_.memory().read_value<std::uint64_t>(state + offsetof(agent::State, rule_mask));
  if (!cache || !mask || *mask >= 1u << 20) return fail("cannot empty the agent's rule cache");
  if (control_.all_stopped() || caches_ == kMostCaches) return empty_in_place(*cache, *mask + 1);
  // Threads are writing into this one: they get another, which costs memory that is then gone.
  ++caches_;
  auto fresh = allocate((*mask + 1) * sizeof(agent::RuleBucket));
  if (!fresh) return empty_in_place(*cache, *mask + 1);
  const Address word = *fresh;
  return control_.write_data(state + offsetof(agent::State, rules),
                             std::as_bytes(std::span(&word, 1)));
}

Result<void> RulePublisher::publish(Address state, const CodeMap& code, bool code_went_away) {
  std::vector<const CodeRange*> ranges = code.loaded();
  std::vector<std::shared_ptr<const UnwindTable>> fresh;
  std::set<std::shared_ptr<const UnwindTable>> seen;
  for (const CodeRange* r : ranges) {
    if (r->rules == nullptr || written_.contains(r->rules) || !seen.insert(r->rules).second) continue;
    fresh.push_back(r->rules);
  }
  if (auto done = write_tables(fresh); !done) return done;

  agent::ModuleTable head{++generation_, 0};
  std::vector<agent::Module> modules;
  Address last_end = 0;
  for (const CodeRange* r : ranges) {
    if (r->range.begin < last_end) continue;  // overlapping leftovers cannot be told apart by address
    last_end = r->range.end;
    agent::Module m{};
    m.begin = r->range.begin;
    m.end = r->range.end;
    m.incarnation = r->incarnation;
    if (r->rules != nullptr) {
      const Tables& at = written_[r->rules];
      m.base = r->bias + r->rules->base;
      m.offsets = at.offsets;
      m.index = at.index;
      m.bodies = at.bodies;
      m.row_count = static_cast<std::uint32_t>(r->rules->offsets.size());
    }
    modules.push_back(m);
  }
  head.count = static_cast<std::uint32_t>(modules.size());
  std::vector<std::byte> bytes(sizeof head + modules.size() * sizeof(agent::Module));
  std::memcpy(bytes.data(), &head, sizeof head);
  std::ranges::copy(std::as_bytes(std::span(modules)), bytes.begin() + sizeof head);
  auto table = allocate(bytes.size());
  if (!table) return tl::unexpected(table.error());
  if (auto done = control_.write_data(*table, bytes); !done) return done;
  if (code_went_away) {
    if (auto done = empty_cache(state); !done) return done;
  }
  Address word = *table;
  return control_.write_data(state + offsetof(agent::State, modules),
                             std::as_bytes(std::span(&word, 1)));
}

void RulePublisher::forget() {
  written_.clear();
  memory_.clear();
  free_ = {};
  generation_ = 0;
  caches_ = 0;
}

}  // namespace heapledger
