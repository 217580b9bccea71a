// SPDX-License-Identifier: Apache-2.0
#include "inferior/proc_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>

namespace heapledger {

std::string read_proc_file(const std::string& path, std::size_t limit) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text;
  char buffer[4096];
  while (text.size() < limit) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, std::size_t(got));
  }
  close(fd);
  return text;
}

std::string read_proc_file(std::uint64_t pid, const char* name) {
  return read_proc_file(fmt::format("/proc/{}/{}", pid, name));
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view title, int base) {
  std::size_t at = 0;
  if (!text.starts_with(title)) {
    at = text.find("\n" + std::string(title));
    if (at == std::string_view::npos) return std::nullopt;
    ++at;
  }
  at = text.find_first_not_of(" \t:", at + title.size());
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data() + at, text.data() + text.size(), value, base);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace heapledger
