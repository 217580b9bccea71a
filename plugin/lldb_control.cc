// SPDX-License-Identifier: Apache-2.0
#include "plugin/lldb_control.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace heapledger::plugin {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kReach = 0x7ff00000;       // of a rel32, with room for instructions
constexpr std::uint64_t kGuard = std::uint64_t{1} << 20;  // kept free beside what may grow
constexpr std::uint64_t kLowest = 0x10000;         // vm.mmap_min_addr

std::string text(const char* s) { return s == nullptr ? "unknown error" : s; }

bool within_reach(AddressRange place, AddressRange near) {
  return std::max(place.end, near.end) - std::min(place.begin, near.begin) <= kReach;
}

// Free places for `size` bytes within reach of `near`, best first: below it, then far above it -
// never right behind a mapping that grows upwards, as the program's break does.
std::vector<Address> free_places(const Mappings& mappings, std::uint64_t size, AddressRange near) {
  std::vector<Address> below, above;
  Address gap_begin = kLowest;
  for (std::size_t i = 0; i <= mappings.size(); ++i) {
    Address gap_end = i < mappings.size() ? mappings[i].range.begin : Address{1} << 47;
    if (gap_end > gap_begin && gap_end - gap_begin >= size) {
      Address high = (gap_end - size) & ~(kPage - 1);
      if (gap_end <= near.begin) {
        bool roomy = high >= gap_begin + kGuard;
        below.push_back(roomy ? high - kGuard / 2 / kPage * kPage : high);
      } else if (gap_begin >= near.end) {
        Address last = near.begin + kReach - size;
        Address place = std::min(high > kGuard ? high - kGuard : high, last) & ~(kPage - 1);
        if (place >= gap_begin + 256 * kGuard) above.push_back(place);
      }
    }
    if (i < mappings.size()) gap_begin = mappings[i].range.end;
  }
  std::reverse(below.begin(), below.end());
  below.insert(below.end(), above.begin(), above.end());
  std::erase_if(below, [&](Address a) { return !within_reach({a, a + size}, near); });
  return below;
}

}  // namespace

Result<Address> LldbControl::allocate_anywhere(std::uint64_t size, std::uint32_t permissions) {
  lldb::SBError error;
  Address address = target_.process().AllocateMemory(size, permissions, error);
  if (error.Fail() || address == LLDB_INVALID_ADDRESS || address == 0) {
    return fail("cannot allocate {} bytes in the process: {}", size, text(error.GetCString()));
  }
  if (address % kPage == 0) return address;
  // LLDB serves small requests from a pool it has; ask for a whole page more.
  address = target_.process().AllocateMemory(size + kPage, permissions, error);
  if (error.Fail() || address == LLDB_INVALID_ADDRESS) {
    return fail("cannot allocate {} bytes in the process: {}", size, text(error.GetCString()));
  }
  return (address + kPage - 1) & ~(kPage - 1);
}

Result<Address> LldbControl::allocate(std::uint64_t size, bool executable, AddressRange near) {
  size = (size + kPage - 1) & ~(kPage - 1);
  std::uint32_t permissions =
      executable ? lldb::ePermissionsReadable | lldb::ePermissionsExecutable
                 : lldb::ePermissionsReadable | lldb::ePermissionsWritable;
  bool low = !near.empty() && near.end < std::uint64_t{0x7e} << 40;
  if (!low) {
    auto address = allocate_anywhere(size, permissions);
    if (!address || near.empty() || within_reach({*address, *address + size}, near)) return address;
  }
  return allocate_near(size, executable, near);
}

// LLDB's own allocation takes no hint; a few bytes of code that call mmap do.
Result<Address> LldbControl::allocate_near(std::uint64_t size, bool executable, AddressRange near) {
  static constexpr std::uint8_t kCallMmap[] = {0x49, 0x89, 0xca,              // mov %rcx,%r10
                                               0xb8, 0x09, 0, 0, 0,           // mov $9,%eax
                                               0x0f, 0x05, 0xc3};             // syscall; ret
  auto mappings = target_.mappings();
  if (!mappings) return tl::unexpected(mappings.error());
  auto stub = allocate_anywhere(kPage, lldb::ePermissionsReadable | lldb::ePermissionsExecutable);
  if (!stub) return stub;
  lldb::SBError error;
  target_.process().WriteMemory(*stub, kCallMmap, sizeof kCallMmap, error);
  if (error.Fail()) return fail("cannot write to {:#x}: {}", *stub, text(error.GetCString()));
  std::uint64_t protection = executable ? PROT_READ | PROT_EXEC : PROT_READ | PROT_WRITE;
  for (Address place : free_places(*mappings, size, near)) {
    const std::uint64_t arguments[] = {
        place, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ull, 0};
    auto result = call(*stub, arguments);
    if (!result) return tl::unexpected(result.error());
    if (*result == place) return place;
    if (*result < std::uint64_t(-4096)) {  // an old kernel took the address for a hint
      if (within_reach({*result, *result + size}, near)) return *result;
    }
  }
  return fail("no free place for {} bytes within 2 GiB of {:#x}", size, near.begin);
}

