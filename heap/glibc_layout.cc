// SPDX-License-Identifier: Apache-2.0
#include "heap/glibc_layout.h"

#include <charconv>
#include <string_view>

namespace heapledger {

// struct malloc_state is the same from 2.27 to 2.42. What changed:
//   2.30  tcache counts grew from char to uint16_t
//   2.32  safe-linking ("Add Safe-Linking to fastbins and tcache", a1a486d70ebc)
//   2.35  huge pages: mp_ and heap_info grew
std::optional<GlibcLayout> glibc_layout(unsigned minor) {
  if (minor < 28 || minor > 41) {
    return std::nullopt;
  }
  GlibcLayout layout{};
  layout.parameters = minor < 35 ? GlibcLayout::Parameters{0, 0x28, 0x38, 0x48, 0x70}
                                 : GlibcLayout::Parameters{0x30, 0x3c, 0x50, 0x60, 0x88};
  layout.tcache =
      minor < 30 ? GlibcLayout::Tcache{1, 0x40, 0x240} : GlibcLayout::Tcache{2, 0x80, 0x280};
  layout.heap_info_size = minor < 35 ? 0x20 : 0x30;
  layout.safe_linking = minor >= 32;
  return layout;
}

std::optional<unsigned> glibc_minor(const ElfFile& libc) {
  const auto bytes = libc.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const std::string_view sign :
       {"stable release version 2.", "development release version 2."}) {
    const std::size_t at = text.find(sign);
    if (at == std::string_view::npos) {
      continue;
    }
    const std::string_view number = text.substr(at + sign.size(), 3);
    unsigned minor = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), minor).ec == std::errc{}) {
      return minor;
    }
  }
  return std::nullopt;
}

}  // namespace heapledger
