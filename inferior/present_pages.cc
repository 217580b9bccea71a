// SPDX-License-Identifier: Apache-2.0
#include "inferior/present_pages.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kTouched = std::uint64_t{3} << 62;  // present, swapped
constexpr std::uint64_t kEntriesPerRead = 64 << 10;
// Below this, an entry for each page is read in less time than the kernel takes to look for ranges.
constexpr std::uint64_t kWorthScanning = 16 << 20;

// PAGEMAP_SCAN (Linux 6.7, Documentation/admin-guide/mm/pagemap.rst); Debian 12's headers lack it.
struct PageRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
struct ScanArguments {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;  // how far it came
  std::uint64_t regions;   // PageRegion*
  std::uint64_t region_count;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);
constexpr std::uint64_t kIsPresent = 1 << 3, kIsSwapped = 1 << 4;

// `range` goes on where the last part ends, or is a part of its own.
void add(std::vector<AddressRange>& parts, AddressRange range) {
  if (!parts.empty() && parts.back().end == range.begin) {
    parts.back().end = range.end;
  } else {
    parts.push_back(range);
  }
}

}  // namespace

PresentPages::PresentPages(std::uint64_t pid)
    : file_(open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC)) {}

PresentPages::~PresentPages() {
  if (file_ >= 0) close(file_);
}

std::vector<AddressRange> PresentPages::operator()(AddressRange range) const {
  if (range.empty()) return {};
  const AddressRange pages{range.begin & ~(kPage - 1), (range.end + kPage - 1) & ~(kPage - 1)};
  std::vector<AddressRange> parts;
  if (pages.size() < kWorthScanning || !scan(pages, parts)) {
    parts.clear();
    if (!read(pages, parts)) return {range};
  }
  if (!parts.empty()) {
    parts.front().begin = std::max(parts.front().begin, range.begin);
    parts.back().end = std::min(parts.back().end, range.end);
  }
  return parts;
}

TouchedParts touched_parts(Target& target) {
  if (target.kind() != ProcessKind::live_local) return {};
  auto pages = std::make_shared<const PresentPages>(target.pid());
  return [pages](AddressRange range) { return (*pages)(range); };
}

bool PresentPages::scan(AddressRange range, std::vector<AddressRange>& parts) const {
  std::array<PageRegion, 256> regions;
  while (!range.empty()) {
    ScanArguments arguments{};
    arguments.size = sizeof arguments;
    arguments.start = range.begin;
    arguments.end = range.end;
    arguments.regions = reinterpret_cast<std::uint64_t>(regions.data());
    arguments.region_count = regions.size();
    arguments.category_anyof_mask = kIsPresent | kIsSwapped;
    arguments.return_mask = kIsPresent | kIsSwapped;
    const int count = ioctl(file_, kPagemapScan, &arguments);
    if (count < 0 || arguments.walk_end <= range.begin) return false;
    for (int i = 0; i < count; ++i) add(parts, {regions[i].start, regions[i].end});
    range.begin = arguments.walk_end;
  }
  return true;
}

bool PresentPages::read(AddressRange range, std::vector<AddressRange>& parts) const {
  std::vector<std::uint64_t> entries(std::min(range.size() / kPage, kEntriesPerRead));
  while (!range.empty()) {
    const std::uint64_t count = std::min<std::uint64_t>(range.size() / kPage, entries.size());
    const auto at = static_cast<off_t>(range.begin / kPage * 8);
    if (pread(file_, entries.data(), count * 8, at) != static_cast<ssize_t>(count * 8)) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
      const Address begin = range.begin + i * kPage;
      if ((entries[i] & kTouched) != 0) add(parts, {begin, begin + kPage});
    }
    range.begin += count * kPage;
  }
  return true;
}

}  // namespace heapledger
