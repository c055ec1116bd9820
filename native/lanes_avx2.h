// SPDX-License-Identifier: MIT
// Sixteen floats in AVX2, as two vectors; see product.h. Products of bytes: bytes_avx2.h and
// bytes_avxvnni.h.

struct F {
  __m256 low, high;
};
using S = __m256i;

constexpr int LANES = 8;
constexpr int BESIDE = 1;  // vectors of keys at once, see attention.h

INLINE inline F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE inline void store(float* p, F v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
INLINE inline F all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE inline F add(F a, F b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
INLINE inline F sub(F a, F b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
INLINE inline F mul(F a, F b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
INLINE inline F fma(F a, F b, F c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
INLINE inline F least(F a, F b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
INLINE inline F most(F a, F b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

// Lanes eight apart first, then four, two and one, as all sets do.
template <class Two>
INLINE inline float reduced(F v, const Two& two) {
  __m256 eight = two(v.low, v.high);
  eight = two(eight, _mm256_permute2f128_ps(eight, eight, 1));
  eight = two(eight, _mm256_permute_ps(eight, 0x4E));
  return _mm256_cvtss_f32(two(eight, _mm256_permute_ps(eight, 0xB1)));
}
INLINE inline float total(F v) {
  return reduced(v, [](__m256 a, __m256 b) INLINE { return _mm256_add_ps(a, b); });
}
INLINE inline float least(F v) {
  return reduced(v, [](__m256 a, __m256 b) INLINE { return _mm256_min_ps(a, b); });
}
INLINE inline float most(F v) {
  return reduced(v, [](__m256 a, __m256 b) INLINE { return _mm256_max_ps(a, b); });
}

INLINE inline F whole(F v) { return {_mm256_round_ps(v.low, 8), _mm256_round_ps(v.high, 8)}; }

INLINE inline __m256 power(__m256 v) {
  const auto exponent = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
// 2^v of whole numbers from -126 to 127.
INLINE inline F power(F v) { return {power(v.low), power(v.high)}; }

// Rounded to 0 ... 255.
INLINE inline void store_codes(uint8_t* p, F v) {
  const auto words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.low), _mm256_cvtps_epi32(v.high));
  const auto bytes = _mm256_packus_epi16(words, words);
  const auto order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
  const auto codes = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), codes);
}

INLINE inline S load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
INLINE inline F floats(const S* sum) {
  return {_mm256_cvtepi32_ps(sum[0]), _mm256_cvtepi32_ps(sum[1])};
}
INLINE inline F floats(const int32_t* p) {
  return {_mm256_cvtepi32_ps(load_bytes(p)), _mm256_cvtepi32_ps(load_bytes(p + 8))};
}

INLINE inline void fma_into(F& sum, F a, F b) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.low) : "x"(a.low), "x"(b.low));
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.high) : "x"(a.high), "x"(b.high));
}

INLINE inline S broadcast4(const void* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

INLINE inline S start(const int32_t*) { return _mm256_setzero_si256(); }
