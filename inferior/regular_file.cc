// SPDX-License-Identifier: Apache-2.0
#include "inferior/regular_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace heapledger {
namespace {

tl::unexpected<Error> reason(int error) { return fail("{}", std::strerror(error)); }

// O_PATH alone asks no driver and waits for nobody. Takes the descriptor over.
Result<int> reopened(int path) {
  if (path < 0) return reason(errno);
  struct stat status {};
  const bool known = fstat(path, &status) == 0;
  const int file = known && S_ISREG(status.st_mode)
                       ? open(fmt::format("/proc/self/fd/{}", path).c_str(), O_RDONLY | O_CLOEXEC)
                       : -1;
  const int error = errno;
  close(path);
  if (known && !S_ISREG(status.st_mode)) return fail("not a regular file");
  return file < 0 ? Result<int>(reason(error)) : file;
}

}  // namespace

Result<int> open_regular(const std::string& path) {
  return reopened(open(path.c_str(), O_PATH | O_CLOEXEC));
}

Result<int> open_regular_of(std::uint64_t pid, const std::string& path) {
  const std::string root = fmt::format("/proc/{}/root", pid);
  const int folder = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return reason(errno);
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const long file = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  const int error = errno;
  close(folder);
  // A filter of system calls that does not know it (older containers) says EPERM.
  if (file < 0 && (error == ENOSYS || error == EPERM)) return open_regular(root + path);
  errno = error;
  return reopened(int(file));
}

}  // namespace heapledger
