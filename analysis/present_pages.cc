// SPDX-License-Identifier: Apache-2.0
#include "analysis/present_pages.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kTouched = std::uint64_t{3} << 62;  // present, swapped

}  // namespace

PresentPages::PresentPages(std::uint64_t pid)
    : file_(open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC)) {}

PresentPages::~PresentPages() {
  if (file_ >= 0) close(file_);
}

std::vector<AddressRange> PresentPages::operator()(AddressRange range) const {
  std::vector<AddressRange> parts;
  const std::uint64_t first = range.begin / kPage;
  const std::uint64_t count = (range.end + kPage - 1) / kPage - first;
  std::vector<std::uint64_t> entries(count);
  const ssize_t got = file_ < 0 ? -1
                                : pread(file_, entries.data(), count * 8,
                                        static_cast<off_t>(first * 8));
  if (got != static_cast<ssize_t>(count * 8)) return {range};
  for (std::uint64_t i = 0; i < count; ++i) {
    if ((entries[i] & kTouched) == 0) continue;
    const Address begin = (first + i) * kPage;
    if (!parts.empty() && parts.back().end == begin) {
      parts.back().end += kPage;
    } else {
      parts.push_back({begin, begin + kPage});
    }
  }
  if (!parts.empty()) {
    parts.front().begin = std::max(parts.front().begin, range.begin);
    parts.back().end = std::min(parts.back().end, range.end);
  }
  return parts;
}

}  // namespace heapledger
