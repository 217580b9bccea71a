// SPDX-License-Identifier: Apache-2.0
#include "inferior/core_file.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

struct Note {
  std::uint32_t type;
  std::string_view name;
  std::span<const std::byte> contents;
};

std::span<const std::byte> piece(std::span<const std::byte> bytes, std::uint64_t offset,
                                 std::uint64_t size) {
  if (offset > bytes.size()) return {};
  return bytes.subspan(offset, std::min<std::uint64_t>(size, bytes.size() - offset));
}

std::uint64_t aligned4(std::uint64_t n) { return (n + 3) & ~std::uint64_t{3}; }

std::vector<Note> notes_of(const ElfFile& elf) {
  std::vector<Note> notes;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_NOTE) continue;
    auto rest = piece(elf.bytes(), segment.offset, segment.file_size);
    while (rest.size() >= sizeof(Elf64_Nhdr)) {
      Elf64_Nhdr head;
      std::memcpy(&head, rest.data(), sizeof head);
      const std::uint64_t contents = sizeof head + aligned4(head.n_namesz);
      const std::uint64_t end = contents + aligned4(head.n_descsz);
      if (contents + head.n_descsz > rest.size()) break;
      const auto* name = reinterpret_cast<const char*>(rest.data()) + sizeof head;
      notes.push_back({head.n_type,
                       std::string_view(name, std::min<std::size_t>(head.n_namesz, 16)),
                       rest.subspan(contents, head.n_descsz)});
      rest = rest.subspan(std::min<std::uint64_t>(end, rest.size()));
    }
  }
  return notes;
}

std::uint64_t word_at(std::span<const std::byte> bytes, std::uint64_t index) {
  std::uint64_t value = 0;
  if ((index + 1) * 8 <= bytes.size()) std::memcpy(&value, bytes.data() + index * 8, 8);
  return value;
}

struct MappedFile {
  AddressRange range;
  std::uint64_t offset = 0;  // bytes
  std::string path;
};

// NT_FILE: count, page size, count x (start, end, offset in pages), then the paths, each with its 0.
std::vector<MappedFile> mapped_files(std::span<const std::byte> note) {
  std::vector<MappedFile> files;
  const std::uint64_t count = word_at(note, 0), page = word_at(note, 1);
  if (count > note.size() / 24) return files;
  auto names = piece(note, (2 + 3 * count) * 8, note.size());
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto end = std::find(names.begin(), names.end(), std::byte{0});
    MappedFile file;
    file.range = {word_at(note, 2 + 3 * i), word_at(note, 3 + 3 * i)};
    file.offset = word_at(note, 4 + 3 * i) * page;
    file.path.assign(reinterpret_cast<const char*>(names.data()),
                     std::size_t(end - names.begin()));
    names = names.subspan(std::size_t(end - names.begin()) + (end == names.end() ? 0 : 1));
    if (file.range.begin < file.range.end) files.push_back(std::move(file));
  }
  return files;
}

Address entry_of(std::span<const std::byte> auxv) {
  for (std::uint64_t i = 0; (i + 2) * 8 <= auxv.size(); i += 2) {
    if (word_at(auxv, i) == AT_ENTRY) return word_at(auxv, i + 1);
  }
  return 0;
}

// Segments of the core, and file mappings it left out (text is usually not dumped).
Mappings mappings_of(const ElfFile& elf, const std::vector<MappedFile>& files) {
  Mappings mappings;
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.type != PT_LOAD || segment.memory_size == 0) continue;
    Mapping mapping;
    mapping.range = {segment.address, segment.address + segment.memory_size};
    mapping.readable = (segment.flags & PF_R) != 0;
    mapping.writable = (segment.flags & PF_W) != 0;
    mapping.executable = (segment.flags & PF_X) != 0;
    mappings.push_back(std::move(mapping));
  }
  std::sort(mappings.begin(), mappings.end(),
            [](const Mapping& a, const Mapping& b) { return a.range.begin < b.range.begin; });
  Mappings left_out;
  for (const MappedFile& file : files) {
    bool found = false;
    for (Mapping& mapping : mappings) {
      if (!mapping.range.overlaps(file.range)) continue;
      found = true;
      mapping.name = file.path;
      mapping.inode = 1;
      mapping.file_offset = file.offset + (mapping.range.begin - file.range.begin);
    }
    if (found) continue;
    Mapping mapping;
    mapping.range = file.range;
    mapping.readable = true;
    mapping.inode = 1;
    mapping.file_offset = file.offset;
    mapping.name = file.path;
    left_out.push_back(std::move(mapping));
  }
  mappings.insert(mappings.end(), left_out.begin(), left_out.end());
  std::sort(mappings.begin(), mappings.end(),
            [](const Mapping& a, const Mapping& b) { return a.range.begin < b.range.begin; });
  return mappings;
}

// Where the file was loaded: its first mapping shows its first loadable segment.
void place(Module& module, const MappedFile& first) {
  bool is_first = true;
  for (const ElfSegment& segment : module.elf->segments()) {
    if (segment.type != PT_LOAD) continue;
    if (std::exchange(is_first, false)) {
      module.bias = first.range.begin - first.offset - (segment.address - segment.offset);
    }
    // Up to the end of .bss, which is no mapping of the file.
    const Address end = module.bias + segment.address + segment.memory_size;
    module.range.end = std::max(module.range.end, (end + kPage - 1) / kPage * kPage);
    if ((segment.flags & PF_X) == 0) continue;
    const AddressRange code{module.bias + segment.address / kPage * kPage,
                            module.bias + segment.address + segment.memory_size};
    if (module.code.begin == 0) module.code = code;
    module.code = {std::min(module.code.begin, code.begin), std::max(module.code.end, code.end)};
  }
}

std::vector<Module> modules_of(const std::vector<MappedFile>& files, Address entry) {
  std::map<std::string, std::vector<const MappedFile*>> by_path;
  for (const MappedFile& file : files) by_path[file.path].push_back(&file);
  std::vector<Module> modules;
  for (const auto& [path, pieces] : by_path) {
    auto elf = ElfFile::open(path);
    Module module;
    module.path = path;
    module.name = path.substr(path.rfind('/') + 1);
    module.range = {pieces.front()->range.begin, pieces.front()->range.end};
    for (const MappedFile* file : pieces) {
      module.range = {std::min(module.range.begin, file->range.begin),
                      std::max(module.range.end, file->range.end)};
    }
    if (elf) {
      module.elf = *elf;
      const auto first =
          std::min_element(pieces.begin(), pieces.end(), [](const auto* a, const auto* b) {
            return a->range.begin < b->range.begin;
          });
      place(module, **first);
    }
    module.is_program = entry != 0 && module.range.contains(entry);
    modules.push_back(std::move(module));
  }
  std::sort(modules.begin(), modules.end(),
            [](const Module& a, const Module& b) { return a.range.begin < b.range.begin; });
  return modules;
}

}  // namespace

Result<CoreFile> read_core_file(const std::string& path) {
  auto elf = ElfFile::open(path);
  if (!elf) return tl::unexpected(elf.error());
  if ((*elf)->type() != ET_CORE) return fail("{} is no core file", path);
  CoreFile core{.elf = *elf};
  std::vector<MappedFile> files;
  for (const Note& note : notes_of(**elf)) {
    if (!note.name.starts_with("CORE")) continue;
    if (note.type == NT_FILE) files = mapped_files(note.contents);
    if (note.type == NT_AUXV) core.entry = entry_of(note.contents);
  }
  core.mappings = mappings_of(**elf, files);
  core.modules = modules_of(files, core.entry);
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
