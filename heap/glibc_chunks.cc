// SPDX-License-Identifier: Apache-2.0
//
// The chunk walk and how it finds its feet again after a damaged header.
#include "heap/glibc_chunks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "heap/window.h"
#include "inferior/huge_pages.h"

namespace heapledger {
namespace {

constexpr std::size_t kMostBreaks =
    256;  // of one region; the rest of a region so damaged is unknown
constexpr std::uint64_t kMostResumed = std::uint64_t{16} << 30;  // bytes; an eighth of a bit each
constexpr std::uint64_t kMostReserved = 1u << 26;                // blocks
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kUsualChunk = 48;  // bytes; smaller ones make the list grow

class Walk {
 public:
  Walk(const Memory& memory, const ChunkRegion& region, std::span<const Address> listed, Chunks& out)
      : window_(memory),
        back_(memory),
        region_(region),
        end_(region.range.end),
        listed_(listed.subspan(static_cast<std::size_t>(
            std::lower_bound(listed.begin(), listed.end(), region.range.begin) - listed.begin()))),
        out_(out) {}

  void run();

 private:
  // Where the walk goes on after the chunk at `at`; nothing when the region is done.
  std::optional<Address> step(Address at);
  std::optional<Address> after_damage(Address at, Address resume_from, std::string_view what);
  std::optional<Address> after_fence(Address at);

  static std::uint64_t size_in(std::uint64_t word) { return word & ~kSizeFlags; }
  bool is_sound(Address at, std::uint64_t word) const;
  bool is_fence(Window& window, Address at) const;
  bool is_end(Window& window, Address at) const { return at == end_ || is_fence(window, at); }
  void mark_chains();
  bool is_listed(Address user);
  bool chains_from(Address at) const {
    const std::size_t place = (at - region_.range.begin) / 16;
    return place < chains_.size() && chains_[place];
  }

