// SPDX-License-Identifier: MIT
// Products of unsigned with signed bytes by AVX-VNNI: as lanes_avx512.h on half the lanes.

constexpr int VECTORS = 2, STEP = 4;
constexpr int ROWS = 6;  // 12 accumulators, 2 weights, 1 broadcast: 15 of 16

template <int M>
INLINE inline void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w,
                                 S (&sum)[M * VECTORS]) {
  S v[VECTORS];
  each<VECTORS>([&](auto n) INLINE { v[n] = load_bytes(w + 32 * n); });
  each<M>([&](auto m) INLINE {
    const auto code = broadcast4(codes + m * stride);
    each<VECTORS>([&](auto n) INLINE {
      asm(VPDPBUSD_YMM " %2, %1, %0" : "+x"(sum[m * VECTORS + n]) : "x"(code), "x"(v[n]));
    });
  });
}
