// SPDX-License-Identifier: MIT
// Sixteen floats in NEON, as four vectors; see product.h. Products of bytes: bytes_neon_dot.h and
// bytes_neon_i8mm.h.

struct F {
  float32x4_t at[4];
};
using S = int32x4_t;

constexpr int LANES = 4, VECTORS = 4, STEP = 16;
constexpr int ROWS = 6;    // 24 accumulators, 6 of codes, 1 of weights: 31 of 32
constexpr int BESIDE = 1;  // vectors of keys at once, see attention.h

template <class Each>
INLINE inline F made(const Each& value) {
  return {value(0), value(1), value(2), value(3)};
}
INLINE inline F load(const float* p) {
  return made([&](int i) INLINE { return vld1q_f32(p + 4 * i); });
}
INLINE inline void store(float* p, const F& v) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.at[i]);
}
INLINE inline F all(float x) {
  return made([&](int) INLINE { return vdupq_n_f32(x); });
}
INLINE inline F add(const F& a, const F& b) {
  return made([&](int i) INLINE { return vaddq_f32(a.at[i], b.at[i]); });
}
INLINE inline F sub(const F& a, const F& b) {
  return made([&](int i) INLINE { return vsubq_f32(a.at[i], b.at[i]); });
}
INLINE inline F mul(const F& a, const F& b) {
  return made([&](int i) INLINE { return vmulq_f32(a.at[i], b.at[i]); });
}
INLINE inline F fma(const F& a, const F& b, const F& c) {
  return made([&](int i) INLINE { return vfmaq_f32(c.at[i], a.at[i], b.at[i]); });
}
INLINE inline F least(const F& a, const F& b) {
  return made([&](int i) INLINE { return vminq_f32(a.at[i], b.at[i]); });
}
INLINE inline F most(const F& a, const F& b) {
  return made([&](int i) INLINE { return vmaxq_f32(a.at[i], b.at[i]); });
}

// Lanes eight apart first, then four, two and one, as all sets do.
INLINE inline float total(const F& v) {
  const auto four = vaddq_f32(vaddq_f32(v.at[0], v.at[2]), vaddq_f32(v.at[1], v.at[3]));
  const auto two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
INLINE inline float least(const F& v) {
  return vminvq_f32(vminq_f32(vminq_f32(v.at[0], v.at[1]), vminq_f32(v.at[2], v.at[3])));
}
INLINE inline float most(const F& v) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.at[0], v.at[1]), vmaxq_f32(v.at[2], v.at[3])));
}

INLINE inline F whole(const F& v) {
  return made([&](int i) INLINE { return vrndnq_f32(v.at[i]); });
}

// 2^v of whole numbers from -126 to 127.
INLINE inline F power(const F& v) {
  return made([&](int i) INLINE {
    const auto exponent = vaddq_s32(vcvtnq_s32_f32(v.at[i]), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
  });
}

// Rounded to 0 ... 255.
INLINE inline uint8x16_t codes_of(const F& v) {
  const auto words = [&](int i) INLINE {
    return vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v.at[i])),
                        vqmovn_s32(vcvtnq_s32_f32(v.at[i + 1])));
  };
  return vcombine_u8(vqmovun_s16(words(0)), vqmovun_s16(words(2)));
}

INLINE inline F floats(const S* sum) {
  return made([&](int i) INLINE { return vcvtq_f32_s32(sum[i]); });
}
INLINE inline F floats(const int32_t* p) {
  return made([&](int i) INLINE { return vcvtq_f32_s32(vld1q_s32(p + 4 * i)); });
}

INLINE inline void fma_into(F& sum, const F& a, const F& b) {
  for (int i = 0; i < 4; ++i) sum.at[i] = vfmaq_f32(sum.at[i], a.at[i], b.at[i]);
}

// dot(sum, weights, codes, step): four products a lane, with the codes of this step of four.
template <int M, class Dot>
INLINE inline void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w,
                                 S (&sum)[M * VECTORS], const Dot& dot) {
  uint8x16_t code[M];
  each<M>([&](auto m) INLINE { code[m] = vld1q_u8(codes + m * stride); });
  each<STEP / 4>([&](auto step) INLINE {
    each<VECTORS>([&](auto n) INLINE {
      const auto weight = vld1q_s8(w + 64 * step + 16 * n);
      each<M>([&](auto m) INLINE {
        sum[m * VECTORS + n] = dot(sum[m * VECTORS + n], weight, code[m], step);
      });
    });
  });
}
