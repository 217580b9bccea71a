// SPDX-License-Identifier: Apache-2.0
//
// One stack frame as text, in the two styles users know, and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "analysis/block_shapes.h"
#include "inferior/mappings.h"
#include "inferior/target.h"

namespace heapledger {

using Json = nlohmann::ordered_json;  // keys in the order they are documented

// bcc memleak's: "fibonacci+0x1f [app] fib.c:12", "twice [inlined] [app] fib.c:9",
// "0x7f12a0 [libfoo.so+0x12a0]", "0x7f12a0 [unknown]".
std::string memleak_frame(const SymbolFrame& frame);

// Valgrind's: "0x10918E: mk(int) (t.cpp:6)", "0x4841F2F: malloc (in /lib/libc.so.6)",
// "0x48: ??? (in /lib/libfoo.so)", "0x48: ???". The path comes from `mappings`.
std::string valgrind_frame(const SymbolFrame& frame, const Mappings& mappings);

Json frame_json(const SymbolFrame& frame);
Json frames_json(std::span<const SymbolFrame> frames);
Json shape_json(const BlockShape& shape);

// Text of a JSON value; bytes that are not UTF-8 (a hostile file name) are replaced, never thrown at.
std::string json_text(const Json& value);

}  // namespace heapledger
