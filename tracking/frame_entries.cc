// SPDX-License-Identifier: Apache-2.0
#include "tracking/frame_entries.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>

#include <string_view>
#include <unordered_map>
#include <utility>

namespace heapledger {
namespace {

constexpr std::uint64_t kReturnAddressColumn = 16;  // rip
constexpr std::uint8_t kAbsolutePointer = 0;        // DW_EH_PE_absptr

constexpr unsigned char kIdent[EI_NIDENT] = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                             ELFCLASS64, ELFDATA2LSB, EV_CURRENT};

std::span<const std::byte> between(const std::uint8_t* begin, const std::uint8_t* end) {
  if (begin == nullptr || end < begin) return {};
  return std::as_bytes(std::span(begin, end));
}

class Parser {
 public:
  explicit Parser(const FrameSection& section) : section_(section) {
    data_.d_buf = const_cast<std::byte*>(section.bytes.data());  // libelf's type; it is only read
    data_.d_size = section.bytes.size();
    data_.d_type = ELF_T_BYTE;
    data_.d_version = EV_CURRENT;
  }

  FrameEntries parse() {
    std::uint64_t offset = 0;
    while (offset < section_.bytes.size()) {
      Dwarf_CFI_Entry entry;
      Dwarf_Off next = offset;
      const int status = dwarf_next_cfi(kIdent, &data_, section_.eh_frame, offset, &next, &entry);
      if (status == 0 && !dwarf_cfi_cie_p(&entry)) add(entry.fde);
      if (status == 1 && section_.sized && is_terminator(offset)) next = offset + 4;
      if (next <= offset) break;
      offset = next;
    }
    return std::move(result_);
  }

 private:
  // Objects linked after crtend.o stand behind the terminator; the table of .eh_frame_hdr has them.
  bool is_terminator(std::uint64_t offset) const {
    return ByteCursor(section_.bytes.subspan(offset), 0).fixed<std::uint32_t>() == 0;
  }

  ByteCursor cursor(std::span<const std::byte> bytes) const {
    return {bytes, section_.address + std::uint64_t(bytes.data() - section_.bytes.data())};
  }

  void add(const Dwarf_FDE& fde) {
    const std::uint32_t index = cie_at(fde.CIE_pointer);
    const Cie& cie = result_.cies[index];
    if (!cie.usable) return;
    ByteCursor at = cursor(between(fde.start, fde.end));
    const std::uint8_t encoding = cie.context.pointer_encoding;
    const auto begin = read_encoded_pointer(at, encoding);
    const auto size = read_encoded_pointer(at, encoding & 0x0f);
    if (!begin || !size || *begin == 0 || *size == 0 || *begin + *size < *begin) return;
    at.take(cie.augmented ? at.uleb() : cie.fde_data_size);
    if (at.failed()) return;
    FrameEntry entry{*begin, *begin + *size, index};
    if (cie.signal) entry.fixed = agent::RuleBody{0, 0, std::uint8_t(agent::RuleType::signal), 0};
    entry.program = at.rest();
    entry.program_address = at.address();
    result_.entries.push_back(entry);
  }

  std::uint32_t cie_at(std::uint64_t offset) {
    if (offset == last_offset_) return last_index_;
    const auto [known, is_new] = index_of_.try_emplace(offset, std::uint32_t(result_.cies.size()));
    if (is_new) result_.cies.push_back(read_cie(offset));
    last_offset_ = offset;
    last_index_ = known->second;
    return last_index_;
  }

  Cie read_cie(std::uint64_t offset) {
    Cie cie;
    Dwarf_CFI_Entry entry;
    Dwarf_Off next;
    if (offset >= section_.bytes.size() ||
        dwarf_next_cfi(kIdent, &data_, section_.eh_frame, offset, &next, &entry) != 0 ||
        !dwarf_cfi_cie_p(&entry)) {
      return cie;
    }
    const Dwarf_CIE& raw = entry.cie;
    cie.context.code_alignment = raw.code_alignment_factor;
    cie.context.data_alignment = raw.data_alignment_factor;
    cie.fde_data_size = raw.fde_augmentation_data_size;
    cie.usable = raw.return_address_register == kReturnAddressColumn && read_augmentation(raw, cie);
    if (cie.usable) {
      cie.context.initial = initial_row(
          cie.context, cursor(between(raw.initial_instructions, raw.initial_instructions_end)));
    }
    return cie;
  }

  bool read_augmentation(const Dwarf_CIE& raw, Cie& cie) {
    cie.context.pointer_encoding = kAbsolutePointer;
    std::string_view letters(raw.augmentation);
    if (letters.empty() || letters == "eh") return true;
    const auto* data = raw.augmentation_data;
    ByteCursor at = cursor(data == nullptr ? std::span<const std::byte>()
                                           : between(data, data + raw.augmentation_data_size));
    if (letters.front() == 'z') {
      cie.augmented = true;
      letters.remove_prefix(1);
    }
    for (const char letter : letters) {
      if (letter == 'R') {
        cie.context.pointer_encoding = at.fixed<std::uint8_t>();
      } else if (letter == 'L') {
        at.fixed<std::uint8_t>();
      } else if (letter == 'P') {
        // The value may be indirect; only its size matters here.
        const auto encoding = at.fixed<std::uint8_t>();
        if (!read_encoded_pointer(at, encoding == 0x50 ? encoding : encoding & 0x0f)) return false;
      } else if (letter == 'S') {
        cie.signal = true;
      } else {
        return cie.augmented;  // with z, what follows can be skipped
      }
    }
    return !at.failed();
  }

  const FrameSection& section_;
  Elf_Data data_{};
  FrameEntries result_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_of_;  // CIE offset -> index
  std::uint64_t last_offset_ = ~std::uint64_t{0};
  std::uint32_t last_index_ = 0;
};

}  // namespace

FrameEntries parse_frame_entries(const FrameSection& section) { return Parser(section).parse(); }

}  // namespace heapledger
