// SPDX-License-Identifier: Apache-2.0
//
// Heaps drawn as text, and verdicts as text.
//
//   root global -> a            a root of a kind (global, tls, stack, registers, mapping)
//   a 32 -> b, c+8              block a of 32 bytes; its first words point to b, and 8 bytes into c
//   d 24 -> 16: a               ... from offset 16 on
//   e 40 -> #32, #0             plain numbers
//   f 8 at 0x20000              a place of its own; otherwise blocks stand 16 bytes apart from 0x10000
//   g 16 key 7                  its key
//
// Vtables for multiple inheritance stand at 0x700000 (two, 0x100 apart), their functions at 0x800000.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "analysis/analysis.h"
#include "tests/analysis/fake_memory.h"

namespace heapledger::test {

class DrawnHeap {
 public:
  explicit DrawnHeap(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t begin = line.find_first_not_of(' ');
      if (begin != std::string::npos) parse(line.substr(begin));
    }
    map_vtables();
    for (const auto& d : drawn_) memory.map({d.block.start & ~7ull, d.block.start + d.block.size + 8});
    Address root_address = 0x600000;
    for (const auto& d : drawn_) write(d.block.start, d.pointers);
    for (const auto& r : drawn_roots_) {
      Root root;
      root.kind = r.kind;
      root.name = r.name;
      if (r.kind == RootKind::registers) {
        for (const auto& p : r.pointers) root.words.push_back(value(p.text));
      } else {
        root.range = {root_address, root_address + 0x1000};
        memory.map(root.range);
        write(root_address, r.pointers);
        root_address += 0x2000;
      }
      roots.roots.push_back(root);
    }
  }

  ScanInput input() const {
    ScanInput in{memory, {}, roots, {}, {}, {}, {}};
    std::vector<std::uint32_t> keys;
    std::map<Address, const Drawn*> by_address;
    for (const auto& d : drawn_) by_address[d.block.start] = &d;
    for (const auto& [start, d] : by_address) {
      in.blocks.push_back(d->block);
      keys.push_back(d->key);
    }
    in.key = [keys](BlockIndexNumber b) { return keys[b]; };
    return in;
  }
  Scan scan(const ScanOptions& options = {}) const { return *heapledger::scan(input(), options); }

  // "a still reachable\nb ..." in the order drawn.
  std::string verdicts(const ScanOptions& options = {}) const { return verdicts(scan(options)); }
  std::string verdicts(const Scan& scan) const {
    std::string text;
    for (const auto& d : drawn_) {
      text += d.name + " " + std::string(verdict_name(scan.verdict(number(scan, d.name)))) + "\n";
    }
    return text;
  }
  BlockIndexNumber number(const Scan& scan, const std::string& name) const {
    const Address start = address(name);
    for (BlockIndexNumber b = 0; b < scan.blocks().size(); ++b) {
      if (scan.blocks()[b].start == start) return b;
    }
    ADD_FAILURE() << "no block " << name;
    return 0;
  }
  Address address(const std::string& name) const {
    for (const auto& d : drawn_) {
      if (d.name == name) return d.block.start;
    }
    ADD_FAILURE() << "no block " << name;
    return 0;
  }
  std::string name(const Scan& scan, BlockIndexNumber b) const {
    for (const auto& d : drawn_) {
      if (d.block.start == scan.blocks()[b].start) return d.name;
    }
    return "?";
  }
  // "global > a > b": the root's name and the holders, down to the block.
  std::string chain(const Scan& scan, const std::string& to) const {
    std::string text;
    for (const Reference& r : scan.chain(number(scan, to))) {
      text += r.holder == Reference::Holder::root ? scan.roots().roots[r.root].name : name(scan, r.block);
      text += " > ";
    }
    return text.empty() ? text : text + to;
  }

  FakeMemory memory;
  RootSet roots;

 private:
  struct Pointer {
    std::uint64_t offset;
    std::string text;
  };
  struct Drawn {
    std::string name;
    Block block;
    std::uint32_t key = 0;
    std::vector<Pointer> pointers;
  };
  struct DrawnRoot {
    std::string name;
    RootKind kind;
    std::vector<Pointer> pointers;
  };

  void parse(const std::string& line) {
    const std::size_t arrow = line.find("->");
    std::istringstream head(line.substr(0, arrow));
    std::string first;
    head >> first;
    const std::vector<Pointer> pointers =
        arrow == std::string::npos ? std::vector<Pointer>{} : parse_pointers(line.substr(arrow + 2));
    if (first == "root") {
      std::string kind;
      head >> kind;
      drawn_roots_.push_back({kind, root_kind(kind), pointers});
      return;
    }
    Drawn d{first, {next_, 0}, 0, pointers};
    head >> d.block.size;
    for (std::string word; head >> word;) {
      std::string number;
      head >> number;
      if (word == "at") d.block.start = std::stoull(number, nullptr, 0);
      if (word == "key") d.key = static_cast<std::uint32_t>(std::stoul(number));
    }
    next_ = std::max<Address>(next_, ((d.block.start + d.block.size + 15) & ~Address{15}) + 16);
    drawn_.push_back(d);
  }

  static std::vector<Pointer> parse_pointers(const std::string& text) {
    std::vector<Pointer> pointers;
    std::istringstream in(text);
    std::uint64_t offset = 0;
    for (std::string item; std::getline(in, item, ',');) {
      std::erase(item, ' ');
      const std::size_t colon = item.find(':');
      if (colon != std::string::npos) {
        offset = std::stoull(item.substr(0, colon), nullptr, 0);
        item = item.substr(colon + 1);
      }
      pointers.push_back({offset, item});
      offset += 8;
    }
    return pointers;
  }

  static RootKind root_kind(const std::string& name) {
    const std::map<std::string, RootKind> kinds{{"global", RootKind::global},
                                                {"tls", RootKind::tls},
                                                {"stack", RootKind::stack},
                                                {"registers", RootKind::registers},
                                                {"mapping", RootKind::mapping}};
    EXPECT_TRUE(kinds.contains(name)) << name;
    return kinds.at(name);
  }

  std::uint64_t value(const std::string& text) const {
    if (text[0] == '#') return std::stoull(text.substr(1), nullptr, 0);
    const std::size_t plus = text.find('+');
    const std::uint64_t offset = plus == std::string::npos ? 0 : std::stoull(text.substr(plus + 1));
    return address(text.substr(0, plus)) + offset;
  }
  void write(Address at, const std::vector<Pointer>& pointers) {
    for (const auto& p : pointers) memory.write(at + p.offset, value(p.text));
  }
  void map_vtables() {
    memory.map({0x700000, 0x701000});
    for (Address vtable : {0x700000, 0x700100}) {
      memory.write(vtable, 0x800010);
      memory.write(vtable + 8, 0x800020);
    }
    roots.vtable_ranges = {{0x700000, 0x701000}};
    roots.code_ranges = {{0x800000, 0x801000}};
  }

  std::vector<Drawn> drawn_;
  std::vector<DrawnRoot> drawn_roots_;
  Address next_ = 0x10000;
};

}  // namespace heapledger::test
