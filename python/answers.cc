// SPDX-License-Identifier: Apache-2.0
#include "python/answers.h"

#include <fmt/format.h>
#include <pybind11/stl.h>

#include <nlohmann/json.hpp>

namespace heapledger {
namespace {

namespace py = pybind11;
using Json = nlohmann::json;

template <typename T>
T value_of(const Json& json, const char* key, T otherwise = {}) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? otherwise : found->get<T>();
}

const Json& part(const Json& json, const char* key) {
  static const Json kNone;
  const auto found = json.find(key);
  return found == json.end() ? kNone : *found;
}

template <typename Read>
auto list_of(const Json& json, Read read) {
  std::vector<decltype(read(json))> result;
  if (json.is_array()) {
    for (const Json& one : json) result.push_back(read(one));
  }
  return result;
}

FrameAnswer frame_of(const Json& json) {
  return {.function = value_of<std::string>(json, "function"),
          .file = value_of<std::string>(json, "file"),
          .module = value_of<std::string>(json, "module"),
          .line = value_of<std::uint64_t>(json, "line"),
          .offset = value_of<std::uint64_t>(json, "offset"),
          .address = value_of<std::uint64_t>(json, "address"),
          .inlined = value_of<bool>(json, "inlined")};
}

BlockAnswer block_of(const Json& json) {
  BlockAnswer block{.address = value_of<std::uint64_t>(json, "address"),
                    .size = value_of<std::uint64_t>(json, "size"),
                    .kind = value_of<std::string>(json, "kind"),
                    .thread = value_of<std::uint64_t>(json, "thread"),
                    .stack = list_of(part(json, "stack"), frame_of)};
  if (const Json& age = part(json, "age_ms"); age.is_number()) block.age_ms = age.get<std::uint64_t>();
  return block;
}

std::optional<BlockAnswer> optional_block(const Json& json) {
  return json.is_object() ? std::optional(block_of(json)) : std::nullopt;
}

TotalAnswer total_of(const Json& json) {
  return {value_of<std::uint64_t>(json, "bytes"), value_of<std::uint64_t>(json, "blocks")};
}

RecordAnswer record_of(const Json& json) {
  return {.kind = value_of<std::string>(json, "kind"),
          .bytes = value_of<std::uint64_t>(json, "bytes"),
          .blocks = value_of<std::uint64_t>(json, "blocks"),
          .indirect_bytes = value_of<std::uint64_t>(json, "indirect_bytes"),
          .indirect_blocks = value_of<std::uint64_t>(json, "indirect_blocks"),
          .stack = list_of(part(json, "stack"), frame_of),
          .members = list_of(part(json, "addresses"), block_of)};
}

LinkAnswer link_of(const Json& json) {
  const Json& root = part(json, "root");
  return {.root = root.is_object() ? value_of<std::string>(root, "text") : "",
          .block = optional_block(part(json, "block")),
          .offset = value_of<std::uint64_t>(json, "offset"),
          .expression = value_of<std::string>(json, "expression"),
          .value = value_of<std::uint64_t>(json, "value"),
          .target = value_of<std::uint64_t>(json, "target")};
}

std::string place(const FrameAnswer& frame) {
  return fmt::format("{}+{:#x} [{}]", frame.function.empty() ? "?" : frame.function, frame.offset,
                     frame.module);
}

}  // namespace

std::vector<StackAnswer> stacks_of(const std::string& text) {
  const Json json = Json::parse(text);
  return list_of(part(json, "groups"), [](const Json& group) {
    StackAnswer stack{.bytes = value_of<std::uint64_t>(group, "bytes"),
                      .count = value_of<std::uint64_t>(group, "count"),
                      .frames = list_of(part(group, "stack"), frame_of),
                      .blocks = list_of(part(group, "allocations"), block_of)};
    for (BlockAnswer& block : stack.blocks) block.stack = stack.frames;
    return stack;
  });
}

