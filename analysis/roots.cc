// SPDX-License-Identifier: Apache-2.0
//
// The order of the claims on the address space. What is certain comes first; what nobody claims is
// judged by its mapping alone, and taken for a root when in doubt: that hides a leak at worst.
#include "analysis/roots.h"

#include <elf.h>

#include <algorithm>
#include <array>

#include "analysis/heap_areas.h"
#include "analysis/region_map.h"
#include "analysis/thread_areas.h"
#include "heap/glibc_arena.h"
#include "heap/mallocng_walk.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kRedZone = 128;  // bytes below sp a leaf function may use (System V ABI 3.2.2)

std::string thread_name(const ThreadState& thread) { return fmt::format("thread {}", thread.index); }

const Block* block_at(std::span<const Block> blocks, Address address) {
  auto it = std::upper_bound(blocks.begin(), blocks.end(), address,
                             [](Address a, const Block& b) { return a < b.start; });
  if (it == blocks.begin()) return nullptr;
  --it;
  return address - it->start < it->size ? &*it : nullptr;
}

class Collector {
 public:
  explicit Collector(const RootSources& sources) : sources_(sources), map_(sources.mappings) {
    if (auto glibc = find_glibc(sources.modules)) glibc_ = *glibc;
  }

  RootSet collect() {
    claim_own_memory();
    claim_unreadable();

    // Kernel pages, text and guard pages are out of the way; so is everything of ours.

    for (const ThreadState& thread : sources_.threads) claim_thread(thread);
    for (const FinishedThread& thread : find_finished_threads(sources_, glibc_)) claim_finished(thread);

    // Every stack is known, and what of it is live.

    claim_walked_heap();
    claim_module_data();
    claim_segments();
    claim_heap(sources_, glibc_, map_);

    // What is left is neither a stack, nor a module's, nor an allocator's.

    claim_rest();
    map_.finish(set_.regions, set_.roots);
    add_registers();
    note_files(sources_.mappings, set_);
    cut_allocator_state();
    std::sort(set_.runtime_slots.begin(), set_.runtime_slots.end());
    sort_disjoint(set_.excluded);
    sort_disjoint(set_.loader_data);
    return std::move(set_);
  }

 private:
  void claim_walked_heap() {
    if (sources_.heap != nullptr) return heapledger::claim_walked_heap(*sources_.heap, map_);
    // Every block is tracked. Where glibc's malloc has freed memory follows from its arenas.
    if (glibc_ || !may_have_mallocng(sources_.modules)) return;
    const auto heap = walk_mallocng_heap(sources_.memory, sources_.mappings, sources_.modules);
    if (heap) heapledger::claim_walked_heap(*heap, map_);
  }

  static Claim no(std::string why, RegionUse use) {
    return {std::nullopt, std::move(why), 0, false, use};
  }

  void claim_own_memory() {
#ifndef HEAPLEDGER_MUTANT_OWN_MEMORY_ROOT
    for (const AddressRange& own : sources_.own_memory) map_.claim(own, no("our own memory", RegionUse::own));
#endif
  }

  void claim_unreadable() {
    for (const Mapping& m : sources_.mappings) {
      if (m.name == "[vvar]" || m.name == "[vvar_vclock]" || m.name == "[vdso]" ||
          m.name == "[vsyscall]") {
        map_.claim(m.range, no("the kernel's", RegionUse::system));
      } else if (!m.readable) {
        map_.claim(m.range, no("not readable", RegionUse::system));
      } else if (is_device(m)) {
        map_.claim(m.range, no("a device", RegionUse::system));
      }
    }
  }

  static bool in_memory_file(const Mapping& m) {
    return m.name.starts_with("/dev/zero") || m.name.starts_with("/dev/shm/") ||
           m.name.starts_with("/memfd:") || m.name.starts_with("/SYSV");
  }
  static bool is_device(const Mapping& m) {
    return m.name.starts_with("/dev/") && !in_memory_file(m);
  }

  // --- threads ---

  void claim_thread(const ThreadState& thread) {
    ++set_.coverage.threads;
    if (!thread.has_registers) ++set_.coverage.threads_without_registers;
    if (thread.fs_base != 0) set_.runtime_slots.push_back(thread.fs_base + 8);  // its dtv
    const auto area = find_thread_area(sources_, thread);
    if (!area) {
      ++set_.coverage.threads_without_stack;
      return;
    }
    const std::string name = thread_name(thread);
    map_.claim(area->tls, {RootKind::tls, "thread-local storage of " + name, thread.tid, true});
    claim_dtv(thread, name);
    if (area->stack.contains(thread.sp)) {
      claim_stack(thread, area->stack, thread.sp - kRedZone, "stack of " + name);
      return;
    }
    // On an alternate stack, in a coroutine: its own stack waits.
    claim_other_stack(thread, name);
    const auto sp = sources_.interrupted_sp ? sources_.interrupted_sp(thread, area->stack) : std::nullopt;
    const bool known = sp && area->stack.contains(*sp);
    claim_stack(thread, area->stack, known ? *sp - kRedZone : area->stack.begin, "stack of " + name);
  }

