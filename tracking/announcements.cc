// SPDX-License-Identifier: Apache-2.0
#include "tracking/announcements.h"

#include <elf.h>

#include <map>

#include "tracking/agent_image.h"
#include "tracking/code_image.h"
#include "tracking/frame_entries.h"
#include "tracking/island_rules.h"

namespace heapledger {
namespace {

// Not the file that was linked: see code_image.cc on what LLDB makes of gcc's rows.
std::vector<std::byte> agent_image(Address base) {
  const ElfFile& elf = AgentImage::embedded().elf();
  std::map<std::uint64_t, std::string> names;
  elf.for_each_symbol([&](const ElfSymbol& symbol) {
    if (symbol.type == STT_FUNC) names[symbol.value] = std::string(symbol.name);
  });
  const ElfSection* section = elf.section(".eh_frame");
  if (section == nullptr) return {};
  const FrameEntries frames = parse_frame_entries({elf.contents(*section), section->address});
  std::vector<CodePiece> pieces;
  for (const FrameEntry& entry : frames.entries) {
    const auto name = names.find(entry.begin);
    if (name == names.end()) continue;
    pieces.push_back({.range = {base + entry.begin, base + entry.end},
                      .name = name->second,
                      .program = entry.program});
  }
  return code_image(base, AgentImage::embedded().place(base, 0, 0), pieces);
}

}  // namespace

void Announcements::agent(Address image) {
  if (!told_.insert(image).second) return;
  (void)control_.announce(agent_image(image), 0, "heapledger-agent");
}

void Announcements::hooks(const std::vector<std::unique_ptr<InstalledHook>>& hooks,
                          const std::vector<AddressRange>& islands, const CodeMap& code) {
  for (const AddressRange& island : islands) {
    std::vector<const InstalledHook*> fresh;
    for (const auto& hook : hooks) {
      if (island.contains(hook->stub) && !told_.contains(hook->stub)) fresh.push_back(hook.get());
    }
    const std::vector<std::byte> image = island_image(fresh, code, target_.memory());
    if (image.empty() || !control_.announce(image, 0, "heapledger-island")) continue;
    for (const InstalledHook* hook : fresh) told_.insert(hook->stub);
  }
}

}  // namespace heapledger
