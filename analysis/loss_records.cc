// SPDX-License-Identifier: Apache-2.0
#include "analysis/loss_records.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "analysis/analysis.h"

namespace heapledger {
namespace {

// Valgrind's order of equals.
int rank(Verdict verdict) {
  switch (verdict) {
    case Verdict::definitely_lost: return 0;
    case Verdict::indirectly_lost: return 1;
    case Verdict::possibly_lost: return 2;
    case Verdict::still_reachable: return 3;
    case Verdict::suppressed: return 4;
  }
  return 5;
}

class Grouping {
 public:
  LossRecord& record(Verdict kind, std::uint32_t key) {
    const std::uint64_t id = std::uint64_t{key} * 8 + static_cast<unsigned>(kind);
    if (id == last_id_ && !records_.empty()) return records_[last_];
    const auto [it, fresh] = numbers_.try_emplace(id, static_cast<std::uint32_t>(records_.size()));
    if (fresh) records_.push_back({kind, key});
    last_id_ = id;
    last_ = it->second;
    return records_[last_];
  }
  std::vector<LossRecord> take() { return std::move(records_); }

 private:
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;
  std::vector<LossRecord> records_;
  std::uint64_t last_id_ = 0;
  std::uint32_t last_ = 0;
};

}  // namespace

std::vector<LossRecord> Scan::records() const {
  Grouping direct;
  Grouping indirect;  // keyed by the head's key
  const auto blocks = this->blocks();
  for (BlockIndexNumber b = 0; b < blocks.size(); ++b) {
    const Verdict kind = verdict(b);
    LossRecord& record = direct.record(kind, key(b));
    record.bytes += blocks[b].size;
    ++record.blocks;
    if (kind != Verdict::indirectly_lost) continue;
    LossRecord& led = indirect.record(Verdict::definitely_lost, key(*head(b)));
    led.indirect_bytes += blocks[b].size;
    ++led.indirect_blocks;
  }
  for (const LossRecord& led : indirect.take()) {
    // A head may have been suppressed while its children were not.
    LossRecord& record = direct.record(Verdict::definitely_lost, led.key);
    record.indirect_bytes += led.indirect_bytes;
    record.indirect_blocks += led.indirect_blocks;
  }
  std::vector<LossRecord> records = direct.take();
  std::erase_if(records, [](const LossRecord& r) { return r.blocks == 0; });
  std::sort(records.begin(), records.end(), [](const LossRecord& a, const LossRecord& b) {
    return std::tuple(a.total_bytes(), rank(a.kind), a.blocks, a.key) <
           std::tuple(b.total_bytes(), rank(b.kind), b.blocks, b.key);
  });
  return records;
}

std::vector<BlockIndexNumber> Scan::members(const LossRecord& record) const {
  std::vector<BlockIndexNumber> members;
  members.reserve(record.blocks);
  for (BlockIndexNumber b = 0; b < blocks().size(); ++b) {
    if (verdict(b) == record.kind && key(b) == record.key) members.push_back(b);
  }
  return members;
}

}  // namespace heapledger
