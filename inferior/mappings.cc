// SPDX-License-Identifier: Apache-2.0
//
// Parsing /proc/PID/maps:
//
//   7f0c1000-7f0c3000 r-xp 00002000 fe:01 1234567   /usr/lib/x86_64-linux-gnu/libc.so.6
//   begin-end         perm offset   dev   inode     name: everything after the blanks, may hold
//   blanks
#include "inferior/mappings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace heapledger {
namespace {

// Takes one token after the other from the front of a line.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  bool number(std::uint64_t& value, int base) {
    const auto [end, error] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, base);
    if (error != std::errc{}) {
      return false;
    }
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  bool literal(char c) {
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  bool flag(char set, char clear, bool& value) {
    value = literal(set);
    return value || literal(clear);
  }
  std::string_view rest() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
    return rest_;
  }
  bool ends_or_blank() const { return rest_.empty() || rest_.front() == ' '; }

 private:
  std::string_view rest_;
};

bool parse_line(std::string_view text, Mapping& m) {
  Line line(text);
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  const bool ok = line.number(m.range.begin, 16) && line.literal('-') &&
                  line.number(m.range.end, 16) && line.literal(' ') &&
                  line.flag('r', '-', m.readable) && line.flag('w', '-', m.writable) &&
                  line.flag('x', '-', m.executable) && line.flag('s', 'p', m.shared) &&
                  line.literal(' ') && line.number(m.file_offset, 16) && line.literal(' ') &&
                  line.number(major, 16) && line.literal(':') && line.number(minor, 16) &&
                  line.literal(' ') && line.number(m.inode, 10) && line.ends_or_blank();
  if (!ok || m.range.empty()) {
    return false;
  }
  m.device = major << 32 | minor;
  m.name = line.rest();
  return true;
}

Result<std::string> read_whole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail("cannot open {}: {}", path, std::strerror(errno));
  }
  std::string text;
  std::array<char, 64 * 1024> piece;
  ssize_t got = 0;
  while ((got = ::read(fd, piece.data(), piece.size())) > 0) {
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  const int reason = errno;
  close(fd);
  if (got < 0) {
    return fail("cannot read {}: {}", path, std::strerror(reason));
  }
  return text;
}

}  // namespace

Result<Mappings> parse_mappings(std::string_view text) {
  Mappings mappings;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    Mapping mapping;
    if (!parse_line(line, mapping)) {
      return fail("cannot parse mapping \"{}\"", line);
    }
    if (!mappings.empty() && mapping.range.begin < mappings.back().range.end) {
      return fail("mapping \"{}\" is out of order", line);
    }
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

Result<Mappings> read_mappings(std::uint64_t pid) {
  const auto text = read_whole(fmt::format("/proc/{}/maps", pid));
  if (!text) {
    return tl::unexpected(text.error());
  }
  if (text->empty()) {  // a zombie
    return fail("process {} has no mappings: it has exited", pid);
  }
  return parse_mappings(*text);
}

const Mapping* find_mapping(const Mappings& mappings, Address address) {
  const auto after =
      std::upper_bound(mappings.begin(), mappings.end(), address,
                       [](Address a, const Mapping& mapping) { return a < mapping.range.begin; });
  if (after == mappings.begin()) {
    return nullptr;
  }
  const Mapping& mapping = *std::prev(after);
  return mapping.range.contains(address) ? &mapping : nullptr;
}

}  // namespace heapledger
