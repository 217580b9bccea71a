// SPDX-License-Identifier: Apache-2.0
#include "report/roots_report.h"

#include <fmt/format.h>

namespace heapledger {
namespace {

constexpr double kShare = 0.01;  // of all blocks, above which a sole holder is told

std::string_view role(const Region& region) {
  return region.root ? root_kind_name(*region.root) : std::string_view("no root");
}

}  // namespace

std::string roots_text(const Scan& scan) {
  std::string text;
  for (const Region& region : scan.roots().regions) {
    text += fmt::format("{:#014x}-{:#014x} {:<20} {}{}{}{}\n", region.range.begin,
                        region.range.end, role(region), region.name,
                        region.name.empty() || region.why.empty() ? "" : " (", region.why,
                        region.name.empty() || region.why.empty() ? "" : ")");
  }
  std::size_t registers = 0;
  for (const Root& root : scan.roots().roots) registers += root.kind == RootKind::registers;
  text += fmt::format("registers of {} threads\n", registers);
  for (const Scan::SoleHolder& holder : scan.sole_holders(kShare)) {
    const Root& root = scan.roots().roots[holder.root];
    text += fmt::format("note: {} ({:#x}-{:#x}) alone keeps {} bytes in {} blocks reachable\n",
                        root.name, root.range.begin, root.range.end, holder.keeps.bytes,
                        holder.keeps.blocks);
  }
  for (const std::string& note : describe(scan.coverage())) text += "note: " + note + "\n";
  return text;
}

Json roots_json(const Scan& scan) {
  Json regions = Json::array();
  for (const Region& region : scan.roots().regions) {
    regions.push_back({{"begin", region.range.begin},
                       {"end", region.range.end},
                       {"name", region.name},
                       {"root", region.root ? Json(root_kind_name(*region.root)) : Json(nullptr)},
                       {"thread", region.tid},
                       {"why", region.why}});
  }
  Json roots = Json::array();
  for (const Root& root : scan.roots().roots) {
    roots.push_back({{"kind", root_kind_name(root.kind)},
                     {"begin", root.range.begin},
                     {"end", root.range.end},
                     {"words", root.words.size()},
                     {"thread", root.tid},
                     {"name", root.name}});
  }
  Json holders = Json::array();
  for (const Scan::SoleHolder& holder : scan.sole_holders(kShare)) {
    holders.push_back({{"root", holder.root},
                       {"name", scan.roots().roots[holder.root].name},
                       {"bytes", holder.keeps.bytes},
                       {"blocks", holder.keeps.blocks}});
  }
  return Json{{"kind", "roots"},
              {"regions", std::move(regions)},
              {"roots", std::move(roots)},
              {"sole_holders", std::move(holders)}};
}

}  // namespace heapledger
