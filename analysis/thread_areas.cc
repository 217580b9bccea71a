// SPDX-License-Identifier: Apache-2.0
#include "analysis/thread_areas.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "heap/glibc_descriptors.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostControlBlock = 8192;  // of any release, bytes
constexpr std::uint64_t kMostBehind = 64 << 10;    // what lies behind a control block in its stack
constexpr std::size_t kMostThreads = 1 << 20;
constexpr std::uint64_t kMostTlsModules = 65536;

Address up_to_page(Address a) { return (a + kPage - 1) & ~(kPage - 1); }

bool is_control_block(const Memory& memory, Address at) {
  // tcbhead_t of glibc: tcb at 0 and self at 16 are the block's own address; musl: self at 0.
  const auto self = memory.read_value<std::uint64_t>(at);
  return at != 0 && self && *self == at;
}

std::uint64_t control_block_size(const std::vector<Module>& modules) {
  for (const Module& module : modules) {
    const auto symbol =
        module.elf == nullptr ? std::nullopt : module.elf->symbol("_thread_db_sizeof_pthread");
    if (!symbol) continue;
    const auto bytes = module.elf->at(symbol->value, 4);
    std::uint32_t size = 0;
    if (bytes.size() == 4) std::memcpy(&size, bytes.data(), 4);
    if (size >= 256 && size <= kMostControlBlock) return size;
  }
  return 0x900;
}

// { begin, bytes } of memory around the control block, from the control block itself.
std::optional<AddressRange> own_memory_of(const RootSources& sources, Address control_block) {
  std::array<std::uint64_t, kMostControlBlock / 8> words{};
  const std::size_t got = sources.memory.read_up_to(
      control_block, std::as_writable_bytes(std::span(words)));
  for (std::size_t i = 2; i + 1 < got / 8; ++i) {
    const Address begin = words[i];
    const Address end = begin + words[i + 1];
    if (begin >= control_block || begin == 0 || end <= control_block || end < begin) continue;
    if (end - control_block > kMostBehind || words[i + 1] < 2048) continue;
    if (find_mapping(sources.mappings, begin) != nullptr) return AddressRange{begin, end};
  }
  return std::nullopt;
}

// Upper bound: all modules', as if all had been there at the start.
std::uint64_t static_tls_size(const std::vector<Module>& modules) {
  std::uint64_t size = 0;
  for (const Module& module : modules) {
    if (module.elf == nullptr) continue;
    for (const ElfSegment& s : module.elf->segments()) {
      if (s.type == PT_TLS) size += s.memory_size + std::max<std::uint64_t>(s.alignment, 1);
    }
  }
  return std::min<std::uint64_t>(size, 1 << 20);
}

const Mapping* main_stack(const RootSources& sources, const ThreadState& thread) {
  if (thread.tid != sources.pid) return nullptr;
  for (const Mapping& m : sources.mappings) {
    if (m.name == "[stack]") return &m;
  }
  return nullptr;
}

AddressRange tls_of(const RootSources& sources, Address fs_base, Address end) {
  const Mapping* mapping = find_mapping(sources.mappings, fs_base);
  if (mapping == nullptr) return {};
  const Address begin = fs_base - std::min(fs_base, static_tls_size(sources.modules));
  return {std::max(begin & ~Address{63}, mapping->range.begin), std::min(end, mapping->range.end)};
}

}  // namespace

std::optional<ThreadArea> find_thread_area(const RootSources& sources, const ThreadState& thread) {
  ThreadArea area;
  const Address fs = thread.fs_base;
  const bool control_block = fs != 0 && is_control_block(sources.memory, fs);
  const Address block_end = fs + control_block_size(sources.modules);
  if (const Mapping* stack = main_stack(sources, thread)) {
    area.stack = stack->range;
    if (control_block) area.tls = tls_of(sources, fs, block_end);
    return area;
  }
  if (control_block) {
    if (const auto memory = own_memory_of(sources, fs)) {
      // The guard at its begin is no readable mapping of its own stack.
      area.stack = *memory;
      area.tls = tls_of(sources, fs, memory->end);
      return area;
    }
    area.tls = tls_of(sources, fs, block_end);
    const Mapping* holder = find_mapping(sources.mappings, fs);
    if (holder != nullptr && holder->range.contains(thread.sp) && thread.sp < fs) {
      area.stack = {holder->range.begin, std::min(up_to_page(block_end), holder->range.end)};
      return area;
    }
  }
  const Mapping* holder = find_mapping(sources.mappings, thread.sp);
  if (holder == nullptr) return std::nullopt;
  area.stack = holder->range;
  return area;
}

