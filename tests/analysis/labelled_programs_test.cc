// SPDX-License-Identifier: Apache-2.0
//
// The engine on live processes, without a debugger or tracking: blocks from glibc's own structures,
// threads by ptrace, and every block judged as the program said.
#include <gtest/gtest.h>

#include <set>

#include "analysis/analysis.h"
#include "analysis/present_pages.h"
#include "tests/analysis/stopped_program.h"

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

class LabelledProgram : public testing::TestWithParam<const char*> {};

TEST_P(LabelledProgram, IsJudgedAsItSays) {
  const StoppedProgram program(std::string(PROGRAMS) + "/" + GetParam());
  ASSERT_TRUE(program.reached());
  ASSERT_FALSE(program.labels().empty());
  const LocalMemory memory = program.memory();
  const auto mappings = read_mappings(program.pid());
  ASSERT_TRUE(mappings);
  const auto modules = ModuleList::read(program.pid(), *mappings, memory);
  ASSERT_TRUE(modules);
  const auto threads = program.threads();

  std::vector<ThreadTcb> tcbs;
  for (const ThreadState& t : threads) tcbs.push_back({t.tid, t.fs_base});
  const auto walk = walk_glibc_heap(memory, *mappings, *modules, tcbs);
  ASSERT_TRUE(walk) << walk.error().message;

  ScanInput input{memory, walk->used, {}, {}, {}, {}, {}};
  for (Block& block : input.blocks) {  // the walk knows usable sizes only
    const auto label = program.labels().find(block.start);
    if (label != program.labels().end()) block.size = label->second.size;
  }
  const RootSources sources{memory, *mappings, *modules, threads, program.pid(), input.blocks, {}, {}};
  input.roots = collect_roots(sources);
  const PresentPages present(program.pid());
  input.present = [&](AddressRange range) { return present(range); };
  const auto result = scan(std::move(input));
  ASSERT_TRUE(result) << result.error().message;

  std::set<Address> starts;
  for (const Block& block : result->blocks()) starts.insert(block.start);
  int judged = 0;
  for (const auto& [address, label] : program.labels()) {
    if (label.what == "freed") {
      EXPECT_FALSE(starts.contains(address)) << label.name;
      continue;
    }
    const auto block = result->find(address);
    ASSERT_TRUE(block && result->blocks()[*block].start == address) << label.name;
    if (label.what == "held") continue;
    ++judged;
    EXPECT_EQ(what(result->verdict(*block)), label.what) << label.name << std::hex << " at " << address;
    // What the program does not know of is not lost: libc's own blocks, the runtime's.
  }
  EXPECT_GT(judged, 0);
  for (BlockIndexNumber b = 0; b < result->blocks().size(); ++b) {
    if (program.labels().contains(result->blocks()[b].start)) continue;
    EXPECT_NE(result->verdict(b), Verdict::definitely_lost)
        << result->blocks()[b].size << " bytes at " << std::hex << result->blocks()[b].start;
  }
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
