// SPDX-License-Identifier: Apache-2.0
//
// Modules from mappings. A module starts where a file is mapped from offset 0 and memory there
// holds an ELF header; its program headers say which addresses belong to it. It is a module (and
// not a file somebody looks into) when at least one of its executable segments is mapped where they
// say.
//
// The headers are read from the inferior, not from the file: they are there even when the file was
// deleted, and they are what the loader used.
#include "inferior/modules.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "inferior/elf_cache.h"
#include "inferior/regular_file.h"

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMostVdso = 1 << 20;  // bytes
constexpr std::string_view kDeleted = " (deleted)";

Address page_floor(Address a) { return a & ~(kPage - 1); }
Address page_ceil(Address a) { return (a + kPage - 1) & ~(kPage - 1); }

// The program headers of the image whose first byte is at `start`, as memory has them.
std::vector<Elf64_Phdr> headers_in_memory(const Memory& memory, Address start) {
  const auto header = memory.read_value<Elf64_Ehdr>(start);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 ||
      header->e_phentsize != sizeof(Elf64_Phdr)) {
    return {};
  }
  std::vector<Elf64_Phdr> headers(std::min<std::size_t>(header->e_phnum, 1024));
  if (!memory.read_array(start + header->e_phoff, std::span(headers))) {
    return {};
  }
  return headers;
}

// The loader has added the bias to addresses in .dynamic.
void without_bias(std::span<std::byte> image, const Module& module, std::span<const Elf64_Phdr> headers) {
  const auto dynamic = std::find_if(headers.begin(), headers.end(),
                                    [](const Elf64_Phdr& h) { return h.p_type == PT_DYNAMIC; });
  if (dynamic == headers.end() || module.bias == 0 || dynamic->p_offset > image.size()) {
    return;
  }
  const std::uint64_t size = std::min<std::uint64_t>(dynamic->p_filesz, image.size() - dynamic->p_offset);
  for (auto rest = image.subspan(dynamic->p_offset, size); rest.size() >= sizeof(Elf64_Dyn);
       rest = rest.subspan(sizeof(Elf64_Dyn))) {
    Elf64_Dyn entry;
    std::memcpy(&entry, rest.data(), sizeof entry);
    if (module.range.contains(entry.d_un.d_ptr)) {
      entry.d_un.d_ptr -= module.bias;
      std::memcpy(rest.data(), &entry, sizeof entry);
    }
  }
}

// The file's bytes as far as they are mapped, where the file itself cannot be opened any more (an
// upgraded library, without the right to use map_files): code, unwind tables and dynamic symbols
// are there; sections and .symtab are not, and written data has its present values.
// `most`: bytes that may still be taken, of all images together: memory of a file that nobody can open may
// be mapped any number of times.
std::shared_ptr<const ElfFile> image_in_memory(const Memory& memory, const Module& module,
                                               std::span<const Elf64_Phdr> headers, std::uint64_t& most) {
  std::uint64_t size = 0, copied = 0;
  for (const Elf64_Phdr& h : headers) {
    if (h.p_type != PT_LOAD || h.p_filesz == 0) {
      continue;
    }
    // A header is believed when memory has the last byte it promises.
    if (h.p_offset > most || h.p_filesz > most - copied ||
        !memory.read_value<char>(module.bias + h.p_vaddr + h.p_filesz - 1)) {
      return nullptr;
    }
    size = std::max(size, h.p_offset + h.p_filesz);
    copied += h.p_filesz;
  }
  if (std::max(size, copied) > most) {
    return nullptr;
  }
  most -= std::max(size, copied);
  std::vector<std::byte> image(size);
  for (const Elf64_Phdr& h : headers) {
    if (h.p_type == PT_LOAD && h.p_filesz != 0 &&
        !memory.read(module.bias + h.p_vaddr, std::span(image).subspan(h.p_offset, h.p_filesz))) {
      return nullptr;
    }
  }
  if (image.size() < sizeof(Elf64_Ehdr)) {
    return nullptr;
  }
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
  std::memcpy(image.data(), &header, sizeof header);
  without_bias(image, module, headers);
  auto elf = ElfFile::from_bytes(std::move(image), module.path);
  return elf ? *elf : nullptr;
}

class Finder {
 public:
  Finder(std::uint64_t pid, const Mappings& mappings, const Memory& memory)
      : pid_(pid), mappings_(mappings), memory_(memory) {}

  std::vector<Module> find();

