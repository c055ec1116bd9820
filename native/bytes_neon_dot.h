// SPDX-License-Identifier: MIT
// Products of signed bytes: codes lie there moved down by 128, and each sum starts at 128 times
// that of its weights.

INLINE inline void store_codes(uint8_t* p, const F& v) {
  vst1q_u8(p, veorq_u8(codes_of(v), vdupq_n_u8(128)));
}

INLINE inline S start(const int32_t* sums) { return vshlq_n_s32(vld1q_s32(sums), 7); }

template <int M>
INLINE inline void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w,
                                 S (&sum)[M * VECTORS]) {
  multiply_step<M>(codes, stride, w, sum,
                   [](S acc, int8x16_t weight, uint8x16_t code, auto step) INLINE {
                     return vdotq_laneq_s32(acc, weight, vreinterpretq_s8_u8(code), step);
                   });
}
