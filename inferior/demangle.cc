// SPDX-License-Identifier: Apache-2.0
//
// A short name may stand for a text that fills all memory: a part that is named again is written out
// again, and may itself name another one twice. abi::__cxa_demangle writes it all. libiberty's demangler,
// which is the same one, gives its text in pieces of up to 255 bytes; it holds no memory but on its stack
// (cp-demangle.c, d_demangle_callback), so that it can be left from there.
#include "inferior/demangle.h"

#define HAVE_DECL_BASENAME 1  // or libiberty.h declares one that contradicts <cstring>
#include <libiberty/demangle.h>

#include <csetjmp>

namespace heapledger {
namespace {

constexpr std::size_t kMostBytes = 1 << 16;  // of a name, and of what it stands for

struct Text {
  std::string written;
  std::jmp_buf full;
};

void take(const char* piece, std::size_t size, void* opaque) {
  auto* text = static_cast<Text*>(opaque);
  if (text->written.size() + size > kMostBytes) std::longjmp(text->full, 1);
  text->written.append(piece, size);
}

// false: the name is none of C++'s, or stands for more than kMostBytes.
bool write_out(const std::string& name, Text& text) {
  if (setjmp(text.full) != 0) return false;
  return cplus_demangle_v3_callback(name.c_str(), DMGL_PARAMS | DMGL_TYPES, take, &text) != 0;
}

}  // namespace

std::string demangled(std::string_view symbol) {
  std::string name(symbol.substr(0, kMostBytes));
  if (!name.starts_with("_Z")) return name;
  Text text;
  return write_out(name, text) ? text.written : name;
}

}  // namespace heapledger
