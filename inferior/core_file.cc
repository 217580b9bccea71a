// SPDX-License-Identifier: Apache-2.0
#include "inferior/core_file.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostMissing = std::uint64_t{64} << 30;  // bytes; qemu's guests, the heap of a JVM

template <typename T>
std::optional<T> value_at(std::span<const std::byte> bytes, std::uint64_t at) {
  T value;
  if (at > bytes.size() || bytes.size() - at < sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

std::span<const std::byte> in_file(const ElfFile& core, const ElfSegment& segment) {
  const auto file = core.bytes();
  if (segment.offset >= file.size()) return {};
  return file.subspan(segment.offset, std::min(segment.file_size, file.size() - segment.offset));
}

// visit(type, contents) of every note, until it returns false.
template <typename Visit>
void for_each_note(const ElfFile& core, Visit visit) {
  for (const ElfSegment& segment : core.segments()) {
    if (segment.type != PT_NOTE) continue;
    const auto notes = in_file(core, segment);
    for (std::uint64_t at = 0;;) {
      const auto header = value_at<Elf64_Nhdr>(notes, at);
      if (!header) break;
      const std::uint64_t contents = at + sizeof *header + round_up(header->n_namesz, 4);
      if (contents > notes.size() || header->n_descsz > notes.size() - contents) break;
      if (!visit(header->n_type, notes.subspan(contents, header->n_descsz))) return;
      at = contents + round_up(header->n_descsz, 4);
    }
  }
}

// Contents of the core's first note of this type; empty when there is none.
std::span<const std::byte> find_note(const ElfFile& core, std::uint32_t type) {
  std::span<const std::byte> found;
  for_each_note(core, [&](std::uint32_t one, std::span<const std::byte> contents) {
    if (one == type) found = contents;
    return one != type;
  });
  return found;
}

// struct elf_prstatus begins a thread's notes; in struct user_fpregs_struct (sys/user.h) the xmm
// registers stand behind the x87 ones.
void read_vector_registers(CoreFile& core) {
  constexpr std::size_t kPid = 32, kXmm = 160, kWords = 32;
  std::uint64_t tid = 0;
  for_each_note(*core.elf, [&](std::uint32_t type, std::span<const std::byte> contents) {
    if (type == NT_PRSTATUS) tid = value_at<std::uint32_t>(contents, kPid).value_or(0);
    if (type == NT_FPREGSET && tid != 0) {
      const auto words = value_at<std::array<std::uint64_t, kWords>>(contents, kXmm);
      if (words) core.vector_registers[tid].assign(words->begin(), words->end());
    }
    return true;
  });
}

struct MappedFile {
  AddressRange range;
  std::uint64_t offset = 0;  // bytes
  std::string name;
};

// NT_FILE: count, page size, then (begin, end, offset in pages) each, then the names.
std::vector<MappedFile> mapped_files(std::span<const std::byte> note) {
  std::vector<MappedFile> files;
  const auto count = value_at<std::uint64_t>(note, 0);
  const auto page = value_at<std::uint64_t>(note, 8);
  if (!count || !page || *count > note.size() / 24) return files;
  std::uint64_t name = 16 + *count * 24;
  for (std::uint64_t i = 0; i < *count && name < note.size(); ++i) {
    const auto words = value_at<std::array<std::uint64_t, 3>>(note, 16 + i * 24);
    const auto* text = reinterpret_cast<const char*>(note.data()) + name;
    const std::size_t length = strnlen(text, note.size() - name);
    if (!words || (*words)[0] >= (*words)[1]) break;
    files.push_back({{(*words)[0], (*words)[1]}, (*words)[2] * *page, std::string(text, length)});
    name += length + 1;
  }
  return files;
}

using AuxiliaryVector = std::map<std::uint64_t, std::uint64_t>;

AuxiliaryVector auxiliary_vector(std::span<const std::byte> note) {
  AuxiliaryVector values;
  for (std::uint64_t at = 0; const auto entry = value_at<Elf64_auxv_t>(note, at); at += 16) {
    values.try_emplace(entry->a_type, entry->a_un.a_val);
  }
  return values;
}

std::uint64_t value_of(const AuxiliaryVector& vector, std::uint64_t key) {
  const auto found = vector.find(key);
  return found == vector.end() ? 0 : found->second;
}

bool by_address(const Mapping& a, const Mapping& b) { return a.range.begin < b.range.begin; }

bool in_memory_file(std::string_view name) {
  return name.starts_with("/dev/zero") || name.starts_with("/dev/shm/") ||
         name.starts_with("/memfd:") || name.starts_with("/SYSV");
}

// A core does not tell shared from private. Private writable memory of a file is in it as soon as it
// was written to; what is not in it is taken for shared, the scan's word for "not the program's own".
void make_file(Mapping& mapping, const MappedFile& file, bool has_contents) {
  mapping.name = file.name;
  mapping.file_offset = file.offset + (mapping.range.begin - file.range.begin);
  mapping.inode = std::hash<std::string>()(file.name) | 1;
  mapping.shared = in_memory_file(file.name) || (mapping.writable && !has_contents);
}

Mapping mapping_of(const ElfSegment& segment) {
  return {.range = {segment.address, round_up(segment.address + segment.memory_size, kPage)},
          .readable = (segment.flags & PF_R) != 0,
          .writable = (segment.flags & PF_W) != 0,
          .executable = (segment.flags & PF_X) != 0};
}

// gcore leaves out what is unmodified: text and read-only data. Which of the two is not said.
Mapping mapping_of(const MappedFile& file) {
  Mapping mapping{.range = file.range, .readable = true, .executable = true};
  make_file(mapping, file, false);
  return mapping;
}

const MappedFile* file_at(const std::vector<MappedFile>& files, Address address) {
  for (const MappedFile& file : files) {
    if (file.range.contains(address)) return &file;
  }
  return nullptr;
}

// Of two that overlap the first one stays.
void make_disjoint(Mappings& mappings) {
  Address end = 0;
  std::erase_if(mappings, [&](const Mapping& mapping) {
    if (mapping.range.empty() || mapping.range.begin < end) return true;
    end = mapping.range.end;
    return false;
  });
}

// An end past the last address is no segment of a process.
bool shows_memory(const ElfSegment& segment) {
  return segment.type == PT_LOAD && segment.memory_size != 0 &&
         segment.memory_size <= UINT64_MAX - kPage - segment.address;
}

// Each byte of a core is one place of memory. Else a small file could stand for terabytes.
Result<void> check_overlap(const ElfFile& core) {
  std::uint64_t shown = 0;
  for (const ElfSegment& segment : core.segments()) {
    if (segment.type == PT_LOAD) shown += in_file(core, segment).size();
    if (shown > core.bytes().size()) return fail("cannot read {}: its segments overlap", core.name());
  }
  return {};
}

void add_segments(CoreFile& core, const std::vector<MappedFile>& files) {
  std::uint64_t missing = 0;
  for (const ElfSegment& segment : core.elf->segments()) {
    if (!shows_memory(segment)) continue;
    Mapping mapping = mapping_of(segment);
    const std::uint64_t present = std::min(in_file(*core.elf, segment).size(), segment.memory_size);
    if (const MappedFile* file = file_at(files, mapping.range.begin)) {
      make_file(mapping, *file, segment.file_size != 0);
    }
    // What is not in the file is looked through page by page, in vain: for minutes, were it more.
    const bool is_missed = mapping.readable && (!mapping.is_file() || mapping.shared);
    if (is_missed && segment.memory_size - present > kMostMissing - missing) {
      mapping.readable = false;
      core.bytes_not_shown += segment.memory_size;
    } else if (is_missed) {
      missing += segment.memory_size - present;
    }
    if (mapping.writable) core.bytes_cut_off += segment.file_size - in_file(*core.elf, segment).size();
    core.mappings.push_back(std::move(mapping));
  }
  std::stable_sort(core.mappings.begin(), core.mappings.end(), by_address);
  make_disjoint(core.mappings);
}

void add_left_out(Mappings& mappings, const std::vector<MappedFile>& files) {
  Mappings left_out;
  for (const MappedFile& file : files) {
    const auto next = std::partition_point(
        mappings.begin(), mappings.end(),
        [&](const Mapping& m) { return m.range.end <= file.range.begin; });
    if (next == mappings.end() || !next->range.overlaps(file.range)) {
      left_out.push_back(mapping_of(file));
    }
  }
  mappings.insert(mappings.end(), left_out.begin(), left_out.end());
  std::stable_sort(mappings.begin(), mappings.end(), by_address);
}

void name_kernels(Mappings& mappings, const AuxiliaryVector& auxiliary) {
  constexpr Address kVsyscall = 0xffffffffff600000;
  const Address vdso = value_of(auxiliary, AT_SYSINFO_EHDR);
  const Address on_stack = value_of(auxiliary, AT_RANDOM);
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    Mapping& mapping = mappings[i];
    if (mapping.range.begin == kVsyscall) mapping.name = "[vsyscall]";
    if (on_stack != 0 && mapping.range.contains(on_stack)) mapping.name = "[stack]";
    if (vdso == 0 || !mapping.range.contains(vdso)) continue;
    mapping.name = "[vdso]";
    // Its data pages stand in front of it.
    for (std::size_t j = i; j-- > 0 && mappings[j].range.end == mappings[j + 1].range.begin &&
                            !mappings[j].writable && !mappings[j].is_file();) {
      mappings[j].name = "[vvar]";
    }
  }
}

// The segment that shows the address has nothing in the file, where the file has not been cut off.
bool has_no_bytes(const CoreFile& core, Address address) {
  for (const ElfSegment& segment : core.elf->segments()) {
    if (segment.type != PT_LOAD || address < segment.address ||
        address >= segment.address + segment.memory_size) {
      continue;
    }
    return segment.file_size == 0;
  }
  return false;
}

}  // namespace

