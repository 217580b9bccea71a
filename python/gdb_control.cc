// SPDX-License-Identifier: Apache-2.0
#include "python/gdb_control.h"

#include <elf.h>
#include <fmt/format.h>
#include <pybind11/stl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "inferior/file_in_memory.h"
#include "inferior/free_gap.h"
#include "inferior/local_memory.h"
#include "inferior/process_image.h"
#include "inferior/process_limits.h"
#include "inferior/task_states.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kCodeReserve = 1 << 16;   // 500 functions of libraries to come
constexpr std::uint64_t kDataReserve = 16 << 20;  // unwind rules of 2 million rows
constexpr std::uint64_t kLeastRooms = 16;         // of the room a process has, one part for a reserve
constexpr std::size_t kPlacesTried = 8;
constexpr std::size_t kEntryBytes = 64;  // code of the program's start that may be borrowed

std::uint64_t ceil_page(std::uint64_t size) { return (size + kPage - 1) & ~(kPage - 1); }

// A system call as a C function of (number, six arguments, the sixth on the stack).
constexpr std::array<std::uint8_t, 27> kSystemCallCode = {
    0x48, 0x89, 0xf8,              // mov %rdi,%rax
    0x48, 0x89, 0xf7,              // mov %rsi,%rdi
    0x48, 0x89, 0xd6,              // mov %rdx,%rsi
    0x48, 0x89, 0xca,              // mov %rcx,%rdx
    0x4d, 0x89, 0xc2,              // mov %r8,%r10
    0x4d, 0x89, 0xc8,              // mov %r9,%r8
    0x4c, 0x8b, 0x4c, 0x24, 0x08,  // mov 8(%rsp),%r9
    0x0f, 0x05,                    // syscall
    0xc3,                          // ret
    0xcc,
};

Result<void> check_local(GdbTarget& target) {
  if (target.state() != ProcessState::stopped) return fail("there is no stopped process");
  if (target.kind() != ProcessKind::live_local) return fail("the process is not a local one");
  return {};
}

bool is_error(std::uint64_t result) { return result > std::uint64_t(-4096); }

}  // namespace

GdbControl::~GdbControl() {
  for (const auto& [file, path] : announced_) close(file);
}

bool GdbControl::dies_with_debugger() {
  return target_.kind() == ProcessKind::live_local && launched_by_tracer(target_.pid());
}

// gdb cannot be asked: while it serves a breakpoint it calls every thread running, and one that has just
// been created even at a stop.
bool GdbControl::all_stopped() {
  if (target_.kind() == ProcessKind::live_local) return all_tasks_stopped(target_.pid());
  return target_.state() == ProcessState::stopped;  // gdbserver stops them all
}

std::vector<AddressRange> GdbControl::reserves() {
  std::vector<AddressRange> ranges;
  for (const Reserve& reserve : reserves_) ranges.push_back(reserve.range);
  if (system_call_function_ != 0) {
    ranges.push_back({system_call_function_, system_call_function_ + kPage});
  }
  return ranges;
}

// ---------------------------------------------------------------------------------------------
// Memory.

Result<Address> GdbControl::from_reserve(std::uint64_t size, bool executable, AddressRange near) {
  for (Reserve& reserve : reserves_) {
    const AddressRange piece{reserve.next, reserve.next + size};
    if (reserve.executable != executable || piece.end > reserve.range.end) continue;
    if (near != AddressRange{} && !within_reach(piece, near)) continue;
    reserve.next = piece.end;
    return piece.begin;
  }
  return fail("other threads are running, and the memory kept for that is used up: the next stop of "
              "the whole process has more");
}

// Kept out of core files: nothing of it is needed to read the ledger. What cannot be had, or would be much
// of what the process may still map, is done without.
void GdbControl::fill_reserves() {
  const auto left = [this](bool executable) {
    std::uint64_t most = 0;
    for (const Reserve& reserve : reserves_) {
      if (reserve.executable == executable) most = std::max(most, reserve.range.end - reserve.next);
    }
    return most;
  };
  for (const auto& [size, executable] : {std::pair(kCodeReserve, true), std::pair(kDataReserve, false)}) {
    if (left(executable) >= size / 4) continue;
    if (const auto room = memory_room(target_.pid()); room && room->bytes / kLeastRooms < size) continue;
    const auto at = map(size, executable, {});
    if (!at) continue;
    const std::uint64_t arguments[] = {*at, size, MADV_DONTDUMP};
    (void)system_call(SYS_madvise, arguments);
    reserves_.push_back({{*at, *at + size}, executable, *at});
  }
}

void GdbControl::stopped() {
  if (!reserves_.empty() && all_stopped()) fill_reserves();
}

Result<Address> GdbControl::allocate(std::uint64_t size, bool executable, AddressRange near) {
  if (auto local = check_local(target_); !local) return tl::unexpected(local.error());
  size = ceil_page(size);
  auto at = all_stopped() ? map(size, executable, near) : from_reserve(size, executable, near);
  if (!at) {
    return fail("cannot allocate memory in process {}: {}", target_.pid(), at.error().message);
  }
  if (all_stopped()) fill_reserves();
  return at;
}

