// SPDX-License-Identifier: Apache-2.0
#include "analysis/word_filter.h"

#include <immintrin.h>

#include <bit>

namespace heapledger {
namespace {

struct Bounds {
  std::uint64_t begin1, size1, begin2, size2;
};

std::size_t select_scalar(const std::uint64_t* words, std::size_t from, std::size_t count,
                          const Bounds& b, std::uint32_t* out) {
  std::size_t n = 0;
  for (std::size_t i = from; i < count; ++i) {
    out[n] = static_cast<std::uint32_t>(i);
    n += words[i] - b.begin1 < b.size1 || words[i] - b.begin2 < b.size2;
  }
  return n;
}

// word - begin < size, unsigned, as a signed comparison of values with the sign bit flipped.
[[gnu::target("avx2")]] __m256i within(__m256i words, __m256i begin, __m256i flipped_size) {
  const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
  return _mm256_cmpgt_epi64(flipped_size, _mm256_xor_si256(_mm256_sub_epi64(words, begin), sign));
}

[[gnu::target("avx2")]] std::size_t select_avx2(const std::uint64_t* words, std::size_t count,
                                                const Bounds& b, std::uint32_t* out) {
  const __m256i begin1 = _mm256_set1_epi64x(static_cast<long long>(b.begin1));
  const __m256i begin2 = _mm256_set1_epi64x(static_cast<long long>(b.begin2));
  const __m256i size1 = _mm256_set1_epi64x(static_cast<long long>(b.size1 ^ (1ull << 63)));
  const __m256i size2 = _mm256_set1_epi64x(static_cast<long long>(b.size2 ^ (1ull << 63)));
  std::size_t n = 0;
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i + 4));
    const __m256i low_hit = _mm256_or_si256(within(low, begin1, size1), within(low, begin2, size2));
    const __m256i high_hit =
        _mm256_or_si256(within(high, begin1, size1), within(high, begin2, size2));
    unsigned mask = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(low_hit))) |
                    static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(high_hit))) << 4;
    for (; mask != 0; mask &= mask - 1) {
      out[n++] = static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(std::countr_zero(mask));
    }
  }
  return n + select_scalar(words, i, count, b, out + n);
}

}  // namespace

WordFilter::WordFilter(std::span<const Block> blocks) {
  if (blocks.empty()) return;
  const auto end_of = [](const Block& b) { return b.start + b.size + 1; };  // one past the end: see edges
  std::size_t split = blocks.size();
  Address widest = 0;
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    const Address gap = blocks[i].start - blocks[i - 1].start;
    if (gap > widest) {
      widest = gap;
      split = i;
    }
  }
  first_ = {blocks[0].start, end_of(blocks[split - 1])};
  if (split < blocks.size()) second_ = {blocks[split].start, end_of(blocks.back())};
}

std::size_t WordFilter::select(std::span<const std::uint64_t> words, std::uint32_t* out) const {
  const Bounds bounds{first_.begin, first_.size(), second_.begin, second_.size()};
  static const bool avx2 = __builtin_cpu_supports("avx2");
  return avx2 ? select_avx2(words.data(), words.size(), bounds, out)
              : select_scalar(words.data(), 0, words.size(), bounds, out);
}

}  // namespace heapledger