  Window window_;
  Window back_;  // read from high to low addresses
  const ChunkRegion& region_;
  const Address end_;
  std::span<const Address> listed_;  // those not passed yet
  Chunks& out_;
  std::vector<bool> chains_;  // per 16 bytes: a chain of sound chunks leads from here to an end
  std::size_t breaks_ = 0;
  Address previous_ = 0;  // chunk before the one at hand; its size may be the wrong one
};

// In the main arena no chunk has the flag of the others; free chunks have it in no arena.
bool Walk::is_sound(Address at, std::uint64_t word) const {
  const std::uint64_t size = size_in(word);
  return size >= kMinChunk && size % 16 == 0 && size <= end_ - at && (word & kMapped) == 0 &&
         (!region_.is_main || (word & kNonMainArena) == 0);
}

// End markers are chunks too small to be any: 16 | PREV_INUSE, then (other arenas) 0 | PREV_INUSE
// or (main arena) another 16 | PREV_INUSE. In front of a short remainder the first one is 32 bytes.
bool Walk::is_fence(Window& window, Address at) const {
  const std::uint64_t first = window.word(at + 8).value_or(0);
  const std::uint64_t second = window.word(at + 24).value_or(0);
  if (region_.is_main) {
    return (first & ~kPreviousInUse) == 16 && second == (16 | kPreviousInUse);
  }
  if (end_ - at <= 32) {
    return size_in(first) <= 16;
  }
  return end_ - at <= 48 && size_in(first) == 32 && (first & kNonMainArena) == 0 &&
         size_in(window.word(at + 40).value_or(~0ull)) == 0;
}

// From high to low addresses, so that one pass decides every place.
void Walk::mark_chains() {
  if (region_.range.size() > kMostResumed) {
    breaks_ = kMostBreaks;
    chains_.assign(1, false);
    return;
  }
  const std::size_t places = region_.range.size() / 16;
  chains_.assign(places + 1, false);
  for (std::size_t i = places; i-- > 0;) {
    const Address at = region_.range.begin + 16 * i;
    const auto readable = back_.word(at + 8);
    if (!readable) {  // nor is the rest of its page
      i -= std::min<std::size_t>(i, at % kPage / 16);
      continue;
    }
    const std::uint64_t word = *readable;
    if (!is_sound(at, word)) {
      chains_[i] = region_.is_main ? false : !region_.ends_at_top && is_fence(back_, at);
      continue;
    }
    const Address next = at + size_in(word);
    if (!is_end(back_, next) && !chains_from(next)) {
      continue;
    }
    const bool used = (back_.word(next + 8).value_or(1) & kPreviousInUse) != 0;
    chains_[i] =
        used ? region_.is_main || (word & kNonMainArena) != 0 : back_.word(next) == size_in(word);
  }
}

std::optional<Address> Walk::after_damage(Address at, Address resume_from, std::string_view what) {
  if (chains_.empty()) {
    mark_chains();
  }
  Address resume = resume_from;
  if (++breaks_ > kMostBreaks) {  // or nothing is known of where to go on
    resume = end_;
  }
  while (resume < end_ && !chains_from(resume)) {
    resume += 16;
  }
  resume = std::min(resume, end_);
  out_.unknown.push_back({at, resume});
  out_.messages.push_back(
      fmt::format("chunk {:#x} is damaged ({}; behind chunk {:#x}); {} bytes unclassified", at,
                  what, previous_, resume - at));
  return resume < end_ ? std::optional(resume) : std::nullopt;
}

// Behind the end markers of a main arena lies what somebody else got from sbrk, then more chunks.
std::optional<Address> Walk::after_fence(Address at) {
  if (!region_.is_main) {
    return std::nullopt;
  }
  if (chains_.empty()) {
    mark_chains();
  }
  for (Address next = at + 32; next < end_ && breaks_ < kMostBreaks; next += 16) {
    if (chains_from(next)) {
      return next;
    }
  }
  out_.unknown.push_back({at + 32, end_});
  out_.messages.push_back(
      fmt::format("no chunk was found behind the end marker {:#x}; {} bytes "
                  "unclassified",
                  at, end_ - at - 32));
  return std::nullopt;
}

// Called with rising addresses.
bool Walk::is_listed(Address user) {
  while (!listed_.empty() && listed_.front() < user) {
    listed_ = listed_.subspan(1);
  }
  return !listed_.empty() && listed_.front() == user;
}

std::optional<Address> Walk::step(Address at) {
  if (is_fence(window_, at)) {
    return after_fence(at);
  }
  const auto word = window_.word(at + 8);
  if (!word) {
    return after_damage(at, at + 16, "unreadable");
  }
  if (!is_sound(at, *word)) {
    return after_damage(at, at + 16, fmt::format("size word {:#x}", *word));
  }
  const std::uint64_t size = size_in(*word);
  const Address next = at + size;
  const std::uint64_t next_word = window_.word(next + 8).value_or(0);
  if (!is_end(window_, next) && !is_sound(next, next_word)) {
    // Either this size is wrong (sound chunks begin before `next`) or the next header is.
    if (chains_.empty()) {
      mark_chains();
    }
    for (Address inner = at + kMinChunk; inner < next && breaks_ < kMostBreaks; inner += 16) {
      if (chains_from(inner)) {
        return after_damage(at, inner, fmt::format("size word {:#x}", *word));
      }
    }
    out_.used.push_back({at + kChunkHeader, size - 8});  // whether it is free stood in the damage
    return next;
  }
  if ((next_word & kPreviousInUse) == 0) {
    if (window_.word(next) != size) {
      return after_damage(
          at, at + kMinChunk,
          fmt::format("free, but {:#x} follows size {:#x}", window_.word(next).value_or(0), size));
    }
    out_.free.push_back({at + kChunkHeader, size - 8});
  } else if (is_listed(at + kChunkHeader)) {
    out_.free.push_back({at + kChunkHeader, size - 8});
    ++out_.listed_free;
  } else if (!region_.is_main && (*word & kNonMainArena) == 0) {
    return after_damage(at, at + kMinChunk,
                        fmt::format("size word {:#x} names another arena", *word));
  } else {
    out_.used.push_back({at + kChunkHeader, size - 8});
  }
  return next;
}

void Walk::run() {
  std::optional<Address> at = region_.range.begin;
  while (at && *at < end_) {
    const Address done = *at;
    at = step(done);
    previous_ = done;
  }
}

}  // namespace

void walk_chunks(const Memory& memory, const ChunkRegion& region, std::span<const Address> listed,
                 Chunks& out) {
  // A region is as large as the program says; its memory may not have been touched.
  reserve_huge(out.used, out.used.size() + std::min(region.range.size() / kUsualChunk, kMostReserved));
  Walk(memory, region, listed, out).run();
}

}  // namespace heapledger
