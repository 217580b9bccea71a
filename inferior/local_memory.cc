// SPDX-License-Identifier: Apache-2.0
//
// process_vm_readv(2) and process_vm_writev(2).
#include "inferior/local_memory.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heapledger {
namespace {

// One call transfers at most MAX_RW_COUNT (2 GiB - 4 KiB); the rest needs another call.
constexpr std::size_t kPerCall = std::size_t{1} << 30;

}  // namespace

// A transfer ends at the first page that is not readable, in the middle of an iovec too
// (mm/process_vm_access.c copies what it could pin), so one iovec is enough for the prefix.
std::size_t LocalMemory::read_up_to(Address address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const Address at = address + done;
    // An iovec that wraps round the end of the address space would be refused as a whole.
    const std::uint64_t room = at == 0 ? kPerCall : std::uint64_t{0} - at;
    const std::size_t want = std::min({out.size() - done, kPerCall, std::size_t(room)});
    iovec here{out.data() + done, want};
    iovec there{reinterpret_cast<void*>(at), want};
    const ssize_t got = process_vm_readv(static_cast<pid_t>(pid_), &here, 1, &there, 1, 0);
    if (got <= 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
    if (static_cast<std::size_t>(got) < want) {
      break;
    }
  }
  return done;
}

Result<void> LocalMemory::write(Address address, std::span<const std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t want = std::min(bytes.size() - done, kPerCall);
    iovec here{const_cast<std::byte*>(bytes.data() + done), want};
    iovec there{reinterpret_cast<void*>(address + done), want};
    const ssize_t put = process_vm_writev(static_cast<pid_t>(pid_), &here, 1, &there, 1, 0);
    if (put <= 0) {
      const int reason = put == 0 ? EFAULT : errno;
      return fail("cannot write {} bytes at {:#x} of process {}: {:#x}: {}", bytes.size(), address,
                  pid_, address + done, std::strerror(reason));
    }
    done += static_cast<std::size_t>(put);
  }
  return {};
}

}  // namespace heapledger