Result<void> LldbControl::write_code(Address address, std::span<const std::byte> bytes) {
  // WriteMemory over an inserted trap replaces the trap, and LLDB never puts it back: the locations
  // are disabled first.
  AddressRange range{address, address + bytes.size()};
  std::vector<lldb::SBBreakpointLocation> locations;
  lldb::SBTarget target = target_.sb();
  for (std::uint32_t b = 0; b < target.GetNumBreakpoints(); ++b) {
    lldb::SBBreakpoint breakpoint = target.GetBreakpointAtIndex(b);
    for (std::size_t l = 0; l < breakpoint.GetNumLocations(); ++l) {
      lldb::SBBreakpointLocation location = breakpoint.GetLocationAtIndex(std::uint32_t(l));
      if (location.IsEnabled() && range.contains(location.GetLoadAddress())) {
        locations.push_back(location);
      }
    }
  }
  for (auto& location : locations) location.SetEnabled(false);
  lldb::SBError error;
  std::size_t written =
      target_.process().WriteMemory(address, bytes.data(), bytes.size(), error);
  std::vector<std::byte> now(bytes.size());
  bool readable = target_.memory().read_up_to(address, now) == now.size();
  for (auto& location : locations) location.SetEnabled(true);
  if (error.Fail() || written != bytes.size()) {
    return fail("cannot write {} bytes of code at {:#x}: {}", bytes.size(), address,
                text(error.GetCString()));
  }
  if (!readable || !std::equal(now.begin(), now.end(), bytes.begin())) {
    return fail("code written at {:#x} does not stand there", address);
  }
  return {};
}

Result<void> LldbControl::write_data(Address address, std::span<const std::byte> bytes) {
  if (target_.kind() == ProcessKind::live_local &&
      LocalMemory(target_.pid()).write(address, bytes)) {
    return {};
  }
  lldb::SBError error;
  std::size_t written = target_.process().WriteMemory(address, bytes.data(), bytes.size(), error);
  if (error.Fail() || written != bytes.size()) {
    return fail("cannot write {} bytes at {:#x}: {}", bytes.size(), address, text(error.GetCString()));
  }
  return {};
}

std::vector<Address> LldbControl::breakpoints_in(AddressRange range) {
  std::vector<Address> result;
  lldb::SBTarget target = target_.sb();
  for (std::uint32_t b = 0; b < target.GetNumBreakpoints(); ++b) {
    lldb::SBBreakpoint breakpoint = target.GetBreakpointAtIndex(b);
    if (!breakpoint.IsEnabled()) continue;
    for (std::size_t l = 0; l < breakpoint.GetNumLocations(); ++l) {
      lldb::SBBreakpointLocation location = breakpoint.GetLocationAtIndex(std::uint32_t(l));
      Address at = location.GetLoadAddress();
      if (location.IsEnabled() && range.contains(at)) result.push_back(at);
    }
  }
  // LLDB's internal breakpoints have no SB object: they show where raw memory and LLDB's view differ.
  std::vector<std::byte> raw(range.size()), masked(range.size());
  lldb::SBError error;
  if (target_.memory().read_up_to(range.begin, raw) == raw.size() &&
      target_.process().ReadMemory(range.begin, masked.data(), masked.size(), error) == masked.size()) {
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == std::byte{0xcc} && masked[i] != raw[i]) result.push_back(range.begin + i);
    }
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

Result<void> LldbControl::set_pc(std::uint64_t tid, Address pc) {
  lldb::SBThread thread = target_.process().GetThreadByID(tid);
  if (!thread.IsValid() || !thread.GetFrameAtIndex(0).SetPC(pc)) {
    return fail("cannot move thread {} to {:#x}", tid, pc);
  }
  return {};
}

Result<std::uint64_t> LldbControl::call(Address function,
                                        std::span<const std::uint64_t> arguments) {
  std::string types, values;
  for (std::uint64_t a : arguments) {
    types += types.empty() ? "unsigned long" : ",unsigned long";
    values += fmt::format("{}{}ul", values.empty() ? "" : ",", a);
  }
  std::string expression = fmt::format("((unsigned long(*)({})){}ul)({})", types, function, values);
  lldb::SBFrame frame = target_.process().GetSelectedThread().GetFrameAtIndex(0);
  lldb::SBValue value = frame.EvaluateExpression(expression.c_str(), quiet_expression());
  lldb::SBError error = value.GetError();
  if (!value.IsValid() || error.Fail()) {
    return fail("cannot call {:#x} in the process: {}", function, text(error.GetCString()));
  }
  return value.GetValueAsUnsigned(0);
}

Result<void> LldbControl::announce(std::span<const std::byte> elf, Address base,
                                   const std::string& name) {
  int file = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (file < 0) return fail("cannot announce {}: {}", name, std::strerror(errno));
  bool written = write(file, elf.data(), elf.size()) == ssize_t(elf.size());
  std::string path = fmt::format("/proc/{}/fd/{}", getpid(), file);
  lldb::SBModule module;
  if (written) module = target_.sb().AddModule(path.c_str(), nullptr, nullptr);
  bool placed = module.IsValid() &&
                target_.sb().SetModuleLoadAddress(module, std::int64_t(base)).Success();
  if (!placed) {
    close(file);
    return fail("cannot announce {} to LLDB", name);
  }
  announced_.push_back({module, file});
  return {};
}

void LldbControl::forget() {
  for (Announced& a : announced_) {
    target_.sb().RemoveModule(a.module);
    close(a.file);
  }
  announced_.clear();
}

}  // namespace heapledger::plugin