 private:
  std::optional<Module> module_at(const Mapping& first);
  bool is_mapped_code(const Elf64_Phdr& segment, const Module& module, const Mapping& first) const;
  void extend(Module& module, std::span<const Elf64_Phdr> headers, const Mapping& first) const;
  ElfCache::File open_file(const Mapping& first, Module& module) const;
  void mark_program(std::vector<Module>& modules) const;

  std::uint64_t pid_;
  const Mappings& mappings_;
  const Memory& memory_;
  std::uint64_t most_in_memory_ = std::uint64_t{2} << 30;  // bytes
};

bool Finder::is_mapped_code(const Elf64_Phdr& segment, const Module& module,
                            const Mapping& first) const {
  const Address begin = page_floor(module.bias + segment.p_vaddr);
  const Mapping* mapping = find_mapping(mappings_, begin);
  if (mapping == nullptr || !mapping->executable) {
    return false;
  }
  if (!mapping->is_file()) {
    return !first.is_file() || module.range.contains(begin);  // vdso; text moved to huge pages
  }
  return mapping->inode == first.inode && mapping->device == first.device &&
         mapping->file_offset + (begin - mapping->range.begin) == page_floor(segment.p_offset);
}

// Range and code from the segments that are there, cut where somebody else's mapping follows.
void Finder::extend(Module& module, std::span<const Elf64_Phdr> headers,
                    const Mapping& first) const {
  Address end = first.range.end;
  for (const Elf64_Phdr& h : headers) {
    if (h.p_type == PT_LOAD && h.p_memsz != 0) {
      end = std::max(end, page_ceil(module.bias + h.p_vaddr + h.p_memsz));
    }
  }
  module.range = {first.range.begin, first.range.end};
  auto it = std::upper_bound(mappings_.begin(), mappings_.end(), first.range.begin,
                             [](Address a, const Mapping& m) { return a < m.range.begin; });
  for (; it != mappings_.end() && it->range.begin < end; ++it) {
    const bool foreign = it->is_file() && (it->inode != first.inode || it->device != first.device);
    if (foreign) {
      break;
    }
    module.range.end = std::min(end, it->range.end);
  }
}

std::optional<Module> Finder::module_at(const Mapping& first) {
  const std::vector<Elf64_Phdr> headers = headers_in_memory(memory_, first.range.begin);
  Module module;
  bool has_start = false;
  for (const Elf64_Phdr& h : headers) {
    if (!has_start && h.p_type == PT_LOAD && page_floor(h.p_offset) == 0) {
      module.bias = first.range.begin - page_floor(h.p_vaddr);
      has_start = true;
    }
  }
  if (!has_start) {
    return std::nullopt;
  }
  extend(module, headers, first);
  for (const Elf64_Phdr& h : headers) {
    if (h.p_type != PT_LOAD || (h.p_flags & PF_X) == 0 || !is_mapped_code(h, module, first)) {
      continue;
    }
    const AddressRange code{page_floor(module.bias + h.p_vaddr),
                            page_ceil(module.bias + h.p_vaddr + h.p_memsz)};
    module.code = module.code.empty() ? code
                                      : AddressRange{std::min(module.code.begin, code.begin),
                                                     std::max(module.code.end, code.end)};
  }
  if (module.code.empty()) {
    return std::nullopt;
  }
  module.path = first.name;
  if (first.is_file()) {
    module.elf = open_file(first, module);
    if (module.elf == nullptr) {
      module.elf = image_in_memory(memory_, module, headers, most_in_memory_);
    }
  } else {
    std::vector<std::byte> image(std::min(first.range.size(), kMostVdso));
    image.resize(memory_.read_up_to(first.range.begin, image));
    if (auto elf = ElfFile::from_bytes(std::move(image), first.name)) {
      module.elf = *elf;
    }
  }
  module.name = module.path.substr(module.path.rfind('/') + 1);
  return module;
}

