// SPDX-License-Identifier: MIT
// Products of unsigned with signed bytes in AVX2. vpmaddubsw adds two of them in 16 bits, and two
// such sums are added before they become 32 bits: 255 (a + b + c + d) fits, as int8.py makes the
// positive ones of four weights, and the negative ones, sum up to 128 at most.

constexpr int VECTORS = 2, STEP = 8;
constexpr int ROWS = 4;  // 8 accumulators, 2 weights, 2 codes, 2 sums, 1 of ones: 15 of 16

template <int M>
INLINE inline void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w,
                                 S (&sum)[M * VECTORS]) {
  const auto* next = reinterpret_cast<const __m256i*>(w + 32 * VECTORS);
  const auto ones = _mm256_set1_epi16(1);
  S v[VECTORS];
  each<VECTORS>([&](auto n) INLINE { v[n] = load_bytes(w + 32 * n); });
  each<M>([&](auto m) INLINE {
    const auto first = broadcast4(codes + m * stride);
    const auto second = broadcast4(codes + m * stride + 4);
    each<VECTORS>([&](auto n) INLINE {
      S two, four;
      asm("vpmaddubsw %5, %3, %1\n\t"
          "vpmaddubsw %6, %4, %2\n\t"
          "vpaddw %2, %1, %1\n\t"
          "vpmaddwd %7, %1, %1\n\t"
          "vpaddd %1, %0, %0"
          : "+x"(sum[m * VECTORS + n]), "=&x"(two), "=&x"(four)
          : "x"(first), "x"(second), "x"(v[n]), "m"(next[n]), "x"(ones));
    });
  });
}
