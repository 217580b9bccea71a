// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a process were ever touched (/proc/PID/pagemap, man proc_pid_pagemap(5)). Reading an
// untouched page of another process maps the zero page there; a reserve of a hundred gigabytes would
// take a minute and leave page tables behind.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "inferior/address.h"

namespace heapledger {

class PresentPages {
 public:
  explicit PresentPages(std::uint64_t pid);
  ~PresentPages();
  PresentPages(const PresentPages&) = delete;
  PresentPages& operator=(const PresentPages&) = delete;

  // The parts of `range` whose pages are in memory or swapped out; all of it when nobody can tell.
  // Any thread may ask.
  std::vector<AddressRange> operator()(AddressRange range) const;

 private:
  int file_ = -1;
};

}  // namespace heapledger
