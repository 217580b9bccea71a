// SPDX-License-Identifier: Apache-2.0
#include "plugin/session_memory.h"

#include <algorithm>

#include "plugin/sb_text.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

void name_after_module(Mapping& mapping, lldb::SBTarget& target) {
  lldb::SBAddress place = target.ResolveLoadAddress(mapping.range.begin);
  lldb::SBModule module = place.GetModule();
  if (module.IsValid()) mapping.name = path_of(module.GetFileSpec());
}

}  // namespace

Mappings session_mappings(lldb::SBTarget target) {
  Mappings mappings;
  lldb::SBMemoryRegionInfoList regions = target.GetProcess().GetMemoryRegions();
  for (std::uint32_t i = 0; i < regions.GetSize(); ++i) {
    lldb::SBMemoryRegionInfo region;
    if (!regions.GetMemoryRegionAtIndex(i, region) || !region.IsMapped()) continue;
    Mapping mapping;
    mapping.range = {region.GetRegionBase(), region.GetRegionEnd()};
    mapping.readable = region.IsReadable();
    mapping.writable = region.IsWritable();
    mapping.executable = region.IsExecutable();
    mapping.name = text_of(region.GetName());
    if (mapping.name.empty()) name_after_module(mapping, target);
    mappings.push_back(std::move(mapping));
  }
  std::sort(mappings.begin(), mappings.end(),
            [](const Mapping& a, const Mapping& b) { return a.range.begin < b.range.begin; });
  return mappings;
}

SessionMemory::SessionMemory(lldb::SBTarget target) : target_(target) {}

// As much as one read gives. What it leaves over the next may get: LLDB 22, where its server may only use
// ptrace, asks for the last bytes of a mapping in such a way that they cannot be read. SBTarget's read takes
// what a core file does not hold (text, read-only data) from the modules' files.
std::size_t SessionMemory::read_some(Address address, std::span<std::byte> out) const {
  lldb::SBTarget target = target_;
  lldb::SBError error;
  const std::size_t got = target.GetProcess().ReadMemory(address, out.data(), out.size(), error);
  if (got != 0) return got;
  error.Clear();
  lldb::SBAddress place(address, target);
  const std::size_t with_files = target.ReadMemory(place, out.data(), out.size(), error);
  return error.Success() ? with_files : 0;
}

std::uint64_t SessionMemory::readable_from(Address address) const {
  if (!mappings_) mappings_ = session_mappings(target_);
  if (mappings_->empty()) return kPage - address % kPage;
  const Mapping* mapping = find_mapping(*mappings_, address);
  return mapping == nullptr ? 0 : mapping->range.end - address;
}

std::size_t SessionMemory::read_up_to(Address address, std::span<std::byte> out) const {
  std::size_t done = read_some(address, out);
  while (done < out.size()) {
    const std::uint64_t readable = readable_from(address + done);
    const std::size_t want = std::min<std::uint64_t>(out.size() - done, readable);
    const std::size_t got = want == 0 ? 0 : read_some(address + done, out.subspan(done, want));
    done += got;
    if (got == 0) break;
  }
  return done;
}

}  // namespace heapledger
