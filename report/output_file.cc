// SPDX-License-Identifier: Apache-2.0
#include "report/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#include "inferior/quiet_write.h"

namespace heapledger {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

// In a folder where everybody may put things (/tmp), what somebody else put there under that name is not
// what the user means. The kernel's rule (proc(5), protected_symlinks), which holds when a file is opened.
bool is_planted(const std::string& path, const struct stat& there) {
  struct stat folder {};
  if (::stat(folder_of(path).c_str(), &folder) != 0) return false;
  const bool shared = (folder.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
  return shared && there.st_uid != ::geteuid() && there.st_uid != folder.st_uid;
}

// Where a link leads, or the last link when there is nothing (or nothing with a name: /dev/stdout of a pipe).
Result<std::string> follow_links(const std::string& path) {
  constexpr int kMostLinks = 40;  // the kernel's limit
  std::string at = path;
  for (int i = 0; i < kMostLinks; ++i) {
    struct stat there {};
    if (::lstat(at.c_str(), &there) != 0 || (!S_ISLNK(there.st_mode) && !S_ISFIFO(there.st_mode))) return at;
    if (is_planted(at, there)) return fail("cannot write {}: somebody else put it there", path);
    if (S_ISFIFO(there.st_mode)) return at;
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlink(at.c_str(), target.data(), target.size());
    if (size <= 0) return fail("cannot write {}: {}", path, std::strerror(errno));
    std::string next(target.data(), std::size_t(size));
    if (!next.starts_with('/')) next = folder_of(at) + next;
    if (::lstat(next.c_str(), &there) != 0) return at;
    at = std::move(next);
  }
  return fail("cannot write {}: {}", path, std::strerror(ELOOP));
}

}  // namespace

OutputFile::OutputFile(std::string path, std::string final_path, std::string temporary, int fd)
    : path_(std::move(path)),
      final_path_(std::move(final_path)),
      temporary_(std::move(temporary)),
      fd_(fd) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      final_path_(std::move(other.final_path_)),
      temporary_(std::exchange(other.temporary_, "")),
      fd_(std::exchange(other.fd_, -1)),
      error_(other.error_),
      written_(other.written_) {}

Result<OutputFile> OutputFile::open(const std::string& path) {
  if (path.empty()) return fail("cannot write to an empty file name");
  const auto followed = follow_links(path);
  if (!followed) return tl::unexpected(followed.error());
  const std::string& final_path = *followed;
  struct stat info {};
  const bool exists = ::stat(final_path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) return fail("cannot write {}: it is a folder", path);
  if (exists && !S_ISREG(info.st_mode)) {
    const int fd = ::open(final_path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return fail("cannot write {}: {}", path, std::strerror(errno));
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);  // it was for a pipe nobody reads
    return OutputFile(path, final_path, "", fd);
  }
  std::string temporary = final_path + ".XXXXXX";
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
  if (fd < 0) return fail("cannot write {}: {}", path, std::strerror(errno));
  return OutputFile(path, final_path, temporary, fd);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::string_view text) {
  while (!text.empty() && error_ == 0) {
    const ssize_t n = quiet_write(fd_, std::as_bytes(std::span(text)));
    if (n < 0) {
      if (errno != EINTR) error_ = errno;
      continue;
    }
    written_ += std::uint64_t(n);
    text.remove_prefix(std::size_t(n));
  }
}

Result<void> OutputFile::commit() {
  if (::close(std::exchange(fd_, -1)) != 0 && error_ == 0) error_ = errno;
  if (error_ == 0 && !temporary_.empty() &&
      ::rename(temporary_.c_str(), final_path_.c_str()) != 0) {
    error_ = errno;
  }
  if (error_ != 0) return fail("cannot write {}: {}", path_, std::strerror(error_));
  temporary_.clear();
  return {};
}

}  // namespace heapledger