Result<Address> GdbControl::map(std::uint64_t size, bool executable, AddressRange near) {
  const std::uint64_t protection = PROT_READ | (executable ? PROT_EXEC : PROT_WRITE);
  const std::uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const std::uint64_t anywhere[] = {0, size, protection, flags, ~std::uint64_t{0}, 0};
  auto at = system_call(SYS_mmap, anywhere);
  if (!at) return at;
  if (is_error(*at)) return fail("mmap: {}", std::strerror(int(-std::int64_t(*at))));
  if (near == AddressRange{} || within_reach({*at, *at + size}, near)) return at;
  const std::uint64_t far[] = {*at, size};
  (void)system_call(SYS_munmap, far);

  const auto mappings = read_mappings(target_.pid());
  if (!mappings) return tl::unexpected(mappings.error());
  const std::vector<Address> places = free_gaps_near(*mappings, size, near);
  for (std::size_t i = 0; i < std::min(places.size(), kPlacesTried); ++i) {
    const std::uint64_t there[] = {places[i],          size, protection,
                                   flags | MAP_FIXED_NOREPLACE, ~std::uint64_t{0}, 0};
    at = system_call(SYS_mmap, there);
    if (!at) return at;
    if (*at == places[i]) return at;
    // Kernels before 4.17 take MAP_FIXED_NOREPLACE for a hint; another address is of no use.
    if (is_error(*at)) continue;
    const std::uint64_t wrong[] = {*at, size};
    (void)system_call(SYS_munmap, wrong);
  }
  return fail("no free place of {} bytes within 2 GiB of {:#x}", size, near.begin);
}

Result<std::uint64_t> GdbControl::system_call(std::uint64_t number,
                                              std::span<const std::uint64_t> arguments) {
  const auto function = system_call_function();
  if (!function) return function;
  std::vector<std::uint64_t> all{number};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.resize(7);
  return call(*function, all);
}

Result<Address> GdbControl::system_call_function() {
  if (system_call_function_ != 0) return system_call_function_;
  const auto code = std::as_bytes(std::span(kSystemCallCode));
  const std::uint64_t arguments[] = {0, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                                     ~std::uint64_t{0}, 0};
  const auto page = first_mapping(arguments);
  if (!page) return page;
  if (is_error(*page)) return fail("mmap: {}", std::strerror(int(-std::int64_t(*page))));
  if (auto written = write_code(*page, code); !written) return tl::unexpected(written.error());
  system_call_function_ = *page;
  return system_call_function_;
}

// By libc's own mmap: nothing is changed in the program's code, whatever becomes of gdb meanwhile. Where
// there is none, by code laid, for that one call, over the program's first instructions, which nobody
// runs: either they have not been reached or they are behind.
Result<std::uint64_t> GdbControl::first_mapping(std::span<const std::uint64_t> arguments) {
  for (const Module& module : target_.modules()) {
    if (module.elf == nullptr || !module.elf->symbol("__libc_start_main")) continue;
    const auto mmap = module.elf->symbol("mmap");
    if (mmap && mmap->type == STT_FUNC) return call(module.bias + mmap->value, arguments);
  }
  std::vector<std::uint64_t> numbered{SYS_mmap};
  numbered.insert(numbered.end(), arguments.begin(), arguments.end());
  return call_in_program_text(std::as_bytes(std::span(kSystemCallCode)), numbered);
}

Result<std::uint64_t> GdbControl::call_in_program_text(std::span<const std::byte> code,
                                                       std::span<const std::uint64_t> arguments) {
  const auto image = read_process_image(target_.pid(), target_.memory());
  if (!image) return tl::unexpected(image.error());
  const auto positions = target_.thread_positions();
  for (Address at = image->entry; at + code.size() <= image->entry + kEntryBytes; ++at) {
    const AddressRange place{at, at + code.size()};
    const auto inside = [&](const ThreadState& t) { return place.contains(t.pc); };
    if (!breakpoints_in(place).empty()) continue;
    if (std::any_of(positions.begin(), positions.end(), inside)) continue;
    std::vector<std::byte> before(code.size());
    if (auto read = target_.memory().read(at, before); !read) return tl::unexpected(read.error());
    if (auto written = write_code(at, code); !written) {
      (void)write_code(at, before);
      return tl::unexpected(written.error());
    }
    const auto result = call(at, arguments);
    if (auto restored = write_code(at, before); !restored) return tl::unexpected(restored.error());
    return result;
  }
  return fail("no place for a call: breakpoints or threads stand at the program's entry {:#x}",
              image->entry);
}

// ---------------------------------------------------------------------------------------------
// Writing.

