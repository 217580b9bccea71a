// SPDX-License-Identifier: Apache-2.0
#include "report/frame_format.h"

#include <fmt/format.h>

#include "inferior/printable.h"
#include "report/numbers.h"

namespace heapledger {
namespace {

std::string place(const SymbolFrame& frame) {
  if (frame.file.empty()) return "";
  if (frame.line == 0) return std::string(file_name(frame.file));
  return fmt::format("{}:{}", file_name(frame.file), frame.line);
}

std::string module_or_unknown(const SymbolFrame& frame) {
  return frame.module.empty() ? "unknown" : frame.module;
}

}  // namespace

std::string memleak_frame(const SymbolFrame& frame) {
  if (frame.function.empty()) {
    if (frame.module.empty()) return fmt::format("{:#x} [unknown]", frame.address);
    return fmt::format("{:#x} [{}+{:#x}]", frame.address, frame.module, frame.module_offset);
  }
  std::string text =
      frame.inlined
          ? fmt::format("{} [inlined] [{}]", frame.function, module_or_unknown(frame))
          : fmt::format("{}+{:#x} [{}]", frame.function, frame.offset, module_or_unknown(frame));
  const std::string where = place(frame);
  return where.empty() ? text : text + " " + where;
}

std::string valgrind_frame(const SymbolFrame& frame, const Mappings& mappings) {
  std::string text = fmt::format("0x{:X}: {}", frame.address,
                                 frame.function.empty() ? "???" : frame.function);
  const std::string where = place(frame);
  if (!where.empty()) return fmt::format("{} ({})", text, where);
  const Mapping* mapping = find_mapping(mappings, frame.address - 1);
  if (mapping != nullptr && mapping->is_file()) {
    return fmt::format("{} (in {})", text, one_line(mapping->name));
  }
  return frame.module.empty() ? text : fmt::format("{} (in {})", text, frame.module);
}

Json frame_json(const SymbolFrame& frame) {
  return Json{{"function", frame.function},
              {"file", frame.file},
              {"line", frame.line},
              {"module", frame.module},
              {"offset", frame.offset},
              {"address", frame.address},
              {"module_offset", frame.module_offset},
              {"inlined", frame.inlined}};
}

Json frames_json(std::span<const SymbolFrame> frames) {
  Json list = Json::array();
  for (const SymbolFrame& frame : frames) list.push_back(frame_json(frame));
  return list;
}

Json shape_json(const BlockShape& shape) {
  const bool object = shape.guess == BlockShape::Guess::object;
  const bool text = shape.guess == BlockShape::Guess::text;
  return Json{{"min_size", shape.min_size},
              {"max_size", shape.max_size},
              {"guess", object ? Json("object") : text ? Json("text") : Json(nullptr)},
              {"type", object ? Json(shape.type) : Json(nullptr)}};
}

// As JSON may have them in a string, DEL and U+0080 to U+009F stand there as they are: a terminal would
// obey, and printable() would make no JSON of them.
std::string json_text(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte == 0x7f) {
      shown += "\\u007f";
    } else if (byte == 0xc2 && next < 0xa0) {
      shown += fmt::format("\\u{:04x}", next);
      ++i;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

}  // namespace heapledger
