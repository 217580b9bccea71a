// SPDX-License-Identifier: Apache-2.0
#include "plugin/lldb_control.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "inferior/creating_thread.h"
#include "inferior/free_gap.h"
#include "inferior/local_memory.h"
#include "plugin/breakpoint_sites.h"
#include "plugin/evaluation.h"
#include "plugin/sb_text.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kPlacesTried = 8;
constexpr int kMostPieces = 256;  // begun pages of LLDB's pool

std::uint64_t ceil_page(std::uint64_t size) { return (size + kPage - 1) & ~(kPage - 1); }

std::uint32_t lldb_permissions(bool executable) {  // not PROT_*: LLDB's bits are other ones
  return lldb::ePermissionsReadable |
         (executable ? lldb::ePermissionsExecutable : lldb::ePermissionsWritable);
}

// mmap as a C function: the kernel takes the fourth argument in r10.
constexpr std::array<std::uint8_t, 11> kMmapCode = {
    0xb8, 0x09, 0x00, 0x00, 0x00,  // mov $9,%eax
    0x49, 0x89, 0xca,              // mov %rcx,%r10
    0x0f, 0x05,                    // syscall
    0xc3,                          // ret
};

// The mapping must be what was asked for: LLDB's allocator pools memory, and what it hands out may
// have been used before.
Result<void> check_mapping(std::uint64_t pid, AddressRange range, bool executable) {
  const auto mappings = read_mappings(pid);
  if (!mappings) return tl::unexpected(mappings.error());
  for (Address at = range.begin; at < range.end;) {
    const Mapping* mapping = find_mapping(*mappings, at);
    if (mapping == nullptr) return fail("{:#x} is not mapped", at);
    if (mapping->is_file() || mapping->shared || !mapping->readable ||
        mapping->executable != executable || mapping->writable == executable) {
      return fail("the memory at {:#x} is not private {} memory", at, executable ? "r-x" : "rw-");
    }
    at = mapping->range.end;
  }
  return {};
}

bool all_zero(const Memory& memory, AddressRange range) {
  std::vector<std::byte> chunk(1 << 16);
  for (Address at = range.begin; at < range.end; at += chunk.size()) {
    const std::size_t want = std::min<std::uint64_t>(chunk.size(), range.end - at);
    if (memory.read_up_to(at, std::span(chunk).first(want)) != want) return false;
    if (std::any_of(chunk.begin(), chunk.begin() + want,
                    [](std::byte b) { return b != std::byte{}; }))
      return false;
  }
  return true;
}

Result<void> check_local(LldbTarget& target) {
  if (target.state() != ProcessState::stopped) return fail("there is no stopped process");
  if (target.kind() != ProcessKind::live_local) return fail("the process is not a local one");
  return {};
}

}  // namespace

// Whole pages of LLDB's pool. A piece that shares a page with others is given back and asked for
// anew, until the pool has nothing left but whole pages or has grown.
Result<Address> LldbControl::allocate_anywhere(std::uint64_t size, bool executable) {
  lldb::SBProcess process = target_.process();
  std::vector<Address> shared;
  Result<Address> result = fail("the debugger's allocator gave no whole pages");
  for (int attempt = 0; attempt < kMostPieces; ++attempt) {
    lldb::SBError error;
    const Address at = process.AllocateMemory(size, lldb_permissions(executable), error);
    stepped_ = true;
    if (error.Fail() || at == LLDB_INVALID_ADDRESS || at == 0) {
      result = fail("the debugger cannot allocate {} bytes: {}", size, first_line(error));
      break;
    }
    if (at % kPage == 0) {
      result = at;
      break;
    }
    shared.push_back(at);
  }
  for (const Address at : shared) process.DeallocateMemory(at);
  return result;
}

// lldb-server borrows the thread that stopped first, without looking what it is doing; a function is
// called on the current one.
Result<void> LldbControl::check_borrowed_threads() {
  lldb::SBProcess process = target_.process();
  const std::uint64_t current = target_.current_thread().GetThreadID();
  for (std::uint32_t i = 0; i < process.GetNumThreads(); ++i) {
    lldb::SBThread thread = process.GetThreadAtIndex(i);
    const std::uint64_t tid = thread.GetThreadID();
    const bool may_be_borrowed = tid == current || thread.GetStopReason() > lldb::eStopReasonNone;
    if (!may_be_borrowed || !is_creating_another(target_.pid(), tid)) continue;
    // Stopped by a signal the call is over, or will be made again: then a result stands there.
    if (thread.GetFrameAtIndex(0).FindRegister("rax").GetValueAsSigned() != -ENOSYS) continue;
    return fail("thread {} is just creating a thread or process: let it go on, and try again", tid);
  }
  return {};
}

Result<Address> LldbControl::allocate(std::uint64_t size, bool executable, AddressRange near) {
  if (auto local = check_local(target_); !local) return tl::unexpected(local.error());
  if (auto can = check_borrowed_threads(); !can) return tl::unexpected(can.error());
  size = ceil_page(size);
  const bool anywhere = near == AddressRange{};
  auto at = allocate_anywhere(size, executable);
  if (at && !anywhere && !within_reach({*at, *at + size}, near)) {
    target_.process().DeallocateMemory(*at);
    at = map_near(size, executable, near);
  }
  if (!at) {
    return fail("cannot allocate memory in process {}: {}", target_.pid(), at.error().message);
  }
  const AddressRange range{*at, *at + size};
  if (auto checked = check_mapping(target_.pid(), range, executable); !checked) {
    return fail("cannot use {} bytes at {:#x} of process {}: {}", size, *at, target_.pid(),
                checked.error().message);
  }
  if (!all_zero(target_.memory(), range)) {
    const std::vector<std::byte> zeros(size);
    auto cleared = executable ? write_code(*at, zeros) : write_data(*at, zeros);
    if (!cleared) return tl::unexpected(cleared.error());
  }
  return *at;
}