LeaksAnswer leaks_of(const std::string& text) {
  const Json json = Json::parse(text);
  const Json& summary = part(json, "summary");
  const Json& coverage = part(json, "coverage");
  return {.definitely_lost = total_of(part(summary, "definitely_lost")),
          .indirectly_lost = total_of(part(summary, "indirectly_lost")),
          .possibly_lost = total_of(part(summary, "possibly_lost")),
          .still_reachable = total_of(part(summary, "still_reachable")),
          .suppressed = total_of(part(summary, "suppressed")),
          .records = list_of(part(json, "records"), record_of),
          .notes = value_of<std::vector<std::string>>(coverage, "notes"),
          .complete = value_of<bool>(coverage, "complete")};
}

OwnersAnswer owners_of(const std::string& text) {
  const Json json = Json::parse(text);
  return {.address = value_of<std::uint64_t>(json, "address"),
          .what = value_of<std::string>(json, "what"),
          .kind = value_of<std::string>(json, "class"),
          .description = value_of<std::string>(json, "description"),
          .block = optional_block(part(json, "block")),
          .chain = list_of(part(json, "chain"), link_of),
          .other_roots = list_of(part(json, "other_roots"), link_of),
          .other_blocks = list_of(part(json, "other_blocks"), link_of)};
}

