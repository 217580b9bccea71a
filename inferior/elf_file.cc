// SPDX-License-Identifier: Apache-2.0
//
// One ELF file: mapped as a whole, its header tables read once with libelf and checked once, so
// that everything handed out later lies inside the mapped bytes whatever the file says.
//
// Debt: a file that is truncated in place while it is mapped raises SIGBUS at the next read of the
// lost pages. Linkers and package managers replace files instead; debuggers map them as well.
#include "inferior/elf_file.h"

#include <gelf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "inferior/elf_dynamic.h"
#include "inferior/elf_symbols.h"
#include "inferior/regular_file.h"

namespace heapledger {
namespace {

// The bytes of a file, either mapped or owned.
class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(std::vector<std::byte> owned) : owned_(std::move(owned)), view_(owned_) {}
  Bytes(void* mapped, std::size_t size)
      : mapped_(mapped), view_(static_cast<const std::byte*>(mapped), size) {}
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  Bytes(Bytes&& other) noexcept
      : owned_(std::move(other.owned_)),
        mapped_(std::exchange(other.mapped_, nullptr)),
        view_(std::exchange(other.view_, {})) {}
  Bytes& operator=(Bytes&& other) noexcept {
    std::swap(owned_, other.owned_);
    std::swap(mapped_, other.mapped_);
    std::swap(view_, other.view_);
    return *this;
  }
  ~Bytes() {
    if (mapped_ != nullptr) {
      munmap(mapped_, view_.size());
    }
  }

  std::span<const std::byte> view() const { return view_; }
  // Empty when [offset, offset + size) is not wholly inside.
  std::span<const std::byte> part(std::uint64_t offset, std::uint64_t size) const {
    if (offset > view_.size() || size > view_.size() - offset) {
      return {};
    }
    return view_.subspan(offset, size);
  }

 private:
  std::vector<std::byte> owned_;
  void* mapped_ = nullptr;
  std::span<const std::byte> view_;
};

bool inside(std::uint64_t offset, std::uint64_t size, std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

// What is wrong with the identification and the header, or nothing.
Result<Elf64_Ehdr> check_header(std::span<const std::byte> bytes, const std::string& name) {
  Elf64_Ehdr header;
  if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
    return fail("cannot read {}: not an ELF file", name);
  }
  if (bytes.size() < EI_NIDENT) {
    return fail("cannot read {}: truncated ELF header ({} bytes)", name, bytes.size());
  }
  std::memcpy(header.e_ident, bytes.data(), EI_NIDENT);
  if (header.e_ident[EI_CLASS] == ELFCLASS32) {
    return fail("cannot read {}: 32-bit ELF files are not supported", name);
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return fail("cannot read {}: not a 64-bit little-endian ELF file", name);
  }
  if (bytes.size() < sizeof header) {
    return fail("cannot read {}: truncated ELF header ({} bytes)", name, bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.e_machine != EM_X86_64) {
    return fail("cannot read {}: machine {} is not x86-64", name, header.e_machine);
  }
  if (header.e_phoff != 0 && header.e_phnum != PN_XNUM &&
      !inside(header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr), bytes.size())) {
    return fail("cannot read {}: truncated, program headers end after byte {}", name, bytes.size());
  }
  if (header.e_shoff != 0 &&
      !inside(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr), bytes.size())) {
    return fail("cannot read {}: truncated, section headers end after byte {}", name, bytes.size());
  }
  return header;
}

struct ElfCloser {
  void operator()(Elf* elf) const { elf_end(elf); }
};

}  // namespace

struct ElfFile::Impl {
  std::string name;
  Bytes bytes;
  Elf64_Ehdr header{};
  std::vector<ElfSegment> segments;
  std::vector<ElfSection> sections;  // without section 0, which is no section
  std::vector<std::size_t> links;    // sh_link of each
  std::unordered_map<std::string_view, std::size_t> section_index;
  std::unique_ptr<ElfSymbols> symbols;
  bool has_symbol_table = false;

  Result<void> parse();
  Result<void> read_segments(Elf* elf);
  void read_sections(Elf* elf);
  void collect_symbols();
  ElfDynamic dynamic() const;
  std::span<const std::byte> contents(const ElfSection& section) const;
  std::span<const std::byte> at(std::uint64_t address, std::size_t size) const;
  std::string build_id_in(std::span<const std::byte> notes, std::size_t alignment) const;
};

Result<void> ElfFile::Impl::parse() {
  auto checked = check_header(bytes.view(), name);
  if (!checked) {
    return tl::unexpected(checked.error());
  }
  header = *checked;
  elf_version(EV_CURRENT);
  // elf_memory takes a char* but does not write to an image it is never asked to change.
  auto* image = const_cast<char*>(reinterpret_cast<const char*>(bytes.view().data()));
  const std::unique_ptr<Elf, ElfCloser> elf(elf_memory(image, bytes.view().size()));
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF) {
    return fail("cannot read {}: {}", name, elf_errmsg(-1));
  }
  if (auto read = read_segments(elf.get()); !read) {
    return read;
  }
  read_sections(elf.get());
  collect_symbols();
  return {};
}