std::optional<Dtv> find_dtv(const Memory& memory, Address control_block) {
  const auto first = memory.read_value<Address>(control_block + 8);
  const auto last_id = first ? memory.read_value<std::uint64_t>(*first - 16) : std::nullopt;
  if (!last_id || *last_id > kMostTlsModules) return std::nullopt;
  return Dtv{*first, *last_id};
}

std::vector<FinishedThread> find_finished_threads(const RootSources& sources,
                                                  const std::optional<Glibc>& glibc) {
  std::vector<FinishedThread> finished;
  if (!glibc) return finished;
  const auto heads = thread_list_heads(sources.modules, *glibc);
  const auto node_offset = descriptor_offset(sources.modules, "_thread_db_pthread_list");
  const auto tid_offset = descriptor_offset(sources.modules, "_thread_db_pthread_tid");
  if (heads.size() != 2 || !node_offset || !tid_offset) return finished;

  std::set<Address> seen;
  for (const ThreadState& thread : sources.threads) seen.insert(thread.fs_base);
  const auto follow = [&](Address head, bool cache) {
    Address node = sources.memory.read_value<Address>(head).value_or(0);
    for (std::size_t steps = 0; node != head && node != 0 && steps < kMostThreads; ++steps) {
      const Address block = node - *node_offset;
      node = sources.memory.read_value<Address>(node).value_or(0);
      if (!is_control_block(sources.memory, block) || !seen.insert(block).second) continue;
      const auto tid = sources.memory.read_value<std::int32_t>(block + *tid_offset);
      // In use and with a tid: a thread that the debugger does not list. Its memory stays a root.
      if (!tid || (!cache && *tid > 0)) continue;
      if (const auto memory = own_memory_of(sources, block)) {
        finished.push_back({block, *memory, !cache});
      }
    }
  };
  follow(heads[0], false);       // _dl_stack_used
  follow(heads[1], false);       // _dl_stack_user
  follow(heads[1] + 16, true);   // _dl_stack_cache, the list right behind (struct rtld_global, 2.34)
  return finished;
}

AddressRange dtv_word(const FinishedThread& thread) {
  return {thread.control_block + 8, thread.control_block + 16};
}

std::optional<AddressRange> result_words(const RootSources& sources, const FinishedThread& thread) {
  const auto specific = descriptor_offset(sources.modules, "_thread_db_pthread_specific");
  if (!thread.joinable || !specific) return std::nullopt;
  // struct pthread: specific[32], flags, joinid, result (2.36: 0x118 behind specific), two words of
  // scheduling parameters. Releases differ by one int before it; the word after it holds no pointer.
  const Address at = thread.control_block + *specific + 0x118;
  return AddressRange{at, at + 16};
}

std::vector<AddressRange> dynamic_tls(const RootSources& sources, const FinishedThread& thread) {
  std::vector<AddressRange> blocks;
  const auto dtv = find_dtv(sources.memory, thread.control_block);
  if (!dtv) return blocks;
  for (std::uint64_t id = 1; id <= dtv->last_id; ++id) {
    const auto block = sources.memory.read_value<Address>(dtv->first + id * 16 + 8);
    if (!block) break;
    if (*block == 0) continue;
    const auto it = std::lower_bound(sources.blocks.begin(), sources.blocks.end(), *block,
                                     [](const Block& b, Address a) { return b.start < a; });
    if (it != sources.blocks.end() && it->start == *block) blocks.push_back(it->range());
  }
  return blocks;
}

}  // namespace heapledger
