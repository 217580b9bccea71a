// SPDX-License-Identifier: Apache-2.0
//
// The per-thread caches of free chunks (tcache, since 2.26). Cached chunks look used to their
// neighbours: without these lists up to 7 x 64 free chunks a thread would count as blocks.
//
// The pointer `tcache` is a thread-local variable of libc without a symbol. Every word of libc's
// TLS block is tried; the one that leads to a well-formed tcache_perthread_struct in some thread,
// and to one or to null in every thread, is it.
#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "heap/glibc_descriptors.h"
#include "heap/glibc_threads.h"

namespace heapledger {
namespace {

constexpr std::size_t kMostCached = 65536;  // a bin's count is a uint16_t at most

std::uint64_t bin_chunk_size(std::size_t bin) { return kMinChunk + 16 * bin; }

struct Table {
  std::vector<std::byte> bytes;
  const GlibcLayout::Tcache& layout;

  std::uint64_t count(std::size_t bin) const {
    std::uint16_t value = 0;
    std::memcpy(&value, bytes.data() + bin * layout.count_size, layout.count_size);
    return value;
  }
  Address entry(std::size_t bin) const {
    Address value = 0;
    std::memcpy(&value, bytes.data() + layout.entries + 8 * bin, sizeof value);
    return value;
  }
};

std::uint64_t chunk_size_of(const Memory& memory, Address user) {
  return memory.read_value<std::uint64_t>(user - 8).value_or(0) & ~kSizeFlags;
}

std::optional<Table> read_table(const Memory& memory, const Glibc& glibc, Address address) {
  const GlibcLayout::Tcache& layout = glibc.layout.tcache;
  if (address == 0 || address % 16 != 0 || chunk_size_of(memory, address) != layout.chunk_size()) {
    return std::nullopt;
  }
  Table table{std::vector<std::byte>(layout.size), layout};
  if (!memory.read(address, table.bytes)) {
    return std::nullopt;
  }
  return table;
}

// Every list is empty or begins with a chunk of its size.
bool is_well_formed(const Memory& memory, const Table& table) {
  for (std::size_t bin = 0; bin < kTcacheBins; ++bin) {
    const Address entry = table.entry(bin);
    if (entry != 0 && (entry % 16 != 0 || chunk_size_of(memory, entry) != bin_chunk_size(bin))) {
      return false;
    }
  }
  return true;
}

// How far below fs_base the variable `tcache` is.
std::optional<std::uint64_t> find_variable(const Memory& memory, const Glibc& glibc,
                                           const TlsBlock& block,
                                           std::span<const ThreadTcb> threads) {
  std::optional<std::uint64_t> best;
  std::size_t most = 0;
  for (std::uint64_t at = 0; at + 8 <= block.size && at < block.distance; at += 8) {
    std::size_t score = 0;
    bool contradicted = false;
    for (const ThreadTcb& thread : threads) {
      const auto value = memory.read_value<Address>(thread.fs_base - block.distance + at);
      if (!value || *value == 0) {
        continue;
      }
      const auto table = read_table(memory, glibc, *value);
      contradicted = contradicted || !table;
      score +=
          table ? (is_well_formed(memory, *table) ? 2 : 1) : 0;  // 1: damaged, but the only one
    }
    if (!contradicted && score > most) {
      most = score;
      best = block.distance - at;
    }
  }
  return best;
}

// A thread stopped inside malloc may be half way through a list: that is a message, not an end.
void follow_bins(const Memory& memory, const Glibc& glibc, const Table& table, Tcache& tcache,
                 std::vector<std::string>& messages) {
  for (std::size_t bin = 0; bin < kTcacheBins; ++bin) {
    std::unordered_set<Address> seen;
    Address entry = table.entry(bin);
    while (entry != 0 && entry % 16 == 0 && seen.size() < kMostCached &&
           chunk_size_of(memory, entry) == bin_chunk_size(bin) && seen.insert(entry).second) {
#ifndef HEAPLEDGER_MUTANT_TCACHE_USED
      tcache.free.push_back(entry);
#endif
      const auto stored = memory.read_value<Address>(entry);
      entry = stored ? glibc.layout.decode_link(entry, *stored) : 1;
    }
    if (entry != 0 || seen.size() != table.count(bin)) {
      messages.push_back(
          fmt::format("thread {:#x}: cached chunks of {} bytes: {} found, {} counted{}",
                      tcache.owner, bin_chunk_size(bin), seen.size(), table.count(bin),
                      entry != 0 ? fmt::format(", the list breaks at {:#x}", entry) : ""));
    }
  }
}

}  // namespace

std::vector<Tcache> read_tcaches(const Memory& memory, const Glibc& glibc,
                                 const std::vector<Module>& modules,
                                 std::span<const ThreadTcb> threads,
                                 std::vector<std::string>& messages) {
  std::vector<Tcache> tcaches;
  const auto block = libc_tls_block(memory, modules, glibc);
  const auto variable = block ? find_variable(memory, glibc, *block, threads) : std::nullopt;
  if (!variable) {
    return tcaches;
  }
  for (const ThreadTcb& thread : threads) {
    const auto address = memory.read_value<Address>(thread.fs_base - *variable);
    if (!address || *address == 0) {
      continue;  // the thread has not called malloc yet, or is past its end
    }
    if (const auto table = read_table(memory, glibc, *address)) {
      Tcache tcache{*address, thread.fs_base, {}};
      follow_bins(memory, glibc, *table, tcache, messages);
      tcaches.push_back(std::move(tcache));
    }
  }
  return tcaches;
}

}  // namespace heapledger
