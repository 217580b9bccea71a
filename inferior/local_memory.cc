// SPDX-License-Identifier: Apache-2.0
//
// process_vm_readv(2) and process_vm_writev(2), and proc(5) on /proc/PID/mem.
#include "inferior/local_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heapledger {
namespace {

// One call transfers at most MAX_RW_COUNT (2 GiB - 4 KiB); the rest needs another call.
constexpr std::size_t kPerCall = std::size_t{1} << 30;

constexpr Address kSomewhere = 0x7fff00000000;  // mapped or not: the answers differ from a refusal

bool is_forbidden(long error) { return error == -ENOSYS || error == -EPERM || error == -EACCES; }

}  // namespace

// /proc/PID/mem, open.
struct LocalMemory::File {
  explicit File(std::uint64_t pid)
      : number(open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC)),
        error(number < 0 ? -errno : 0) {}
  ~File() {
    if (number >= 0) close(number);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const int number;
  const long error;
};

LocalMemory::LocalMemory(std::uint64_t pid) : pid_(pid) {}
LocalMemory::~LocalMemory() = default;

bool LocalMemory::allowed() const {
  std::byte byte{};
  return !is_forbidden(read_some(kSomewhere, std::span(&byte, 1)));
}

long LocalMemory::read_some(Address address, std::span<std::byte> out) const {
  if (by_file_) return read_file(address, out);
  iovec here{out.data(), out.size()};
  iovec there{reinterpret_cast<void*>(address), out.size()};
  const ssize_t got = process_vm_readv(static_cast<pid_t>(pid_), &here, 1, &there, 1, 0);
  if (got >= 0) return got;
  const long error = -errno;
  if (!is_forbidden(error)) return error;
  by_file_ = true;
  return read_file(address, out);
}

std::shared_ptr<const LocalMemory::File> LocalMemory::file(const File* stale) const {
  const std::lock_guard lock(opening_);
  if (file_ == nullptr || file_.get() == stale) file_ = std::make_shared<const File>(pid_);
  return file_;
}

long LocalMemory::read_file(Address address, std::span<std::byte> out) const {
  if (address >> 63 != 0) return -EFAULT;
  std::shared_ptr<const File> open = file();
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (open->error != 0) return open->error;
    const ssize_t got = pread(open->number, out.data(), out.size(), static_cast<off_t>(address));
    if (got != 0) return got > 0 ? got : -errno;
    open = file(open.get());  // it stays with the memory it was opened on, which exec has replaced
  }
  return 0;
}

// A transfer ends at the first page that is not readable, in the middle of an iovec too
// (mm/process_vm_access.c copies what it could pin), so one iovec is enough for the prefix.
std::size_t LocalMemory::read_up_to(Address address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const Address at = address + done;
    // An iovec that wraps round the end of the address space would be refused as a whole.
    const std::uint64_t room = at == 0 ? kPerCall : std::uint64_t{0} - at;
    const std::size_t want = std::min({out.size() - done, kPerCall, std::size_t(room)});
    const long got = read_some(at, out.subspan(done, want));
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