Result<void> GdbControl::write_code(Address address, std::span<const std::byte> bytes) {
  if (auto local = check_local(target_); !local) return local;
  const auto written = ask([&] {
    return target_.python().attr("write")(
        address, py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  });
  if (!written) {
    return fail("cannot write {} bytes of code at {:#x}: {}", bytes.size(), address,
                written.error().message);
  }
  return {};
}

Result<void> GdbControl::write_data(Address address, std::span<const std::byte> bytes) {
  if (auto local = check_local(target_); !local) return local;
  auto done = LocalMemory(target_.pid()).write(address, bytes);
  if (done) return done;
  return write_code(address, bytes) ? Result<void>{} : done;
}

// gdb has its traps in memory only while the process runs, and at a breakpoint's own event: what it
// has in its list counts, and what memory shows besides (its internal ones).
std::vector<Address> GdbControl::breakpoints_in(AddressRange range) {
  std::vector<Address> result;
  const auto listed = ask([&] { return target_.python().attr("breakpoints")(); });
  if (listed) {
    for (const Address address : listed->cast<std::vector<Address>>()) {
      if (range.contains(address)) result.push_back(address);
    }
  }
  std::vector<std::byte> raw(range.size());
  const auto shown = ask([&] { return target_.python().attr("read")(range.begin, range.size()); });
  if (shown && target_.memory().read_up_to(range.begin, raw) == raw.size()) {
    const py::buffer_info info = py::buffer(*shown).request();
    const auto* masked = static_cast<const std::byte*>(info.ptr);
    for (std::size_t i = 0; i < raw.size() && i < std::size_t(info.size); ++i) {
      if (raw[i] != masked[i]) result.push_back(range.begin + i);
    }
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

Result<void> GdbControl::set_pc(std::uint64_t tid, Address pc) {
  const auto done = ask([&] { return target_.python().attr("set_pc")(tid, pc); });
  if (!done) {
    return fail("cannot set the pc of thread {} to {:#x}: {}", tid, pc, done.error().message);
  }
  return {};
}

Result<std::uint64_t> GdbControl::call(Address function,
                                       std::span<const std::uint64_t> arguments) {
  if (auto local = check_local(target_); !local) return tl::unexpected(local.error());
  if (!all_stopped()) return fail("cannot call {:#x}: other threads are running", function);
  const auto result = ask([&] {
    return target_.python().attr("call")(
        function, std::vector<std::uint64_t>(arguments.begin(), arguments.end()));
  });
  if (!result && result.error().message.find("No such process") != std::string::npos) {
    return fail("cannot call {:#x}: gdb says \"No such process\", as when a thread has just ended: let the "
                "process go on, and try again", function);
  }
  if (!result) return fail("cannot call {:#x}: {}", function, result.error().message);
  return result->cast<std::uint64_t>();
}

// ---------------------------------------------------------------------------------------------

Result<void> GdbControl::announce(std::span<const std::byte> elf, Address base,
                                  const std::string& name) {
  const auto file = file_in_memory(elf, name);
  if (!file) return fail("cannot announce {}: {}", name, file.error().message);
  const std::string path = fmt::format("/proc/{}/fd/{}", getpid(), *file);
  announced_.emplace_back(*file, path);
  const auto done = ask([&] { return target_.python().attr("announce")(path, base); });
  if (!done) return fail("cannot announce {}: {}", name, done.error().message);
  return {};
}

Result<void> GdbControl::watch(Address address, WatchVisitor& visitor) {
  if (!watched_.contains(address)) {
    const auto done = ask([&] { return target_.python().attr("watch")(address); });
    if (!done) return fail("cannot watch {:#x}: {}", address, done.error().message);
  }
  watched_[address] = &visitor;
  return {};
}

void GdbControl::unwatch(Address address) {
  if (watched_.erase(address) == 0) return;
  (void)ask([&] { return target_.python().attr("unwatch")(address); });
}

void GdbControl::reached(Address address) {
  const auto found = watched_.find(address);
  if (found == watched_.end()) return;
  const auto registers = ask([&] { return target_.python().attr("watched_registers")(); });
  if (!registers) return;
  const auto [tid, pc, sp, rdi, rsi, rdx, rcx, rax, r11] =
      registers->cast<std::tuple<std::uint64_t, Address, Address, std::uint64_t, std::uint64_t,
                                 std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>>();
  found->second->reached({.tid = tid, .pc = pc, .sp = sp, .rdi = rdi, .rsi = rsi, .rdx = rdx,
                          .rcx = rcx, .rax = rax, .r11 = r11});
}

void GdbControl::forget_process() {
  for (const auto& [address, visitor] : watched_) {
    (void)ask([&] { return target_.python().attr("unwatch")(address); });
  }
  watched_.clear();
  for (const auto& [file, path] : announced_) {
    (void)ask([&] { return target_.python().attr("withdraw")(path); });
    close(file);
  }
  announced_.clear();
  reserves_.clear();
  system_call_function_ = 0;
}

}  // namespace heapledger
