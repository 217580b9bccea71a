// SPDX-License-Identifier: Apache-2.0
#include "analysis/places.h"

#include <elf.h>

#include <algorithm>
#include <array>

#include "analysis/thread_areas.h"
#include "heap/glibc_descriptors.h"
#include "inferior/demangle.h"
#include "inferior/printable.h"
#include "inferior/target_modules.h"

namespace heapledger {
namespace {

constexpr std::array<const char*, 15> kGeneral{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
                                               "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

// ThreadState::vector is 16 xmm, 16 ymm, 16 or 32 zmm registers, told apart by its length.
std::string vector_register(std::size_t word, std::size_t words) {
  if (words == 32) return fmt::format("xmm{}", word / 2);
  if (words == 64) return fmt::format("ymm{}", word / 4);
  if (words == 128 || words == 256) return fmt::format("zmm{}", word / 8);
  return fmt::format("vector register word {}", word);
}

std::string plus(std::string_view name, std::uint64_t offset) {
  return offset == 0 ? std::string(name) : fmt::format("{}+{}", name, offset);
}

PlaceName shown(PlaceName place) {
  for (std::string* name : {&place.text, &place.function, &place.variable, &place.symbol, &place.module,
                            &place.file}) {
    *name = one_line(*name);
  }
  return place;
}

const ElfSymbol* tls_symbol_at(const std::vector<ElfSymbol>& symbols, std::uint64_t offset) {
  for (const ElfSymbol& s : symbols) {
    if (offset >= s.value && offset < s.value + std::max<std::uint64_t>(s.size, 1)) return &s;
  }
  return nullptr;
}

}  // namespace

PlaceName Places::name(const Reference& reference) {
  const Root& root = scan_.roots().roots[reference.root];
  if (!reference.in_register) {
    if (const Region* r = region(reference.slot)) return name_address(reference.slot, *r);
  }
  PlaceName place;
  place.kind = root.kind;
  place.tid = root.tid;
  place.text = root.name;
  if (reference.in_register) name_register(reference.slot, root.tid, place);
  return shown(std::move(place));
}

PlaceName Places::name_address(Address address, const Region& region) {
  PlaceName place;
  place.kind = region.root.value_or(RootKind::mapping);
  place.tid = region.tid;
  if (const ThreadState* t = thread(region.tid)) place.thread_index = t->index;
  place.offset = address - region.range.begin;
  place.text = plus(region.name.empty() ? fmt::format("{} at {:#x}", region.why, region.range.begin)
                                        : fmt::format("{} ({})", region.name, region.why),
                    place.offset);
  switch (region.use) {
    case RegionUse::live_stack:
    case RegionUse::dead_stack: name_stack(address, place); break;
    case RegionUse::program:
      if (place.kind == RootKind::global) name_global(address, place);
      if (place.kind == RootKind::tls) name_thread_local(address, place);
      break;
    default: break;
  }
  return shown(std::move(place));
}

std::string Places::expression(const Reference& reference) const {
  if (!reference.in_register) return fmt::format("*(void**){:#x}", reference.slot);
  if (reference.slot < kGeneral.size()) return fmt::format("(void*)${}", kGeneral[reference.slot]);
  const Root& root = scan_.roots().roots[reference.root];
  return "$" + vector_register(reference.slot - kGeneral.size(), root.words.size() - kGeneral.size());
}

const Region* Places::region(Address address) const {
  const auto& regions = scan_.roots().regions;
  const auto it = std::partition_point(regions.begin(), regions.end(),
                                       [&](const Region& r) { return r.range.end <= address; });
  return it != regions.end() && it->range.contains(address) ? &*it : nullptr;
}

void Places::name_register(std::uint64_t index, std::uint64_t tid, PlaceName& place) {
  const ThreadState* t = thread(tid);
  if (index < kGeneral.size()) {
    place.symbol = kGeneral[index];
  } else if (t != nullptr) {
    place.symbol = vector_register(index - kGeneral.size(), t->vector.size());
  }
  if (t != nullptr) place.thread_index = t->index;
  place.text = fmt::format("thread {} register {}", place.thread_index, place.symbol);
  const auto& list = frames(tid);
  if (!list.empty()) place.function = list.front().function;
}

void Places::name_stack(Address address, PlaceName& place) {
  place.text = plus(fmt::format("thread {} stack", place.thread_index), place.offset);
  const auto& list = frames(place.tid);
  const auto holds = [&](const FrameInfo& f) {
    return std::any_of(f.variables.begin(), f.variables.end(),
                       [&](const Variable& v) { return v.range.contains(address); });
  };
  // A variable says it for certain; otherwise the innermost frame whose own memory is not below it.
  auto frame = std::find_if(list.begin(), list.end(), holds);
  if (frame == list.end()) {
    frame = std::find_if(list.begin(), list.end(), [&](const FrameInfo& f) { return address < f.cfa; });
  }
  if (frame == list.end()) return;
  place.frame = frame->index;
  place.function = frame->function;
  place.file = frame->file;
  place.line = frame->line;
  place.offset = frame->cfa - address;
  place.text = fmt::format("thread {} frame {} {}", place.thread_index, frame->index,
                           frame->function.empty() ? fmt::format("{:#x}", frame->pc) : frame->function);
  // The smallest variable around it: a member's block over the struct's.
  const Variable* best = nullptr;
  for (const Variable& v : frame->variables) {
    if (v.range.contains(address) && (best == nullptr || v.range.size() < best->range.size())) best = &v;
  }
  if (best == nullptr) {
    place.text += fmt::format(" (cfa-{})", place.offset);
    return;
  }
  place.variable = best->name;
  place.offset = address - best->range.begin;
  place.text += fmt::format(" `{}`", plus(best->name, place.offset));
}

void Places::name_global(Address address, PlaceName& place) {
  const auto name = target_.name_data(address);
  const Module* module = find_module(modules(), address);
  if (module != nullptr) place.module = module->name;
  if (!name || name->symbol.empty()) {
    if (module != nullptr) {
      place.offset = address - module->bias;
      place.text = fmt::format("{}+{:#x}", module->name, place.offset);
    }
    return;
  }
  place.symbol = name->symbol;
  place.offset = name->offset;
  if (!name->module.empty()) place.module = name->module;
  place.file = name->file;
  place.line = name->line;
  place.text = fmt::format("{} [{}]", plus(place.symbol, place.offset), place.module);
}

// Static TLS of a thread: a module's block begins at fs_base - l_tls_offset (variant II).
void Places::name_thread_local(Address address, PlaceName& place) {
  const ThreadState* t = thread(place.tid);
  if (t == nullptr || t->fs_base == 0) return;
  const std::string of_thread = fmt::format(" of thread {}", t->index);
  const auto dtv = find_dtv(target_.memory(), t->fs_base);
  if (dtv && dtv->range().contains(address)) {
    return name_dtv_entry((address - dtv->first) / 16, of_thread, place);
  }
  place.text = "thread-local storage" + of_thread + plus("", address < t->fs_base ? 0 : address - t->fs_base);
  if (address >= t->fs_base) {
    const std::uint64_t offset = address - t->fs_base;
    place.offset = offset;
    // struct pthread: 32 first-level keys { sequence, value } stand right before `specific`.
    const auto specific = descriptor_offset(modules(), "_thread_db_pthread_specific");
    if (offset == 8) {
      place.symbol = "dtv";
      place.text = "dtv" + of_thread;
    } else if (specific && *specific >= 512 && offset >= *specific - 512 && offset < *specific) {
      place.symbol = fmt::format("pthread key {}", (offset - (*specific - 512)) / 16);
      place.text = place.symbol + of_thread;
    } else {
      place.text = plus("thread control block" + of_thread, offset);
    }
    return;
  }
  for (const Module& module : modules()) {
    if (module.elf == nullptr) continue;
    const Glibc as_holder{&module};  // the question needs only the module
    std::optional<TlsBlock> block = libc_tls_block(target_.memory(), modules(), as_holder);
    if (module.is_program) {
      for (const ElfSegment& s : module.elf->segments()) {
        const std::uint64_t alignment = std::max<std::uint64_t>(s.alignment, 1);
        if (s.type == PT_TLS) {
          block = TlsBlock{(s.memory_size + alignment - 1) / alignment * alignment, s.memory_size};
        }
      }
    }
    if (!block) continue;
    const Address begin = t->fs_base - block->distance;
    if (address < begin || address >= begin + block->size) continue;
    std::vector<ElfSymbol> symbols;
    module.elf->for_each_symbol([&](const ElfSymbol& s) {
      if (s.type == STT_TLS) symbols.push_back(s);
    });
    place.module = module.name;
    place.offset = address - begin;
    if (const ElfSymbol* symbol = tls_symbol_at(symbols, place.offset)) {
      place.symbol = demangled(symbol->name);
      place.offset -= symbol->value;
    }
    place.text = fmt::format("thread-local {} [{}]{}",
                             plus(place.symbol.empty() ? "storage" : place.symbol, place.offset),
                             module.name, of_thread);
    return;
  }
}

void Places::name_dtv_entry(std::uint64_t id, const std::string& of_thread, PlaceName& place) {
  place.symbol = "dtv";
  place.text = fmt::format("dtv[{}]{}", id, of_thread);
  for (const Module& module : modules()) {
    if (tls_module_id(target_.memory(), modules(), module) != id) continue;
    place.module = module.name;
    place.text = fmt::format("thread-local storage of {}{}, dtv[{}]", module.name, of_thread, id);
    return;
  }
}

const std::vector<FrameInfo>& Places::frames(std::uint64_t tid) {
  const auto [it, fresh] = frames_.try_emplace(tid);
  if (fresh && tid != 0) it->second = target_.backtrace(tid, true);
  return it->second;
}

const ThreadState* Places::thread(std::uint64_t tid) {
  if (tid == 0) return nullptr;
  if (!threads_) threads_ = target_.threads();
  for (const ThreadState& t : *threads_) {
    if (t.tid == tid) return &t;
  }
  return nullptr;
}

const std::vector<Module>& Places::modules() {
  if (!modules_) {
    modules_.emplace();
    if (const auto mappings = target_.mappings()) {
      if (auto list = read_modules(target_, *mappings)) {
        *modules_ = std::move(*list);
      }
    }
  }
  return *modules_;
}

}  // namespace heapledger
