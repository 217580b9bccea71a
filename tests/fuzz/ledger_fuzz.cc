// SPDX-License-Identifier: Apache-2.0
//
// A ledger that a hostile program wrote into, from the bulk read to the answers: the input says what is
// recorded, with any numbers, and which words of the agent's memory are overwritten.
#include "tests/fuzz/session.h"
#include "tests/report/ledger_image.h"

using namespace heapledger;
using fuzz::Input;

namespace {

constexpr Address kHeap = 0x555555560000;
constexpr std::uint64_t kHeapSize = 0x40000;
constexpr Address kStack = 0x7ffffff00000;
constexpr unsigned kMostSteps = 64;

class Program {
 public:
  explicit Program(Input& input) : input_(input) {
    image_.state().flags = agent::kRecordStacks | (input.number<std::uint8_t>() & 3);
    image_.state().granule_shift = 5 - input.number<std::uint8_t>() % 2;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::uint32_t stack = image_.stack({0x401000 + i, 0x402000});
      image_.block(kHeap + i * 0x100, 64, stack, image_.thread(100 + std::uint32_t(i)));
    }
    records_ = image_.state().mappings[0] =
        image_.open(agent::kMappingsPerChunk * sizeof(agent::MappingRecord));
    odd_ = image_.state().odd[0] = image_.open(agent::kOddFirst * sizeof(agent::OddEntry));
    thread_ = image_.open(sizeof(agent::Thread));
    image_.state().threads[7] = {agent::encode(0x7f0000000000), thread_};
    for (unsigned i = 0; i < kMostSteps && !input.done(); ++i) step();
  }

  void install(testing::FakeTarget& target) {
    image_.install(target.memory_);
    for (const auto& [region, offset, value] : damage_) {
      auto& bytes = target.memory_.segments[region];
      std::memcpy(bytes.data() + offset % (bytes.size() / 8) * 8, &value, sizeof value);
    }
    if (cut_ != 0) {
      auto& arena = target.memory_.segments[testing::LedgerImage::kArena];
      arena.resize(arena.size() - cut_ % arena.size());
    }
  }

 private:
  void step() {
    switch (input_.number<std::uint8_t>() % 8) {
      case 0: return add_block();
      case 1: return add_mapping();
      case 2: return add_odd();
      case 3: return put_in_flight();
      case 4: return add_stack();
      case 5: return damage(testing::LedgerImage::kArena);
      case 6: return damage(testing::LedgerImage::kState);
      default: cut_ = input_.number<std::uint32_t>();
    }
  }
  agent::Slot slot() { return {input_.number<std::uint64_t>() | 1, input_.number<std::uint64_t>()}; }

  void add_block() {
    const Address start = kHeap + input_.number<std::uint16_t>();
    const auto size = input_.number<std::uint64_t>() >> input_.number<std::uint8_t>() % 64;
    image_.block(start, size, input_.number<std::uint16_t>(), input_.number<std::uint8_t>(),
                 agent::Kind(input_.number<std::uint8_t>() % 32));
  }
  void add_mapping() {
    agent::MappingRecord record{};
    record.sequence = input_.number<std::uint8_t>();
    record.begin = agent::encode(0x7f0000000000 + input_.number<std::uint64_t>() % (1ull << 46));
    record.length = input_.number<std::uint64_t>() >> input_.number<std::uint8_t>() % 64;
    record.state = input_.number<std::uint8_t>() % 4;
    record.kind = input_.number<std::uint8_t>() % 32;
    record.stack = input_.number<std::uint16_t>();
    image_.put(records_ + mappings_++ * sizeof record, record);
  }
  void add_odd() {
    const Address start = input_.number<std::uint64_t>() >> input_.number<std::uint8_t>() % 64;
    image_.put(odd_ + odds_++ * sizeof(agent::OddEntry), agent::OddEntry{agent::encode(start), slot()});
  }
  void put_in_flight() {
    image_.put(thread_ + offsetof(agent::Thread, in_flight_kind), std::uint32_t{1});
    image_.put(thread_ + offsetof(agent::Thread, in_flight_block),
               agent::encode(kHeap + input_.number<std::uint16_t>()));
    image_.put(thread_ + offsetof(agent::Thread, in_flight_slot), slot());
  }
  void add_stack() {
    image_.stack({input_.number<std::uint64_t>(), input_.number<std::uint64_t>(), 0x402000});
  }
  void damage(Address region) {
    const auto offset = input_.number<std::uint32_t>();
    auto value = input_.number<std::uint64_t>();
    if (value % 4 == 1) value = testing::LedgerImage::kArena + (value >> 2) % (8 << 20) / 4096 * 4096;
    damage_.push_back({region, offset, value});
  }

  struct Damage {
    Address region;
    std::uint32_t offset;
    std::uint64_t value;
  };
  Input& input_;
  testing::LedgerImage image_;
  Address records_ = 0, odd_ = 0, thread_ = 0;
  unsigned mappings_ = 0, odds_ = 0;
  std::vector<Damage> damage_;
  std::uint32_t cut_ = 0;
};

void look_at(const Ledger& ledger) {
  Address last = 0;
  for (const Allocation& a : ledger.recorded()) {
    fuzz::require(a.block.start >= last);
    last = a.block.start;
    fuzz::require(ledger.stack(a.stack).size() <= Ledger::kMaxStack);
    ledger.tid(a);
    ledger.age_ms(a);
    fuzz::require(ledger.find(a.block.start).has_value());
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  testing::FakeTarget target;
  target.kind_ = ProcessKind::core;
  Program(input).install(target);
  auto& heap = target.memory_.segments[kHeap];
  heap.resize(kHeapSize);
  for (std::uint64_t i = 0; i < kHeapSize / 8; i += 16) {
    const Address value = kHeap + i * 24;
    std::memcpy(heap.data() + i * 8, &value, sizeof value);
  }
  target.memory_.segments[kStack].resize(0x1000);
  target.mappings_ = {fuzz::memory_mapping(kHeap, kHeapSize, "[heap]"),
                      fuzz::memory_mapping(kStack, 0x1000, "[stack]")};
  target.threads_ = {{.tid = target.pid_, .index = 1, .sp = kStack + 0x800, .has_registers = true}};
  target.threads_[0].general[0] = kHeap + 0x100;

  auto ledger = Ledger::read(target.memory_, testing::LedgerImage::kState);
  if (!ledger) return 0;
  look_at(*ledger);
  Ledger copy = *ledger;
  copy.keep_mapped(target.mappings_);
  look_at(copy);
  copy.join_heap({{kHeap, 24}, {kHeap + 0x40, 0x1000}}, (size & 1) != 0);
  look_at(copy);

  Context context(target, target);
  context.tracked_from_start = true;
  context.read_ledger = [&] { return Ledger::read(target.memory_, testing::LedgerImage::kState); };
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"top", "3", "--addresses"}, {"top", "--format", "json"}, {"--limit", "3"},
        {"--format", "json"}, {"block", "0x555555560104"}, {"who-owns", "0x555555560100"}, {"status"},
        {"roots"}}) {
    fuzz::answer(context, target, words);
  }
  return 0;
}
