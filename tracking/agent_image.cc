// SPDX-License-Identifier: Apache-2.0
#include "tracking/agent_image.h"

#include <elf.h>

#include <cstdlib>
#include <cstring>

extern "C" const std::byte heapledger_agent_image_begin[];
extern "C" const std::byte heapledger_agent_image_end[];

namespace heapledger {
namespace {

constexpr std::uint64_t kPage = 4096;

// The image is part of this library: anything wrong with it is a broken build, not an error to report.
void must(bool condition) {
  if (!condition) std::abort();
}

const char* hook_symbol(agent::Shape shape) {
  using agent::Shape;
  switch (shape) {
    case Shape::malloc_like: return "hook_malloc";
    case Shape::calloc_like: return "hook_calloc";
    case Shape::realloc_like: return "hook_realloc";
    case Shape::reallocarray: return "hook_reallocarray";
    case Shape::aligned_like: return "hook_aligned";
    case Shape::posix_memalign: return "hook_posix_memalign";
    case Shape::free_like: return "hook_free";
    case Shape::new_like:
    case Shape::delete_like: return "hook_note";
    case Shape::mmap: return "hook_mmap";
    case Shape::munmap: return "hook_munmap";
    case Shape::mremap: return "hook_mremap";
    case Shape::shmat: return "hook_shmat";
    case Shape::shmdt: return "hook_shmdt";
  }
  std::abort();
}

}  // namespace

const AgentImage& AgentImage::embedded() {
  static const AgentImage image;
  return image;
}

AgentImage::AgentImage() {
  std::vector<std::byte> bytes(heapledger_agent_image_begin, heapledger_agent_image_end);
  auto elf = ElfFile::from_bytes(std::move(bytes), "heapledger-agent");
  must(elf.has_value());
  elf_ = *elf;
  for (const ElfSegment& s : elf_->segments()) {
    if (s.type != PT_LOAD) continue;
    must(segment_.empty() && s.address == 0 && s.offset == 0 && s.file_size == s.memory_size);
    segment_.resize((s.file_size + kPage - 1) / kPage * kPage);
    std::memcpy(segment_.data(), elf_->bytes().data(), s.file_size);
  }
  rules_ = std::make_shared<const UnwindTable>(compile_unwind_rules(*elf_).value_or(UnwindTable{}));
  must(!segment_.empty());
  header_ = symbol("heapledger_header");
}

std::uint64_t AgentImage::symbol(const char* name) const {
  auto found = elf_->symbol(name);
  must(found.has_value());
  return found->value;
}

std::uint64_t AgentImage::hook(agent::Shape shape) const { return symbol(hook_symbol(shape)); }

std::vector<std::byte> AgentImage::place(Address base, Address control, Address state) const {
  std::vector<std::byte> bytes = segment_;
  agent::Header header{};
  std::memcpy(&header, bytes.data() + header_, sizeof header);
  must(header.magic == agent::kMagic && header.version == agent::kVersion);
  header.image_size = static_cast<std::uint32_t>(size());
  header.control = control;
  header.state = state;
  header.image_begin = base;
  header.image_end = base + size();
  std::memcpy(bytes.data() + header_, &header, sizeof header);
  return bytes;
}

}  // namespace heapledger