void bind_answers(py::module_& m) {
  py::class_<FrameAnswer>(m, "Frame", "One frame of a call stack, innermost first in its list.")
      .def_readonly("function", &FrameAnswer::function, "Demangled; empty when unknown.")
      .def_readonly("file", &FrameAnswer::file, "Source file; empty when unknown.")
      .def_readonly("line", &FrameAnswer::line, "Source line of the call; 0 when unknown.")
      .def_readonly("module", &FrameAnswer::module, "File name of the program or library.")
      .def_readonly("offset", &FrameAnswer::offset, "Bytes from the function's first one.")
      .def_readonly("address", &FrameAnswer::address, "Return address.")
      .def_readonly("inlined", &FrameAnswer::inlined, "Inlined into the next frame of the list.")
      .def("__repr__", [](const FrameAnswer& f) { return "<Frame " + place(f) + ">"; });

  py::class_<BlockAnswer>(m, "Block", "A block of memory that was allocated and not released.")
      .def_readonly("address", &BlockAnswer::address, "Its first byte.")
      .def_readonly("size", &BlockAnswer::size, "Requested bytes.")
      .def_readonly("kind", &BlockAnswer::kind, "\"malloc\", \"operator new\", \"mmap\" ...")
      .def_readonly("thread", &BlockAnswer::thread, "The kernel's id of the thread; 0: unknown.")
      .def_readonly("age_ms", &BlockAnswer::age_ms, "Milliseconds since the allocation, or None.")
      .def_readonly("stack", &BlockAnswer::stack, "Where it was allocated: a list of Frame.")
      .def("__repr__", [](const BlockAnswer& b) {
        return fmt::format("<Block {:#x}, {} bytes{}{}>", b.address, b.size,
                           b.kind.empty() ? "" : ", ", b.kind);
      });

  py::class_<StackAnswer>(m, "Stack", "The outstanding allocations of one call stack.")
      .def_readonly("bytes", &StackAnswer::bytes, "Requested bytes of all its blocks.")
      .def_readonly("count", &StackAnswer::count, "How many blocks.")
      .def_readonly("frames", &StackAnswer::frames, "A list of Frame, innermost first.")
      .def_readonly("blocks", &StackAnswer::blocks, "A list of Block.")
      .def("__repr__", [](const StackAnswer& s) {
        return fmt::format("<Stack {} bytes in {} allocations from {}>", s.bytes, s.count,
                           s.frames.empty() ? "?" : place(s.frames.front()));
      });

  py::class_<TotalAnswer>(m, "Total", "A line of the leak summary.")
      .def_readonly("bytes", &TotalAnswer::bytes, "Requested bytes.")
      .def_readonly("blocks", &TotalAnswer::blocks, "Number of blocks.")
      .def("__repr__", [](const TotalAnswer& t) {
        return fmt::format("<Total {} bytes in {} blocks>", t.bytes, t.blocks);
      });

  py::class_<RecordAnswer>(m, "LossRecord", "Blocks of one kind from one call stack, as Valgrind's.")
      .def_readonly("kind", &RecordAnswer::kind, "\"definitely lost\", \"still reachable\" ...")
      .def_readonly("bytes", &RecordAnswer::bytes, "Direct bytes.")
      .def_readonly("blocks", &RecordAnswer::blocks, "Direct blocks.")
      .def_readonly("indirect_bytes", &RecordAnswer::indirect_bytes, "Bytes lost with them.")
      .def_readonly("indirect_blocks", &RecordAnswer::indirect_blocks, "Blocks lost with them.")
      .def_readonly("stack", &RecordAnswer::stack, "Where they were allocated: a list of Frame.")
      .def_readonly("members", &RecordAnswer::members, "The blocks: address and size of each.")
      .def("__repr__", [](const RecordAnswer& r) {
        return fmt::format("<LossRecord {}: {} bytes in {} blocks>", r.kind, r.bytes, r.blocks);
      });

  py::class_<LeaksAnswer>(m, "LeakReport", "The reachability scan of the process as it stands.")
      .def_readonly("definitely_lost", &LeaksAnswer::definitely_lost, "No pointer to them was found.")
      .def_readonly("indirectly_lost", &LeaksAnswer::indirectly_lost, "Only lost blocks point there.")
      .def_readonly("possibly_lost", &LeaksAnswer::possibly_lost, "Only pointers to the inside.")
      .def_readonly("still_reachable", &LeaksAnswer::still_reachable, "The program can get there.")
      .def_readonly("suppressed", &LeaksAnswer::suppressed, "Left out on request.")
      .def_readonly("records", &LeaksAnswer::records, "A list of LossRecord.")
      .def_readonly("notes", &LeaksAnswer::notes, "What could not be seen, and what follows.")
      .def_readonly("complete", &LeaksAnswer::complete, "Everything could be seen.")
      .def("__repr__", [](const LeaksAnswer& l) {
        return fmt::format("<LeakReport definitely lost: {} bytes in {} blocks>",
                           l.definitely_lost.bytes, l.definitely_lost.blocks);
      });

  py::class_<LinkAnswer>(m, "Link", "One pointer of the chain that keeps a block alive.")
      .def_readonly("root", &LinkAnswer::root, "What the root is called; empty: it is in `block`.")
      .def_readonly("block", &LinkAnswer::block, "The Block that holds the pointer, or None.")
      .def_readonly("offset", &LinkAnswer::offset, "Bytes from the holder's start to the pointer.")
      .def_readonly("expression", &LinkAnswer::expression, "What the debugger can evaluate.")
      .def_readonly("value", &LinkAnswer::value, "The pointer.")
      .def_readonly("target", &LinkAnswer::target, "Start of the block it points to.")
      .def("__repr__", [](const LinkAnswer& l) {
        return fmt::format("<Link {} = {:#x}>", l.expression, l.value);
      });

  py::class_<OwnersAnswer>(m, "Owners", "What keeps the block at an address alive.")
      .def_readonly("address", &OwnersAnswer::address, "What was asked for.")
      .def_readonly("what", &OwnersAnswer::what, "\"block\", or what else is there.")
      .def_readonly("kind", &OwnersAnswer::kind, "\"still reachable\", \"definitely lost\" ...")
      .def_readonly("description", &OwnersAnswer::description, "Of an address in no block.")
      .def_readonly("block", &OwnersAnswer::block, "The Block, or None.")
      .def_readonly("chain", &OwnersAnswer::chain, "A list of Link, from the root to the block.")
      .def_readonly("other_roots", &OwnersAnswer::other_roots, "Further roots: a list of Link.")
      .def_readonly("other_blocks", &OwnersAnswer::other_blocks, "Further holders: a list of Link.")
      .def("__repr__", [](const OwnersAnswer& o) {
        return fmt::format("<Owners of {:#x}: {}>", o.address, o.block ? o.kind : o.description);
      });
}

}  // namespace heapledger
