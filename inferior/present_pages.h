// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a process were ever touched (/proc/PID/pagemap, man proc_pid_pagemap(5)). Reading an
// untouched page of another process maps the zero page there; a reserve of a hundred gigabytes would
// take a minute and leave page tables behind.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "inferior/address.h"
#include "inferior/target.h"

namespace heapledger {

// The parts of a range that were ever touched; sorted. May hold parts that were not.
using TouchedParts = std::function<std::vector<AddressRange>(AddressRange)>;

class PresentPages {
 public:
  explicit PresentPages(std::uint64_t pid);
  ~PresentPages();
  PresentPages(const PresentPages&) = delete;
  PresentPages& operator=(const PresentPages&) = delete;

  // The parts of `range` whose pages are in memory or swapped out; all of it when nobody can tell.
  // Any thread may ask. Terabytes take milliseconds from Linux 6.7 on, before it two seconds each.
  std::vector<AddressRange> operator()(AddressRange range) const;

 private:
  bool scan(AddressRange range, std::vector<AddressRange>& parts) const;
  bool read(AddressRange range, std::vector<AddressRange>& parts) const;

  int file_ = -1;
};

// Of a live process of this machine; empty for others, whose pages nobody tells.
TouchedParts touched_parts(Target& target);

}  // namespace heapledger
