// SPDX-License-Identifier: Apache-2.0
//
// Call frame information as bytes of .eh_frame or .debug_frame: entries, and the rows of their programs.
#include "tracking/frame_entries.h"

#include "tests/fuzz/input.h"

using namespace heapledger;

namespace {

constexpr std::size_t kMostRows = 1 << 16;

void read_rows(const FrameEntries& frames) {
  std::size_t rows_seen = 0;
  for (const FrameEntry& entry : frames.entries) {
    fuzz::require(entry.begin < entry.end && entry.cie < frames.cies.size());
    CfaRows rows(frames.cies[entry.cie].context, ByteCursor(entry.program, entry.program_address),
                 entry.begin, entry.end);
    std::uint64_t place = entry.begin;
    while (rows.next() && ++rows_seen < kMostRows) {
      fuzz::require(rows.begin() == place && rows.end() > place && rows.end() <= entry.end);
      place = rows.end();
      if (rows.row() != nullptr) reduce(*rows.row());
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto choice = input.number<std::uint8_t>();
  const std::vector<std::byte> bytes = fuzz::bytes_of(input.rest());
  read_rows(parse_frame_entries({.bytes = bytes, .address = 0x400000, .eh_frame = (choice & 1) == 0,
                                 .sized = (choice & 2) == 0}));
  return 0;
}
