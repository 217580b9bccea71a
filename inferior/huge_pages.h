// SPDX-License-Identifier: Apache-2.0
//
// Room for a list with an entry per block: faulting it in page by page would take longer than filling
// it, so the kernel is asked for huge pages.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <vector>

namespace heapledger {

// As std::vector::reserve; what is reserved and never used costs address space only.
template <typename T>
void reserve_huge(std::vector<T>& list, std::size_t count) {
  list.reserve(count);
  const auto begin = reinterpret_cast<std::uintptr_t>(list.data());
  const std::uintptr_t page = (begin + 4095) & ~std::uintptr_t{4095};
  const std::uintptr_t end = begin + list.capacity() * sizeof(T);
  if (end > page + (4 << 20)) madvise(reinterpret_cast<void*>(page), end - page, MADV_HUGEPAGE);
}

}  // namespace heapledger
