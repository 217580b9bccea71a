// SPDX-License-Identifier: Apache-2.0
#include "inferior/file_in_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "inferior/quiet_write.h"

namespace heapledger {

Result<int> file_in_memory(std::span<const std::byte> contents, const std::string& name) {
  const int fd = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (fd < 0) return fail("memfd_create: {}", std::strerror(errno));
  while (!contents.empty()) {
    const ssize_t written = quiet_write(fd, contents);
    if (written <= 0) {
      const int reason = errno;
      close(fd);
      return fail("write: {}", std::strerror(reason));
    }
    contents = contents.subspan(std::size_t(written));
  }
  return fd;
}

}  // namespace heapledger