// In this order: the path as the process sees it, if it still is the mapped inode; the mapped file
// itself (needs CAP_SYS_ADMIN); the program's own link; the path with another inode (overlay file
// systems show inodes in maps that stat does not), as the process sees it and as the debugger does. None
// counts that is not the image in memory.
ElfCache::File Finder::open_file(const Mapping& first, Module& module) const {
  const bool marked = std::string_view(first.name).ends_with(kDeleted);
  const auto mapped_image = [&](Result<int> descriptor, std::uint64_t inode) {
    auto file = ElfCache::instance().take(descriptor, inode, module.path);
    return file && is_image_of(*file, module.bias, memory_) ? file : nullptr;
  };
  const auto as_seen_there = [&] {
    return pid_ == 0 ? open_regular(first.name) : open_regular_of(pid_, first.name);
  };
  if (auto file = mapped_image(as_seen_there(), first.inode)) {
    return file;
  }
  if (marked) {
    module.path.resize(module.path.size() - kDeleted.size());
  }
  module.deleted = marked;
  if (pid_ != 0) {
    const auto link = [&](const std::string& name) {
      return open_regular(fmt::format("/proc/{}/{}", pid_, name));
    };
    const AddressRange& range = first.range;
    if (auto file = mapped_image(link(fmt::format("map_files/{:x}-{:x}", range.begin, range.end)), 0)) {
      return file;
    }
    if (auto file = mapped_image(link("exe"), first.inode)) {
      return file;
    }
    if (auto file = mapped_image(as_seen_there(), 0)) {
      return file;
    }
  }
  return mapped_image(open_regular(first.name), 0);
}

// The program is where the kernel put AT_PHDR.
void Finder::mark_program(std::vector<Module>& modules) const {
  const int fd = ::open(fmt::format("/proc/{}/auxv", pid_).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return;
  }
  std::array<Elf64_auxv_t, 64> vector{};
  const ssize_t got = ::read(fd, vector.data(), sizeof vector);
  close(fd);
  for (std::size_t i = 0; got > 0 && i < static_cast<std::size_t>(got) / sizeof vector[0]; ++i) {
    if (vector[i].a_type == AT_PHDR) {
      for (Module& module : modules) {
        module.is_program = module.range.contains(vector[i].a_un.a_val);
      }
    }
  }
}

std::vector<Module> Finder::find() {
  std::vector<Module> modules;
  for (const Mapping& mapping : mappings_) {
    const bool inside = !modules.empty() && modules.back().range.contains(mapping.range.begin);
    const bool candidate =
        mapping.name == "[vdso]" || (mapping.is_file() && mapping.file_offset == 0);
    if (!candidate || inside || !mapping.readable) {
      continue;
    }
    if (auto module = module_at(mapping)) {
      modules.push_back(std::move(*module));
    }
  }
  mark_program(modules);
  return modules;
}

std::string soname_of(const Module& module) { return module.elf ? module.elf->soname() : ""; }

}  // namespace

bool is_image_of(const ElfFile& file, Address bias, const Memory& memory) {
  std::uint64_t compared = 0;
  const auto same = [&](std::uint64_t address, std::span<const std::byte> expected) {
    if ((compared += expected.size()) > file.bytes().size()) {
      return false;  // the same bytes again and again
    }
    std::vector<std::byte> found(expected.size());
    return memory.read(bias + address, found) &&
           std::equal(found.begin(), found.end(), expected.begin());
  };
  const auto headers = file.program_headers();
  const auto at = std::uint64_t(headers.data() - file.bytes().data());
  bool begun = false;  // the segment with the file's first page; others may have a part of it
  for (const ElfSegment& segment : file.segments()) {
    const bool first = !begun && segment.type == PT_LOAD && page_floor(segment.offset) == 0;
    begun = begun || first;
    if (first && !same(segment.address - segment.offset + at, headers)) {
      return false;
    }
    if (segment.type == PT_NOTE && !same(segment.address, file.at(segment.address, segment.file_size))) {
      return false;
    }
  }
  return !file.segments().empty() && compared != 0;
}

Result<std::vector<Module>> ModuleList::read(std::uint64_t pid, const Mappings& mappings,
                                             const Memory& memory) {
  return Finder(pid, mappings, memory).find();
}

// Debian calls musl's libc.so, Alpine ld-musl-x86_64.so.1 with the soname libc.musl-x86_64.so.1; it
// is C library and loader in one.
bool is_musl(const Module& module) {
  const std::string soname = soname_of(module);
  return module.name.starts_with("ld-musl-") || soname.starts_with("libc.musl-") ||
         (module.name == "libc.so" && (soname.empty() || soname == "libc.so"));
}

bool is_libc(const Module& module) {
  return module.name == "libc.so.6" || soname_of(module) == "libc.so.6" || is_musl(module);
}

const Module* find_module(const std::vector<Module>& modules, Address address) {
  for (const Module& module : modules) {
    if (module.range.contains(address)) {
      return &module;
    }
  }
  return nullptr;
}

}  // namespace heapledger