  // The main thread's first dtv lies in memory of the loader's own; one that was allocated is a block.
  void claim_dtv(const ThreadState& thread, const std::string& name) {
    const auto dtv = thread.fs_base != 0 ? find_dtv(sources_.memory, thread.fs_base) : std::nullopt;
    if (!dtv || block_at(sources_.blocks, dtv->first) != nullptr) return;
    map_.claim(dtv->range(), {RootKind::tls, "dtv of " + name, thread.tid, false});
  }

  void claim_stack(const ThreadState& thread, AddressRange stack, Address live, const std::string& name) {
#ifdef HEAPLEDGER_MUTANT_DEAD_STACK_ROOT
    live = stack.begin;
#endif
    live = std::clamp(live, stack.begin, stack.end);
    map_.claim({live, stack.end}, {RootKind::stack, name, thread.tid, true, RegionUse::live_stack});
    map_.claim({stack.begin, live}, {std::nullopt, "dead " + name + " below sp", thread.tid, false,
                               RegionUse::dead_stack});
    // A block used as a stack is reachable, but its dead part counts no more than another's.
    if (block_at(sources_.blocks, live) != nullptr) set_.excluded.push_back({stack.begin, live});
  }

  // The stack a thread runs on when it is not its own: a block, or memory the program mapped.
  void claim_other_stack(const ThreadState& thread, const std::string& thread_name) {
    const std::string name = "alternate stack of " + thread_name;
    const Claim live{RootKind::stack, name, thread.tid, true, RegionUse::live_stack};
    const Address from = thread.sp - kRedZone;
    if (const Block* block = block_at(sources_.blocks, thread.sp)) {
      map_.claim({std::max(from, block->start), block->start + block->size}, live);
      if (block->start < from) set_.excluded.push_back({block->start, from});
    } else if (const auto segment = segment_at(thread.sp)) {
      map_.claim({std::max(from, segment->begin), segment->end}, live);
      map_.claim({segment->begin, from}, {std::nullopt, "dead " + name + " below sp", thread.tid, false,
                                          RegionUse::dead_stack});
    } else if (find_mapping(sources_.mappings, thread.sp) == nullptr) {
      ++set_.coverage.threads_without_stack;
    }
    // Else it lies in module data or in memory of unknown extent: a root as a whole.
  }

  std::optional<AddressRange> segment_at(Address address) const {
    for (const AddressRange& s : sources_.mapped_segments) {
      if (s.contains(address)) return s;
    }
    return std::nullopt;
  }

  void claim_finished(const FinishedThread& thread) {
    // Its dtv is the C library's own and stays with the stack.
    map_.claim(dtv_word(thread), {RootKind::tls, "dtv of a finished thread", 0, true});
    set_.runtime_slots.push_back(dtv_word(thread).begin);
    for (const AddressRange& block : dynamic_tls(sources_, thread)) set_.excluded.push_back(block);
    if (const auto result = result_words(sources_, thread)) {
      map_.claim(*result, {RootKind::tls, "result of a thread that was not joined", 0, true});
    }
    map_.claim(thread.memory,
               no(thread.joinable ? "stack of a finished thread that was not joined"
                                  : "stack of a finished thread, kept for reuse",
                  RegionUse::finished_stack));
  }

  // --- modules ---

  void claim_module_data() {
    for (const Module& module : sources_.modules) {
      const bool loader = is_loader(module);
      for (const AddressRange& data : data_of(module)) {
        map_.claim(data, {RootKind::global, "data of " + module.name, 0, false});
        if (loader) set_.loader_data.push_back(data);
      }
    }
  }

  // ld.so, or the program that contains it.
  static bool is_loader(const Module& module) {
    if (module.elf == nullptr) return module.name.starts_with("ld-");
    return module.elf->symbol("_rtld_global").has_value() ||
           (module.is_program && !module.elf->has_interpreter());
  }

