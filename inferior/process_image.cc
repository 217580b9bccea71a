// SPDX-License-Identifier: Apache-2.0
#include "inferior/process_image.h"

#include <elf.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <vector>

#include "inferior/proc_file.h"

namespace heapledger {
namespace {

constexpr unsigned kMaxNamespaces = 16;   // glibc's DL_NNS
constexpr std::uint32_t kConsistent = 0;  // RT_CONSISTENT
constexpr std::uint64_t kDebugTag = 21;   // DT_DEBUG

// Field 22 of /proc/PID/stat; the second one is the program's name in brackets and may hold
// anything.
std::optional<std::uint64_t> start_time(std::uint64_t pid) {
  const std::string stat = read_proc_file(pid, "stat");
  std::size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), value);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

std::uint64_t status_number(const std::string& status, const char* title) {
  return number_after(status, title).value_or(0);
}

struct DebugHeader {  // struct r_debug, and r_debug_extended from r_version 2 on
  std::uint32_t version;
  std::uint32_t padding;
  Address map, brk;
  std::uint32_t state;
  std::uint32_t padding2;
  Address loader_base;
};
static_assert(sizeof(DebugHeader) == 40);

struct Segments {
  Address bias = 0;
  Address dynamic = 0;  // run-time address of PT_DYNAMIC, 0: none
  std::uint64_t dynamic_size = 0;
};

// The program headers' own entry tells where they were linked to be.
std::optional<Segments> segments_of(const ProcessImage& image, const Memory& memory) {
  Segments result;
  bool has_bias = false;
  for (unsigned i = 0; i < 128; ++i) {
    const auto header =
        memory.read_value<Elf64_Phdr>(image.program_headers + i * sizeof(Elf64_Phdr));
    if (!header) break;
    if (header->p_type == PT_PHDR) {
      result.bias = image.program_headers - header->p_vaddr;
      has_bias = true;
    } else if (header->p_type == PT_DYNAMIC) {
      result.dynamic = header->p_vaddr;
      result.dynamic_size = header->p_memsz;
    }
    if (has_bias && result.dynamic != 0) break;
  }
  if (!has_bias || result.dynamic == 0) return std::nullopt;
  result.dynamic += result.bias;
  return result;
}

}  // namespace

Result<ProcessImage> read_process_image(std::uint64_t pid, const Memory& memory) {
  ProcessImage image{.pid = pid};
  const auto started = start_time(pid);
  if (!started) return fail("cannot read /proc/{}/stat", pid);
  image.start_time = *started;
  const std::string vector = read_proc_file(pid, "auxv");
  for (std::size_t at = 0; at + 16 <= vector.size(); at += 16) {
    std::uint64_t entry[2];
    vector.copy(reinterpret_cast<char*>(entry), sizeof entry, at);
    if (entry[0] == AT_PHDR) image.program_headers = entry[1];
    if (entry[0] == AT_ENTRY) image.entry = entry[1];
    if (entry[0] != AT_RANDOM) continue;
    if (const auto random = memory.read_value<std::array<std::uint64_t, 2>>(entry[1])) {
      image.random = *random;
    }
  }
  if (image.entry == 0) return fail("cannot read /proc/{}/auxv", pid);
  return image;
}

bool traced_by_child(std::uint64_t pid) {
  const std::uint64_t tracer = status_number(read_proc_file(pid, "status"), "TracerPid");
  if (tracer == 0) return false;
  return status_number(read_proc_file(tracer, "status"), "PPid") == std::uint64_t(getpid());
}

bool launched_by_tracer(std::uint64_t pid) {
  const std::string status = read_proc_file(pid, "status");
  const std::uint64_t tracer = status_number(status, "TracerPid");
  return tracer != 0 && tracer == status_number(status, "PPid");
}

LoaderState loader_state_at(Address r_debug, const Memory& memory) {
  for (unsigned i = 0; r_debug != 0 && i < kMaxNamespaces; ++i) {
    const auto header = memory.read_value<DebugHeader>(r_debug);
    if (!header || header->version == 0) return LoaderState::unknown;
    if (header->state != kConsistent) return LoaderState::changing;
    if (header->version < 2) break;
    r_debug = memory.read_value<Address>(r_debug + sizeof(DebugHeader)).value_or(0);
  }
  return LoaderState::consistent;
}

namespace {

// What DT_DEBUG points to; 0: no entry, or not filled in yet.
Address r_debug_of(const ProcessImage& image, const Memory& memory) {
  const auto segments = segments_of(image, memory);
  if (!segments) return 0;
  for (std::uint64_t at = 0; at + 16 <= segments->dynamic_size; at += 16) {
    const auto entry = memory.read_value<Elf64_Dyn>(segments->dynamic + at);
    if (!entry || entry->d_tag == DT_NULL) break;
    if (std::uint64_t(entry->d_tag) != kDebugTag) continue;
    return entry->d_un.d_ptr;
  }
  return 0;
}

}  // namespace

LoaderState loader_state(const ProcessImage& image, const Memory& memory) {
  const Address r_debug = r_debug_of(image, memory);
  return r_debug == 0 ? LoaderState::unknown : loader_state_at(r_debug, memory);
}

Address loader_event_function(const ProcessImage& image, const Memory& memory) {
  const Address r_debug = r_debug_of(image, memory);
  const auto header = memory.read_value<DebugHeader>(r_debug);
  return r_debug != 0 && header && header->version != 0 ? header->brk : 0;
}

}  // namespace heapledger