Result<Address> LldbControl::mmap_function() {
  if (mmap_function_ != 0) return mmap_function_;
  auto at = allocate_anywhere(kPage, true);
  if (!at) return at;
  auto written = write_code(*at, std::as_bytes(std::span(kMmapCode)));
  if (!written) return tl::unexpected(written.error());
  mmap_function_ = *at;
  return mmap_function_;
}

Result<Address> LldbControl::map_near(std::uint64_t size, bool executable, AddressRange near) {
  const auto mappings = read_mappings(target_.pid());
  if (!mappings) return tl::unexpected(mappings.error());
  const auto mmap_at = mmap_function();
  if (!mmap_at) return mmap_at;
  const std::vector<Address> places = free_gaps_near(*mappings, size, near);
  for (std::size_t i = 0; i < std::min(places.size(), kPlacesTried); ++i) {
    const std::uint64_t arguments[] = {
        places[i],
        size,
        std::uint64_t(PROT_READ | (executable ? PROT_EXEC : PROT_WRITE)),
        std::uint64_t(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE),
        ~std::uint64_t{0},
        0};
    const auto got = call(*mmap_at, arguments);
    if (!got) return got;
    if (*got == places[i]) return *got;
    // Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint; another address is of no use.
  }
  return fail("no free place of {} bytes within 2 GiB of {:#x}", size, near.begin);
}

Result<void> LldbControl::write_code(Address address, std::span<const std::byte> bytes) {
  if (auto local = check_local(target_); !local) return local;
  const AddressRange range{address, address + bytes.size()};
  lldb::SBError error;
  std::size_t written = 0;
  std::vector<std::byte> found(bytes.size());
  {
    const WithoutBreakpoints without(target_.sb(), range);
    if (const auto hidden = traps_in(target_.sb(), range); !hidden.empty()) {
      return fail("cannot write code at {:#x}: the debugger has a breakpoint of its own at {:#x}",
                  address, hidden.front());
    }
    written = target_.process().WriteMemory(address, bytes.data(), bytes.size(), error);
    (void)target_.memory().read_up_to(address, found);
  }
  if (error.Fail() || written != bytes.size()) {
    return fail("cannot write {} bytes of code at {:#x}: {}", bytes.size(), address,
                first_line(error));
  }
  if (!std::equal(bytes.begin(), bytes.end(), found.begin())) {
    return fail("{} bytes of code written at {:#x} do not read back", bytes.size(), address);
  }
  return {};
}

Result<void> LldbControl::write_data(Address address, std::span<const std::byte> bytes) {
  if (auto local = check_local(target_); !local) return local;
  auto done = LocalMemory(target_.pid()).write(address, bytes);
  if (done) return done;
  lldb::SBError error;
  const std::size_t written =
      target_.process().WriteMemory(address, bytes.data(), bytes.size(), error);
  if (error.Fail() || written != bytes.size()) return done;
  return {};
}

std::vector<Address> LldbControl::breakpoints_in(AddressRange range) {
  return traps_in(target_.sb(), range);
}

Result<void> LldbControl::set_pc(std::uint64_t tid, Address pc) {
  lldb::SBThread thread = target_.process().GetThreadByID(tid);
  lldb::SBFrame frame = thread.IsValid() ? thread.GetFrameAtIndex(0) : lldb::SBFrame();
  if (!frame.IsValid() || !frame.SetPC(pc) || thread.GetFrameAtIndex(0).GetPC() != pc) {
    return fail("cannot set the pc of thread {} to {:#x}", tid, pc);
  }
  return {};
}

Result<std::uint64_t> LldbControl::call(Address function,
                                        std::span<const std::uint64_t> arguments) {
  if (auto local = check_local(target_); !local) return tl::unexpected(local.error());
  return call_function(target_.current_thread(), function, arguments);
}

Result<void> LldbControl::announce(std::span<const std::byte> elf, Address base,
                                   const std::string& name) {
  return announced_.add(target_.sb(), elf, base, name);
}

Result<void> LldbControl::watch(Address address, WatchVisitor& visitor) {
  return watched_.watch(target_.sb(), address, visitor);
}

void LldbControl::unwatch(Address address) { watched_.unwatch(target_.sb(), address); }

void LldbControl::end_stepping() {
  if (!std::exchange(stepped_, false) || !check_local(target_)) return;
  const auto function = mmap_function();
  constexpr std::uint64_t kNothing[] = {0, 0, 0, 0, ~std::uint64_t{0}, 0};  // EINVAL
  if (function) (void)call(*function, kNothing);
  stepped_ = false;
}

void LldbControl::forget_process() {
  stepped_ = false;
  watched_.remove_all(target_.sb());
  announced_.remove_all(target_.sb());
  mmap_function_ = 0;
}

}  // namespace heapledger