  std::vector<AddressRange> data_of(const Module& module) const {
    std::vector<AddressRange> data;
    if (module.elf != nullptr) {
      for (const ElfSegment& s : module.elf->segments()) {
        if (s.type != PT_LOAD || (s.flags & PF_W) == 0) continue;
        const Address begin = module.bias + s.address;
        data.push_back({begin & ~(kPage - 1), (begin + s.memory_size + kPage - 1) & ~(kPage - 1)});
      }
      return data;
    }
    // No file: its writable private mappings, and anonymous memory that directly follows one (.bss).
    Address end = 0;
    for (const Mapping& m : sources_.mappings) {
      const bool own = m.is_file() && m.name == module.path && m.writable && !m.shared;
      const bool tail = !m.is_file() && m.writable && m.name.empty() && m.range.begin == end;
      if (own || tail) data.push_back(m.range);
      end = own ? m.range.end : 0;
    }
    return data;
  }

  // --- memory the program mapped ---

  void claim_segments() {
    for (const AddressRange& segment : sources_.mapped_segments) {
      const auto first = std::partition_point(
          sources_.blocks.begin(), sources_.blocks.end(),
          [&](const Block& b) { return b.start + b.size <= segment.begin; });
      if (first != sources_.blocks.end() && first->start < segment.end) continue;  // an allocator's
      for (const AddressRange& part : map_.unclaimed(segment)) {
        const Mapping* m = find_mapping(sources_.mappings, part.begin);
        // Not claimed across mappings: each has its own protection.
        if (m != nullptr && m->writable && !m->is_file() && !m->shared) {
          map_.claim(part, {RootKind::mapping, "mapped by the program", 0, false});
        }
      }
    }
  }

  void claim_rest() {
    std::vector<std::pair<AddressRange, const Mapping*>> rest;
    map_.for_each_unclaimed([&](AddressRange range, const Mapping& m) { rest.push_back({range, &m}); });
    for (const auto& [range, m] : rest) map_.claim(range, judge(range, *m));
  }

  Claim judge(AddressRange range, const Mapping& m) {
    const auto root = [](const char* why) { return Claim{RootKind::mapping, why, 0, false}; };
    if (m.shared) {
      if (!m.is_file() || in_memory_file(m)) return root("shared memory");
      if (sources_.shared_files && m.writable) return root("shared file");
      if (!m.writable) return no("read-only file", RegionUse::program);
      set_.coverage.skipped_shared_bytes += range.size();
      return no("shared file: not scanned by default", RegionUse::program);
    }
    if (m.is_file()) {
      if (!m.writable) {
        return m.executable ? no("code", RegionUse::code) : no("read-only file", RegionUse::program);
      }
      return root("private file mapping");
    }
    if (!m.writable && m.executable) return no("code", RegionUse::code);
    return root(m.writable ? "anonymous memory" : "anonymous memory, written before it was protected");
  }

  // --- the rest of the set ---

  void add_registers() {
    for (const ThreadState& thread : sources_.threads) {
      if (!thread.has_registers) continue;
      Root root;
      root.kind = RootKind::registers;
      root.tid = thread.tid;
      root.name = "registers of " + thread_name(thread);
      root.words.assign(thread.general.begin(), thread.general.end());
      root.words.insert(root.words.end(), thread.vector.begin(), thread.vector.end());
      set_.roots.push_back(std::move(root));
    }
  }

  // malloc's own variables name chunks, and a chunk's address lies in the last words of the block
  // before it.
  void cut_allocator_state() {
    if (!glibc_) return;
    const auto cut = [&](Address at, std::uint64_t size) { set_.excluded.push_back({at, at + size}); };
    cut(glibc_->main_arena, glibc_->layout.arena.size);
    if (glibc_->parameters) cut(*glibc_->parameters, glibc_->layout.parameters.size);
  }

  static void sort_disjoint(std::vector<AddressRange>& ranges) {
    std::sort(ranges.begin(), ranges.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.begin < b.begin; });
    std::vector<AddressRange> joined;
    for (const AddressRange& r : ranges) {
      if (!joined.empty() && r.begin <= joined.back().end) {
        joined.back().end = std::max(joined.back().end, r.end);
      } else {
        joined.push_back(r);
      }
    }
    ranges = std::move(joined);
  }

  const RootSources& sources_;
  std::optional<Glibc> glibc_;
  RegionMap map_;
  RootSet set_;
};

}  // namespace

RootSet collect_roots(const RootSources& sources) { return Collector(sources).collect(); }

void note_files(const Mappings& mappings, RootSet& set) {
  for (const Mapping& m : mappings) {
    if (!m.is_file() || !m.readable || m.shared) continue;
    set.vtable_ranges.push_back(m.range);
    if (m.executable) set.code_ranges.push_back(m.range);
  }
}

}  // namespace heapledger
