// SPDX-License-Identifier: Apache-2.0
//
// A core file that somebody hands in: mappings, notes, memory, and the answers about it.
#include "inferior/core_file.h"

#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/ordered.h"
#include "tests/fuzz/session.h"

using namespace heapledger;

namespace {

class CoreTarget : public testing::FakeTarget {
 public:
  explicit CoreTarget(const CoreFile& core) : core_(core), memory_(memory_of(core)) {
    kind_ = ProcessKind::core;
    mappings_ = core.mappings;
    for (const auto& [tid, vector] : core.vector_registers) {
      ThreadState thread{.tid = tid, .index = std::uint32_t(threads_.size() + 1)};
      if (!mappings_.empty()) thread.sp = mappings_.back().range.end - 16;
      thread.vector = vector;
      threads_.push_back(std::move(thread));
    }
  }
  const Memory& memory() override { return *memory_; }
  std::string missing_evidence() override { return heapledger::missing_evidence(core_); }

 private:
  const CoreFile& core_;
  std::unique_ptr<Memory> memory_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::InMemory file({data, size});
  const auto core = read_core_file(file.path());
  if (!core) {
    fuzz::require(!core.error().message.empty());
    return 0;
  }
  fuzz::require_order(core->mappings);
  CoreTarget target(*core);
  for (const Mapping& mapping : core->mappings) {
    for (const Address at : {mapping.range.begin, mapping.range.end - 8}) {
      target.memory().read_value<std::uint64_t>(at);
    }
  }
  Context context(target, target);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"top", "3"}, {"--limit", "3"}, {"roots"}, {"status"}, {"who-owns", "0x1000"}}) {
    fuzz::answer(context, target, words);
  }
  return 0;
}
