// SPDX-License-Identifier: Apache-2.0
#include "inferior/present_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

class Reserve {
 public:
  explicit Reserve(std::uint64_t size)
      : size_(size), memory_(static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    madvise(memory_, size, MADV_NOHUGEPAGE);
  }
  ~Reserve() { munmap(memory_, size_); }
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;

  void touch(std::uint64_t page) { memory_[page * kPage] = 1; }
  AddressRange pages(std::uint64_t first, std::uint64_t end) const {
    const auto begin = reinterpret_cast<Address>(memory_);
    return {begin + first * kPage, begin + end * kPage};
  }

 private:
  std::uint64_t size_;
  char* memory_;
};

// Pages that are asked for one by one, and the same in as many gigabytes as a sanitizer leaves room for,
// where the kernel looks for them.
TEST(PresentPages, AreThoseThatWereTouched) {
  const PresentPages present(static_cast<std::uint64_t>(getpid()));
  for (const std::uint64_t pages : {std::uint64_t{1} << 10, std::uint64_t{1} << 24}) {
    Reserve reserve(pages * kPage);
    EXPECT_EQ(present(reserve.pages(0, pages)), std::vector<AddressRange>{});
    for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{8}, pages - 1}) {
      reserve.touch(page);
    }
    const std::vector<AddressRange> touched{reserve.pages(0, 1), reserve.pages(7, 9),
                                            reserve.pages(pages - 1, pages)};
    EXPECT_EQ(present(reserve.pages(0, pages)), touched);
  }
}

// More ranges than one answer of the kernel's holds.
TEST(PresentPages, ManyRangesAreAllTold) {
  const PresentPages present(static_cast<std::uint64_t>(getpid()));
  Reserve reserve(16384 * kPage);
  std::vector<AddressRange> touched;
  for (std::uint64_t page = 1; page < 16384; page += 4) {
    reserve.touch(page);
    touched.push_back(reserve.pages(page, page + 1));
  }
  EXPECT_EQ(present(reserve.pages(0, 16384)), touched);
}

TEST(PresentPages, OfAPartOfAPageIsThatPart) {
  const PresentPages present(static_cast<std::uint64_t>(getpid()));
  Reserve reserve(4 * kPage);
  reserve.touch(1);
  const AddressRange page = reserve.pages(1, 2);
  const AddressRange part{page.begin + 8, page.end - 16};
  EXPECT_EQ(present(part), std::vector<AddressRange>{part});
}

TEST(PresentPages, AreAllWhereNobodyCanTell) {
  const PresentPages present(~std::uint64_t{0});
  EXPECT_EQ(present({0x1000, 0x3000}), (std::vector<AddressRange>{{0x1000, 0x3000}}));
}

}  // namespace
}  // namespace heapledger