Result<void> ElfFile::Impl::read_segments(Elf* elf) {
  std::size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) {
    return fail("cannot read {}: {}", name, elf_errmsg(-1));
  }
  // Each lookup of an address goes through them; a core has one for each mapping.
  constexpr std::size_t kMostSegments = 256;
  if (count > kMostSegments && header.e_type != ET_CORE) {
    return fail("cannot read {}: {} program headers", name, count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr h;  // a copy: the table may be unaligned
    if (gelf_getphdr(elf, static_cast<int>(i), &h) == nullptr) {
      return fail("cannot read {}: {}", name, elf_errmsg(-1));
    }
    // A core is often cut off; its segments may reach beyond the file.
    if (h.p_type == PT_LOAD && header.e_type != ET_CORE &&
        !inside(h.p_offset, h.p_filesz, bytes.view().size())) {
      return fail("cannot read {}: truncated, segment {} ends at byte {} of {}", name, i,
                  h.p_offset + h.p_filesz, bytes.view().size());
    }
    segments.push_back(
        {h.p_type, h.p_flags, h.p_offset, h.p_vaddr, h.p_filesz, h.p_memsz, h.p_align});
  }
  return {};
}

void ElfFile::Impl::read_sections(Elf* elf) {
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) {
    return;
  }
  for (Elf_Scn* scn = nullptr; (scn = elf_nextscn(elf, scn)) != nullptr;) {
    GElf_Shdr h;
    if (gelf_getshdr(scn, &h) == nullptr) {  // keeps its number, so that sh_link means the same
      sections.push_back({});
      links.push_back(0);
      continue;
    }
    const char* text = elf_strptr(elf, names, h.sh_name);
    constexpr std::size_t kLongestName = 256;  // all may be the one that fills the file
    links.push_back(h.sh_link);
    sections.push_back({text == nullptr ? "" : std::string(text, strnlen(text, kLongestName)), h.sh_type,
                        h.sh_flags, h.sh_addr, h.sh_offset, h.sh_size});
  }
  for (std::size_t i = 0; i < sections.size(); ++i) {
    section_index.emplace(sections[i].name, i);
  }
}

// A table's strings are the section its sh_link names. Without section headers the dynamic segment
// still names the dynamic symbols.
void ElfFile::Impl::collect_symbols() {
  std::vector<ElfSymbolTable> tables;
  const auto add = [&](std::uint32_t type) {
    for (std::size_t i = 0; i < sections.size(); ++i) {
      if (sections[i].type == type && links[i] - 1 < sections.size()) {  // section 0 is not listed
        const bool dynamic = type == SHT_DYNSYM;
        const auto hash = dynamic ? section_index.find(".gnu.hash") : section_index.end();
        tables.push_back({contents(sections[i]), contents(sections[links[i] - 1]), dynamic,
                          hash == section_index.end() ? std::span<const std::byte>{}
                                                      : contents(sections[hash->second])});
        return true;
      }
    }
    return false;
  };
  if (!add(SHT_DYNSYM)) {
    if (const auto table = dynamic().symbols()) {
      tables.push_back(*table);
    }
  }
  has_symbol_table = add(SHT_SYMTAB);
  symbols = std::make_unique<ElfSymbols>(std::move(tables));
}

ElfDynamic ElfFile::Impl::dynamic() const {
  const auto segment = std::find_if(segments.begin(), segments.end(),
                                    [](const ElfSegment& s) { return s.type == PT_DYNAMIC; });
  const auto entries = segment == segments.end() ? std::span<const std::byte>{}
                                                 : bytes.part(segment->offset, segment->file_size);
  return ElfDynamic(entries,
                    [this](std::uint64_t address, std::size_t size) { return at(address, size); });
}

std::span<const std::byte> ElfFile::Impl::contents(const ElfSection& section) const {
  if (section.type == SHT_NOBITS) {
    return {};
  }
  return bytes.part(section.offset, section.size);
}

std::span<const std::byte> ElfFile::Impl::at(std::uint64_t address, std::size_t size) const {
  for (const ElfSegment& s : segments) {
    if (s.type == PT_LOAD && address >= s.address &&
        inside(address - s.address, size, s.file_size)) {
      return bytes.part(s.offset + (address - s.address), size);
    }
  }
  return {};
}

