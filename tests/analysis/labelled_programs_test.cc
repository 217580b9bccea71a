// SPDX-License-Identifier: Apache-2.0
//
// The engine on live processes, without a debugger or tracking: blocks from glibc's own structures,
// threads by ptrace, and every block judged as the program said.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "analysis/analysis.h"
#include "inferior/present_pages.h"
#include "heap/glibc_walk.h"
#include "tests/support/stopped_program.h"

namespace heapledger::test {
namespace {

std::string what(Verdict verdict) {
  switch (verdict) {
    case Verdict::definitely_lost: return "definitely";
    case Verdict::indirectly_lost: return "indirectly";
    case Verdict::possibly_lost: return "possibly";
    case Verdict::still_reachable: return "reachable";
    default: return "suppressed";
  }
}

using Mutation = std::function<void(RootSet&)>;

// What differs from what the program says: "NAME: judged, said".
std::vector<std::string> misjudged(const std::string& name, const Mutation& mutate = {}) {
  std::vector<std::string> wrong;
  const auto failed = [&](const std::string& text) {
    ADD_FAILURE() << name << ": " << text;
    return wrong;
  };
  const StoppedProgram program(std::string(PROGRAMS) + "/" + name);
  if (!program.reached() || program.labels().empty()) return failed("did not stop, or said nothing");
  const LocalMemory memory = program.memory();
  const auto mappings = read_mappings(program.pid());
  if (!mappings) return failed(mappings.error().message);
  const auto modules = ModuleList::read(program.pid(), *mappings, memory);
  if (!modules) return failed(modules.error().message);
  const auto threads = program.threads();
  std::vector<ThreadTcb> tcbs;
  for (const ThreadState& t : threads) tcbs.push_back({t.tid, t.fs_base});
  const auto walk = walk_glibc_heap(memory, *mappings, *modules, tcbs);
  if (!walk) return failed(walk.error().message);

  ScanInput input{memory, walk->used, {}, {}, {}, {}, {}};
  for (Block& block : input.blocks) {  // the walk knows usable sizes only
    const auto label = program.labels().find(block.start);
    if (label != program.labels().end()) block.size = label->second.size;
  }
  const RootSources sources{memory, *mappings, *modules, threads, program.pid(), input.blocks, {}, {}};
  input.roots = collect_roots(sources);
  if (mutate) mutate(input.roots);
  const PresentPages present(program.pid());
  input.present = [&](AddressRange range) { return present(range); };
  const auto scan = heapledger::scan(std::move(input));
  if (!scan) return failed(scan.error().message);

  std::map<Address, BlockIndexNumber> starts;
  for (BlockIndexNumber b = 0; b < scan->blocks().size(); ++b) starts[scan->blocks()[b].start] = b;
  int judged = 0;
  for (const auto& [address, label] : program.labels()) {
    const auto block = starts.find(address);
    const std::string verdict = block == starts.end() ? "freed" : what(scan->verdict(block->second));
    if (label.what == "held") continue;
    ++judged;
    if (verdict != label.what) wrong.push_back(label.name + ": " + verdict + ", said " + label.what);
  }
  if (judged == 0) return failed("nothing to judge");
  // What the program does not know of is not lost: libc's own blocks, the runtime's.
  for (const auto& [address, block] : starts) {
    if (!program.labels().contains(address) && scan->verdict(block) == Verdict::definitely_lost) {
      wrong.push_back(fmt::format("{} bytes at {:#x}: definitely, not its own",
                                  scan->blocks()[block].size, address));
    }
  }
  return wrong;
}

class LabelledProgram : public testing::TestWithParam<const char*> {};

TEST_P(LabelledProgram, IsJudgedAsItSays) {
  EXPECT_EQ(misjudged(GetParam()), std::vector<std::string>{});
}

// A scan that did not know better would be caught by the programs above.
Mutation take_for_roots(RegionUse use) {
  return [use](RootSet& set) {
    for (const Region& region : set.regions) {
      if (region.use == use) set.roots.push_back({RootKind::mapping, region.range});
    }
  };
}
Mutation leave_out(RootKind kind) {
  return [kind](RootSet& set) {
    std::erase_if(set.roots, [kind](const Root& root) { return root.kind == kind; });
  };
}

TEST(Mutation, DeadStackWouldBeNoticed) {
  EXPECT_FALSE(misjudged("below_sp", take_for_roots(RegionUse::dead_stack)).empty());
  EXPECT_FALSE(misjudged("popped_frame", take_for_roots(RegionUse::dead_stack)).empty());
}
TEST(Mutation, StacksOfFinishedThreadsWouldBeNoticed) {
  EXPECT_FALSE(misjudged("joined_thread", take_for_roots(RegionUse::finished_stack)).empty());
  EXPECT_FALSE(misjudged("detached_thread", take_for_roots(RegionUse::finished_stack)).empty());
}
TEST(Mutation, FreedMemoryWouldBeNoticed) {
  EXPECT_FALSE(misjudged("freed", take_for_roots(RegionUse::heap)).empty());
}
TEST(Mutation, MallocsOwnVariablesWouldBeNoticed) {
  EXPECT_FALSE(misjudged("neighbour_of_free", [](RootSet& set) { set.excluded.clear(); }).empty());
}
TEST(Mutation, MissingRootsWouldBeNoticed) {
  EXPECT_FALSE(misjudged("global", leave_out(RootKind::global)).empty());
  EXPECT_FALSE(misjudged("static_tls", leave_out(RootKind::tls)).empty());
  EXPECT_FALSE(misjudged("pthread_keys", leave_out(RootKind::tls)).empty());
  EXPECT_FALSE(misjudged("unjoined_result", leave_out(RootKind::tls)).empty());
  EXPECT_FALSE(misjudged("thread_stack", leave_out(RootKind::stack)).empty());
  EXPECT_FALSE(misjudged("thread_register", leave_out(RootKind::registers)).empty());
  EXPECT_FALSE(misjudged("mmap_holder", leave_out(RootKind::mapping)).empty());
  EXPECT_FALSE(misjudged("xmm_only", [](RootSet& set) {
                 for (Root& root : set.roots) {
                   if (root.kind == RootKind::registers) root.words.resize(15);
                 }
               }).empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, LabelledProgram,
    testing::Values("aligned", "alternate_stack", "below_sp", "chain", "containers", "cycle",
                    "detached_thread", "dlclose_data", "dlopen_tls", "four_answers", "freed", "global",
                    "interior_only", "joined_thread", "large_leak", "length64", "lone", "malloc_zero",
                    "mmap_holder", "multiple_inheritance", "neighbour_of_free", "new_array_cookie",
                    "new_array_empty", "own_stack", "popped_frame", "pthread_keys", "red_zone",
                    "self_pointer", "shared_child", "shared_ptr_cycle", "static_tls", "std_string",
                    "thread_arena", "thread_register", "thread_stack", "tree", "unaligned_pointer",
                    "unjoined_result", "xmm_only", "four_answers.static", "four_answers.static-pie"),
    [](const auto& info) {
      std::string name = info.param;
      for (char& c : name) c = isalnum(static_cast<unsigned char>(c)) ? c : '_';
      return name;
    });

}  // namespace
}  // namespace heapledger::test
