// SPDX-License-Identifier: Apache-2.0
//
// What a process has mapped, as far as its own memory tells it: ELF headers of modules whose files are
// gone, the vdso, the loader's r_debug, frames of signal handlers. All of it may be forged.
#include "inferior/modules.h"

#include "inferior/process_image.h"
#include "tests/fuzz/input.h"
#include "tests/report/fake_target.h"
#include "tracking/code_map.h"
#include "tracking/entry_points.h"
#include "tracking/signal_frame.h"

using namespace heapledger;

namespace {

constexpr Address kBase = 0x7f0000000000;
constexpr unsigned kMostMappings = 12;

// Ascending; names of files that are not there.
Mappings mappings_from(fuzz::Input& input) {
  Mappings mappings;
  Address at = kBase;
  for (unsigned i = input.number<std::uint8_t>() % kMostMappings + 1; i > 0; --i) {
    const auto flags = input.number<std::uint8_t>();
    Mapping m;
    at += (flags >> 6) * 4096ull;
    const std::uint64_t pages = input.number<std::uint64_t>() >> (12 + input.number<std::uint8_t>() % 52);
    m.range = {at, at + (pages % (1ull << 32) + 1) * 4096};
    m.readable = (flags & 1) != 0;
    m.writable = (flags & 2) != 0;
    m.executable = (flags & 4) != 0;
    m.inode = (flags & 24) >> 3;
    m.file_offset = input.number<std::uint8_t>() * 4096ull;
    m.name = m.inode != 0 ? fmt::format("/nowhere/{}", m.inode) : (flags & 32) != 0 ? "[vdso]" : "";
    at = m.range.end;
    mappings.push_back(std::move(m));
  }
  return mappings;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const Mappings mappings = mappings_from(input);
  // The same bytes at the begin of every mapping, and a page of zeros behind them.
  const std::vector<std::byte> bytes = fuzz::bytes_of(input.rest());
  testing::FakeMemory memory;
  for (const Mapping& mapping : mappings) {
    auto& segment = memory.segments[mapping.range.begin] = bytes;
    segment.resize(std::min<std::uint64_t>(mapping.range.size(), segment.size() + 4096));
  }
  const auto modules = ModuleList::read(0, mappings, memory);
  fuzz::require(modules.has_value());
  for (const Module& module : *modules) {
    fuzz::require(!module.range.empty());
    is_libc(module);
    if (module.elf != nullptr) unwind_table_of(module.elf);
  }
  find_entry_points(*modules);
  CodeMap().update(*modules);
  const ProcessImage image{.pid = 1, .program_headers = kBase + 64};
  loader_state(image, memory);
  loader_state_at(kBase, memory);
  find_signal_frames(memory, mappings, kBase + 8);
  return 0;
}
