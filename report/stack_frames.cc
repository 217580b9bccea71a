// SPDX-License-Identifier: Apache-2.0
#include "report/stack_frames.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "inferior/demangle.h"
#include "inferior/printable.h"
#include "report/numbers.h"

namespace heapledger {
namespace {

constexpr std::size_t kBatch = 1024;            // addresses per question to the debugger
constexpr std::size_t kProgressFrom = 200;      // stacks; fewer are named at once

// As C and C++ name them, and as glibc and musl name their insides when debug symbols are there.
constexpr std::array kAllocatorFunctions = {
    "malloc", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "memalign",
    "valloc", "pvalloc", "mmap", "mmap64", "mremap", "shmat",
    "operator new", "operator new[]",
    "__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_reallocarray", "__libc_memalign",
    "__libc_valloc", "__libc_pvalloc", "__posix_memalign", "__mmap", "__mmap64", "__mremap",
    "_mid_memalign", "_int_malloc", "_int_realloc", "_int_memalign", "malloc_hook_ini",
    "__libc_malloc_impl", "default_malloc",
};

std::string_view without_gnu_prefix(std::string_view name) {
  // __GI_ is glibc's hidden alias of an exported function, for its own calls.
  constexpr std::string_view kPrefix = "__GI_";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

}  // namespace

bool is_allocator_function(std::string_view function) {
  std::string_view name = without_gnu_prefix(without_parameters(function));
  return std::find(kAllocatorFunctions.begin(), kAllocatorFunctions.end(), name) !=
         kAllocatorFunctions.end();
}

FrameResolver::FrameResolver(Target& target, std::vector<AddressRange> agent_memory, Origin origin)
    : target_(target), agent_memory_(std::move(agent_memory)), origin_(std::move(origin)) {}

bool FrameResolver::prepare(std::span<const std::vector<CodeAddress>> stacks) {
  std::vector<CodeAddress> wanted;
  std::unordered_set<CodeAddress, Hash, Equal> seen;
  for (const auto& stack : stacks) {
    for (CodeAddress address : stack) {
      if (!known_.contains(address) && seen.insert(address).second) wanted.push_back(address);
    }
  }
  for (std::size_t done = 0; done < wanted.size(); done += kBatch) {
    if (stacks.size() > kProgressFrom) {
      target_.progress(done, wanted.size(), "naming stack frames");
      if (target_.interrupted()) return false;
    }
    look_up(std::span(wanted).subspan(done, std::min(kBatch, wanted.size() - done)));
  }
  return true;
}

void FrameResolver::look_up(std::span<const CodeAddress> addresses) {
  const auto back = [](CodeAddress address) { return Address(address.interrupted ? 0 : 1); };
  std::vector<CodeAddress> calls(addresses.begin(), addresses.end());
  for (CodeAddress& call : calls) call.pc -= back(call);
  auto answers = target_.symbolize(calls);
  answers.resize(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    std::vector<SymbolFrame>& frames = answers[i];
    if (frames.empty()) frames.emplace_back();
    for (SymbolFrame& frame : frames) {
      for (std::string* name : {&frame.function, &frame.file, &frame.module}) *name = one_line(*name);
      frame.address = addresses[i].pc;
      if (!frame.inlined) frame.offset += back(addresses[i]);
      if (!frame.module.empty()) frame.module_offset += back(addresses[i]);
    }
    name_unloaded(addresses[i], frames);
    known_[addresses[i]] = std::move(frames);
  }
}

// The debugger has forgotten a module that was unloaded, and may name what stands there now; the
// module's file, as it was mapped, still has its functions.
void FrameResolver::name_unloaded(CodeAddress address, std::vector<SymbolFrame>& frames) {
  const auto origin = origin_ ? origin_(address) : std::nullopt;
  if (!origin || origin->loaded) return;
  const std::string module = one_line(file_name(origin->path));
  if (!frames.back().function.empty() && frames.back().module == module) return;
  SymbolFrame frame{.module = module,
                    .module_offset = address.pc - origin->bias,
                    .address = address.pc};
  const auto symbol = origin->elf ? origin->elf->function_at(
                                        frame.module_offset - (address.interrupted ? 0 : 1))
                                  : std::nullopt;
  if (symbol) {
    frame.function = one_line(demangled(symbol->name));
    frame.offset = frame.module_offset - symbol->value;
  }
  frames = {std::move(frame)};
}

bool FrameResolver::is_cut(const std::vector<SymbolFrame>& frames) const {
  const SymbolFrame& function = frames.back();  // what the inlined ones are inlined into
  const auto ours = [&](AddressRange r) { return r.contains(function.address); };
  return is_allocator_function(function.function) ||
         std::any_of(agent_memory_.begin(), agent_memory_.end(), ours);
}

std::vector<SymbolFrame> FrameResolver::frames(const std::vector<CodeAddress>& stack) const {
  std::vector<SymbolFrame> result;
  bool inside_allocator = true;
  for (std::size_t i = 0; i < stack.size(); ++i) {
    const auto found = known_.find(stack[i]);
    if (found == known_.end()) {
      inside_allocator = false;
      result.push_back(SymbolFrame{.address = stack[i].pc});
      continue;
    }
    inside_allocator = inside_allocator && i + 1 < stack.size() && is_cut(found->second);
    if (inside_allocator) continue;
    // A wrapper that was inlined into the caller (the loader's calloc) is the allocator's as well.
    auto first = found->second.begin();
    while (result.empty() && first->inlined && is_allocator_function(first->function)) ++first;
    result.insert(result.end(), first, found->second.end());
  }
  return result;
}

}  // namespace heapledger
