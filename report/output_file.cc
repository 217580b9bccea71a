// SPDX-License-Identifier: Apache-2.0
#include "report/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace heapledger {
namespace {

// Where a link leads; the path itself when there is nothing yet.
std::string follow_links(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
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
  const std::string final_path = follow_links(path);
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
    const ssize_t n = ::write(fd_, text.data(), text.size());
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