std::string missing_evidence(const CoreFile& core) {
  if (core.bytes_cut_off != 0) {
    return fmt::format("the core file was cut off: {} bytes of writable memory are missing",
                       core.bytes_cut_off);
  }
  if (core.stack_left_out) {
    return "the core file has no private memory (see coredump_filter in core(5)): stacks and the heap "
           "are missing";
  }
  if (core.bytes_not_shown != 0) {
    return fmt::format("the core file lists {} bytes of memory without their contents",
                       core.bytes_not_shown);
  }
  return "";
}

Result<CoreFile> read_core_file(const std::string& path) {
  auto elf = ElfFile::open(path);
  if (!elf) return tl::unexpected(elf.error());
  if ((*elf)->type() != ET_CORE) return fail("{} is no core file", path);
  if (auto checked = check_overlap(**elf); !checked) return tl::unexpected(checked.error());
  CoreFile core{.elf = *elf};
  const auto auxiliary = auxiliary_vector(find_note(**elf, NT_AUXV));
  core.entry = value_of(auxiliary, AT_ENTRY);
  read_vector_registers(core);
  const std::vector<MappedFile> files = mapped_files(find_note(**elf, NT_FILE));
  add_segments(core, files);
  add_left_out(core.mappings, files);
  make_disjoint(core.mappings);
  name_kernels(core.mappings, auxiliary);
  core.stack_left_out = has_no_bytes(core, value_of(auxiliary, AT_RANDOM));
  if (auto modules = ModuleList::read(0, core.mappings, CoreMemory(core.elf, {}))) {
    core.modules = std::move(*modules);
  }
  for (Module& module : core.modules) {
    module.is_program = core.entry != 0 && module.range.contains(core.entry);
  }
  return core;
}

std::unique_ptr<Memory> memory_of(const CoreFile& core) {
  std::vector<CoreMemory::Backing> backing;
  for (const Module& module : core.modules) {
    if (module.elf != nullptr) backing.push_back({module.range, module.bias, module.elf});
  }
  return std::make_unique<CoreMemory>(core.elf, std::move(backing));
}

}  // namespace heapledger
