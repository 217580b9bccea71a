// SPDX-License-Identifier: Apache-2.0
#include "plugin/symbols.h"

#include <string>
#include <string_view>

#include "plugin/sb_text.h"

namespace heapledger {
namespace {

// LLDB's own name for a function that has call frame information but no symbol.
constexpr std::string_view kUnnamed = "___lldb_unnamed_symbol";

std::string named(const char* name) {
  std::string text = text_of(name);
  if (std::string_view(text).starts_with(kUnnamed)) text.clear();
  return text;
}

// LLDB writes names that have no linkage name in the debug information with a "::" in front.
std::string without_scope_mark(std::string name) {
  if (name.starts_with("::")) name.erase(0, 2);
  return name;
}

struct Place {
  std::string file;
  std::uint32_t line = 0;
};

// Line 0 is the compiler's own code: it belongs to no line.
Place place_of(const lldb::SBLineEntry& entry) {
  if (!entry.IsValid() || entry.GetLine() == 0) return {};
  return {path_of(entry.GetFileSpec()), entry.GetLine()};
}

// Blocks inlined at the address, innermost first; the place moves out to each call site.
void add_inlined(std::vector<SymbolFrame>& frames, lldb::SBBlock block, Place& place) {
  if (block.IsValid()) block = block.GetContainingInlinedBlock();
  while (block.IsValid()) {
    SymbolFrame frame;
    frame.function = without_scope_mark(text_of(block.GetInlinedName()));
    frame.file = place.file;
    frame.line = place.line;
    frame.inlined = true;
    frames.push_back(std::move(frame));
    place = {path_of(block.GetInlinedCallSiteFile()), block.GetInlinedCallSiteLine()};
    block = block.GetParent();
    if (block.IsValid()) block = block.GetContainingInlinedBlock();
  }
}

// The function's name, and the address's distance from its first byte. That byte is the symbol's: a
// function whose cold part stands before it begins, in the debug information, with the cold part.
// The symbol also has the better name where the debug information has no linkage name.
void name_function(SymbolFrame& frame, lldb::SBSymbolContext context, Address file_address) {
  lldb::SBFunction function = context.GetFunction();
  lldb::SBSymbol symbol = context.GetSymbol();
  const std::string symbol_name = symbol.IsValid() ? named(symbol.GetName()) : "";
  lldb::SBAddress start = symbol_name.empty() ? lldb::SBAddress() : symbol.GetStartAddress();
  if (function.IsValid()) {
    const bool linkage_name = function.GetMangledName() != nullptr;
    frame.function = !linkage_name && symbol.IsValid() && symbol.GetMangledName() != nullptr
                         ? symbol_name
                         : without_scope_mark(named(function.GetName()));
    if (!start.IsValid()) start = function.GetStartAddress();
  } else {
    frame.function = symbol_name;
  }
  if (frame.function.empty() || !start.IsValid()) return;
  frame.offset = file_address - start.GetFileAddress();
}

bool is_code(lldb::SBSymbol symbol) {
  const lldb::SymbolType type = symbol.GetType();
  return type == lldb::eSymbolTypeCode || type == lldb::eSymbolTypeResolver ||
         type == lldb::eSymbolTypeTrampoline;
}

void add_declaration(DataName& name, lldb::SBTarget& target, lldb::SBModule module,
                     Address symbol_address) {
  lldb::SBValueList found = module.FindGlobalVariables(target, name.symbol.c_str(), 4);
  for (std::uint32_t i = 0; i < found.GetSize(); ++i) {
    lldb::SBValue value = found.GetValueAtIndex(i).GetStaticValue();
    if (value.GetLoadAddress() != symbol_address) continue;
    const lldb::SBDeclaration declaration = value.GetDeclaration();
    if (!declaration.IsValid()) continue;
    name.file = path_of(declaration.GetFileSpec());
    name.line = declaration.GetLine();
    return;
  }
}

}  // namespace

std::string module_name(lldb::SBModule module) {
  return module.IsValid() ? text_of(module.GetFileSpec().GetFilename()) : "";
}

std::vector<SymbolFrame> frames_at(lldb::SBTarget& target, lldb::SBAddress address, Address pc) {
  std::vector<SymbolFrame> frames;
  SymbolFrame outer;
  if (address.IsValid() && address.GetSection().IsValid()) {
    lldb::SBSymbolContext context =
        target.ResolveSymbolContextForAddress(address, lldb::eSymbolContextEverything);
    Place place = place_of(context.GetLineEntry());
    add_inlined(frames, context.GetBlock(), place);
    const Address file_address = address.GetFileAddress();
    name_function(outer, context, file_address);
    outer.file = place.file;
    outer.line = place.line;
    outer.module = module_name(address.GetModule());
    outer.module_offset = file_address;
  }
  frames.push_back(std::move(outer));
  for (SymbolFrame& frame : frames) {
    frame.module = frames.back().module;
    frame.module_offset = frames.back().module_offset;
    frame.address = pc;
  }
  return frames;
}

std::optional<DataName> data_at(lldb::SBTarget& target, Address address) {
  lldb::SBAddress place = target.ResolveLoadAddress(address);
  if (!place.IsValid() || !place.GetSection().IsValid()) return std::nullopt;
  DataName name;
  name.module = module_name(place.GetModule());
  lldb::SBSymbol symbol = place.GetSymbol();
  if (symbol.IsValid() && !is_code(symbol)) {
    lldb::SBAddress start = symbol.GetStartAddress();
    const Address at = start.GetLoadAddress(target);
    if (at != LLDB_INVALID_ADDRESS && at <= address) {
      name.symbol = named(symbol.GetName());
      name.offset = address - at;
      if (!name.symbol.empty()) add_declaration(name, target, place.GetModule(), at);
    }
  }
  if (name.symbol.empty()) {
    name.symbol = text_of(place.GetSection().GetName());
    name.offset = place.GetOffset();
  }
  return name;
}

}  // namespace heapledger