// gABI "Note Section": name size, descriptor size, type, then both padded to the alignment.
std::string ElfFile::Impl::build_id_in(std::span<const std::byte> notes,
                                       std::size_t alignment) const {
  const auto padded = [alignment](std::size_t size) {
    return (size + alignment - 1) / alignment * alignment;
  };
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes.data(), sizeof note);
    const std::size_t descriptor = padded(sizeof note + note.n_namesz);
    if (!inside(descriptor, note.n_descsz, notes.size())) {
      break;
    }
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data() + sizeof note, "GNU", 4) == 0) {
      std::string id;
      for (const std::byte b : notes.subspan(descriptor, note.n_descsz)) {
        id += fmt::format("{:02x}", static_cast<unsigned>(b));
      }
      return id;
    }
    notes = notes.subspan(std::min(padded(descriptor + note.n_descsz), notes.size()));
  }
  return {};
}

ElfFile::ElfFile() : impl_(std::make_unique<Impl>()) {}
ElfFile::~ElfFile() = default;

Result<std::shared_ptr<const ElfFile>> ElfFile::open(const std::string& path) {
  const auto descriptor = open_regular(path);
  if (!descriptor) {
    return fail("cannot open {}: {}", path, descriptor.error().message);
  }
  auto file = from_descriptor(*descriptor, path);
  close(*descriptor);
  return file;
}

Result<std::shared_ptr<const ElfFile>> ElfFile::from_descriptor(int descriptor, std::string name) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) {
    return fail("cannot read {}: {}", name, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail("cannot read {}: not a regular file", name);
  }
  if (status.st_size == 0) {
    return fail("cannot read {}: not an ELF file (empty)", name);
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (mapped == MAP_FAILED) {
    return fail("cannot map {}: {}", name, std::strerror(errno));
  }
  std::shared_ptr<ElfFile> file(new ElfFile);
  file->impl_->bytes = Bytes(mapped, size);
  file->impl_->name = std::move(name);
  if (auto parsed = file->impl_->parse(); !parsed) {
    return tl::unexpected(parsed.error());
  }
  return file;
}

Result<std::shared_ptr<const ElfFile>> ElfFile::from_bytes(std::vector<std::byte> bytes,
                                                           std::string name) {
  std::shared_ptr<ElfFile> file(new ElfFile);
  file->impl_->bytes = Bytes(std::move(bytes));
  file->impl_->name = std::move(name);
  if (auto parsed = file->impl_->parse(); !parsed) {
    return tl::unexpected(parsed.error());
  }
  return file;
}

const std::string& ElfFile::name() const { return impl_->name; }
std::uint16_t ElfFile::type() const { return impl_->header.e_type; }
std::uint64_t ElfFile::entry() const { return impl_->header.e_entry; }
std::span<const ElfSegment> ElfFile::segments() const { return impl_->segments; }
std::span<const ElfSection> ElfFile::sections() const { return impl_->sections; }
std::span<const std::byte> ElfFile::bytes() const { return impl_->bytes.view(); }
std::span<const std::byte> ElfFile::program_headers() const {
  return impl_->bytes.part(impl_->header.e_phoff, impl_->segments.size() * sizeof(Elf64_Phdr));
}
bool ElfFile::has_symbol_table() const { return impl_->has_symbol_table; }

bool ElfFile::has_interpreter() const {
  return std::any_of(impl_->segments.begin(), impl_->segments.end(),
                     [](const ElfSegment& segment) { return segment.type == PT_INTERP; });
}

const ElfSection* ElfFile::section(std::string_view name) const {
  const auto found = impl_->section_index.find(name);
  return found == impl_->section_index.end() ? nullptr : &impl_->sections[found->second];
}

std::span<const std::byte> ElfFile::contents(const ElfSection& section) const {
  return impl_->contents(section);
}

std::span<const std::byte> ElfFile::at(std::uint64_t address, std::size_t size) const {
  return impl_->at(address, size);
}

std::string ElfFile::build_id() const {
  for (const ElfSegment& segment : impl_->segments) {
    if (segment.type == PT_NOTE) {
      const auto notes = impl_->bytes.part(segment.offset, segment.file_size);
      if (auto id = impl_->build_id_in(notes, segment.alignment == 8 ? 8 : 4); !id.empty()) {
        return id;
      }
    }
  }
  for (const ElfSection& section : impl_->sections) {  // separate debug files keep no segments
    if (section.type == SHT_NOTE) {
      if (auto id = impl_->build_id_in(contents(section), 4); !id.empty()) {
        return id;
      }
    }
  }
  return {};
}

std::string ElfFile::soname() const { return impl_->dynamic().soname(); }

std::vector<ElfSymbol> ElfFile::functions(std::string_view name) const {
  return impl_->symbols->functions(name);
}
std::optional<ElfSymbol> ElfFile::symbol(std::string_view name) const {
  return impl_->symbols->symbol(name);
}
std::optional<ElfSymbol> ElfFile::function_at(std::uint64_t address) const {
  return impl_->symbols->function_at(address);
}
void ElfFile::for_each_symbol(const std::function<void(const ElfSymbol&)>& visit) const {
  impl_->symbols->for_each(visit);
}

}  // namespace heapledger
