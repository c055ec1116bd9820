// SPDX-License-Identifier: MIT
// Products of unsigned with signed bytes.

INLINE inline void store_codes(uint8_t* p, const F& v) { vst1q_u8(p, codes_of(v)); }

INLINE inline S start(const int32_t*) { return vdupq_n_s32(0); }

template <int M>
INLINE inline void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w,
                                 S (&sum)[M * VECTORS]) {
  multiply_step<M>(codes, stride, w, sum,
                   [](S acc, int8x16_t weight, uint8x16_t code, auto step)
                       INLINE { return vsudotq_laneq_s32(acc, weight, code, step); });
}
