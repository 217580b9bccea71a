// SPDX-License-Identifier: Apache-2.0
#include "tracking/code_map.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace heapledger {
namespace {

constexpr std::uint32_t kLastIncarnation = 255;  // the agent's rule cache keeps 8 bits

// Of files that are loaded no more, those whose rules and symbols are kept: a program may load new ones for
// ever, and each is mapped here.
constexpr std::size_t kMostFiles = 1024;

bool same_module(const CodeRange& r, const Module& m) {
  return r.range == m.code && r.elf == m.elf && r.path == m.path;
}

}  // namespace

std::shared_ptr<const UnwindTable> unwind_table_of(const std::shared_ptr<const ElfFile>& elf) {
  static std::mutex mutex;
  static std::map<std::shared_ptr<const ElfFile>, std::shared_ptr<const UnwindTable>> cache;
  if (elf == nullptr) return nullptr;
  std::lock_guard lock(mutex);
  auto [entry, is_new] = cache.try_emplace(elf, nullptr);
  if (is_new) {
    if (cache.size() > kMostFiles) {
      std::erase_if(cache, [](const auto& one) { return one.first.use_count() == 1; });  // nobody else's
      entry = cache.try_emplace(elf, nullptr).first;
    }
    auto table = compile_unwind_rules(*elf);
    if (table) entry->second = std::make_shared<const UnwindTable>(std::move(*table));
  }
  return entry->second;
}

CodeMap::Change CodeMap::update(const std::vector<Module>& modules) {
  Change change;
  auto mapped = [&](const CodeRange& r) {
    return std::any_of(modules.begin(), modules.end(), [&](const Module& m) { return same_module(r, m); });
  };
  for (CodeRange& r : ranges_) {
    if (!r.loaded || r.own || mapped(r)) continue;
    r.loaded = false;
    change.removed.push_back(r.range);
  }
  for (const Module& m : modules) {
    if (m.code.empty()) continue;
    std::uint32_t incarnation = 0;
    CodeRange* again = nullptr;
    for (CodeRange& r : ranges_) {
      if (same_module(r, m)) again = &r;
      if (!r.own && r.range.overlaps(m.code)) incarnation = std::max(incarnation, r.incarnation + 1);
    }
    if (again != nullptr && again->loaded) continue;
    change.added.push_back(&m);
    if (again != nullptr) {
      again->loaded = true;  // the same file at the same place: the same code
      continue;
    }
    ranges_.push_back({m.code, m.bias, m.path, m.elf, unwind_table_of(m.elf),
                       std::min(incarnation, kLastIncarnation), true});
  }
  forget_old_files();
  return change;
}

// The newest stay. Of the others it is still known that they were there, and what they were called.
void CodeMap::forget_old_files() {
  std::size_t kept = 0;
  for (auto r = ranges_.rbegin(); r != ranges_.rend(); ++r) {
    if (r->loaded || r->own || r->elf == nullptr || ++kept <= kMostFiles) continue;
    r->elf.reset();
    r->rules.reset();
  }
}

void CodeMap::add_own(AddressRange range, Address bias, std::shared_ptr<const UnwindTable> rules,
                      const std::string& name) {
  std::erase_if(ranges_, [&](const CodeRange& r) { return r.own && r.range.overlaps(range); });
  ranges_.push_back({range, bias, name, nullptr, std::move(rules), 0, true, true});
}

std::vector<const CodeRange*> CodeMap::loaded() const {
  std::vector<const CodeRange*> result;
  for (const CodeRange& r : ranges_) {
    if (r.loaded) result.push_back(&r);
  }
  std::sort(result.begin(), result.end(), [](const CodeRange* a, const CodeRange* b) {
    return a->range.begin < b->range.begin;
  });
  return result;
}

const CodeRange* CodeMap::find(Address pc, std::uint32_t incarnation) const {
  for (const CodeRange& r : ranges_) {
    if (r.incarnation == incarnation && r.range.contains(pc)) return &r;
  }
  return nullptr;
}

const CodeRange* CodeMap::loaded_at(Address pc) const {
  for (const CodeRange& r : ranges_) {
    if (r.loaded && r.range.contains(pc)) return &r;
  }
  return nullptr;
}

}  // namespace heapledger
