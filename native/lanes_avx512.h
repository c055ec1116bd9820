// SPDX-License-Identifier: MIT
// Sixteen floats, and sums of byte products, in AVX-512 with VNNI; see product.h.

using F = __m512;
using S = __m512i;

constexpr int LANES = 16, VECTORS = 4, STEP = 4;
constexpr int ROWS = 6;    // of a tile: 24 accumulators, 4 weights, 1 broadcast: 29 of 32
constexpr int BESIDE = 4;  // vectors of keys at once, see attention.h

INLINE inline F load(const float* p) { return _mm512_loadu_ps(p); }
INLINE inline void store(float* p, F v) { _mm512_storeu_ps(p, v); }
INLINE inline F all(float x) { return _mm512_set1_ps(x); }
INLINE inline F add(F a, F b) { return _mm512_add_ps(a, b); }
INLINE inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
INLINE inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
INLINE inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
INLINE inline F least(F a, F b) { return _mm512_min_ps(a, b); }
INLINE inline F most(F a, F b) { return _mm512_max_ps(a, b); }
INLINE inline float least(F v) { return _mm512_reduce_min_ps(v); }
INLINE inline float most(F v) { return _mm512_reduce_max_ps(v); }

// Lanes eight apart first, then four, two and one, as all sets do.
INLINE inline float total(F v) {
  const auto eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const auto four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const auto two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE inline F whole(F v) { return _mm512_roundscale_ps(v, 0); }

// 2^v of whole numbers from -126 to 127.
INLINE inline F power(F v) {
  const auto exponent = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}

// Rounded to 0 ... 255.
INLINE inline void store_codes(uint8_t* p, F v) {
  const auto code = _mm512_max_epi32(_mm512_cvtps_epi32(v), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(code));
}

INLINE inline F floats(const int32_t* p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
INLINE inline F floats(const S* sum) { return _mm512_cvtepi32_ps(*sum); }

INLINE inline void fma_into(F& sum, F a, F b) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

INLINE inline S broadcast4(const void* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

INLINE inline S start(const int32_t*) { return _mm512_setzero_si512(); }

// Adds STEP inputs of M rows, `stride` apart, with those of a panel.
template <int M>
INLINE inline void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w,
                                 S (&sum)[M * VECTORS]) {
  S v[VECTORS];
  each<VECTORS>([&](auto n) INLINE { v[n] = _mm512_loadu_si512(w + 64 * n); });
  each<M>([&](auto m) INLINE {
    const auto code = broadcast4(codes + m * stride);
    each<VECTORS>([&](auto n) INLINE {
      asm("vpdpbusd %2, %1, %0" : "+v"(sum[m * VECTORS + n]) : "v"(code), "v"(v[n]));
    });
  });
}
