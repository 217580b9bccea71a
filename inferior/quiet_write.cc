// SPDX-License-Identifier: Apache-2.0
#include "inferior/quiet_write.h"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace heapledger {

ssize_t quiet_write(int fd, std::span<const std::byte> bytes) {
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  sigaddset(&signals, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  const ssize_t written = write(fd, bytes.data(), bytes.size());
  const int reason = errno;
  if (written < 0 && (reason == EPIPE || reason == EFBIG)) {  // the signal waits for this thread
    constexpr timespec kNow{};
    sigtimedwait(&signals, nullptr, &kNow);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = reason;
  return written;
}

}  // namespace heapledger
