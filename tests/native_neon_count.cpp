// SPDX-License-Identifier: MIT
// Work for an emulator that counts instructions. The argument: `trunk` runs a block of ViT-S with
// adapters on 257 tokens by neon_dot; `bytes` only its products and their quantisation; `floats`
// the same products in float32, as well as NEON can; `nothing` only prepares all that.

#include "../native/trunk.cpp"

#include <cstdio>
#include <string>

namespace {

constexpr int64_t TOKENS = 257, DIM = 384, ADAPTER = 192, WIDEST = 4 * DIM;
constexpr int64_t SHAPES[8][2] = {{DIM, 3 * DIM}, {DIM, DIM},    {DIM, ADAPTER}, {ADAPTER, DIM},
                                  {DIM, WIDEST},  {WIDEST, DIM}, {DIM, ADAPTER}, {ADAPTER, DIM}};

// 6 rows with 16 columns: 24 accumulators, 6 vectors of activations, 1 of weights.
void float_tile(const float* x, int64_t in, const float* w, float* y, int64_t out) {
  float32x4_t sum[6][4] = {};
  for (int64_t k = 0; k < in; k += 4) {
    float32x4_t a[6];
    for (int m = 0; m < 6; ++m) a[m] = vld1q_f32(x + m * in + k);
    const auto step = [&](auto lane) INLINE {
      for (int n = 0; n < 4; ++n) {
        const auto v = vld1q_f32(w + (k + lane) * 16 + 4 * n);
        for (int m = 0; m < 6; ++m) sum[m][n] = vfmaq_laneq_f32(sum[m][n], v, a[m], lane);
      }
    };
    step(std::integral_constant<int, 0>{}), step(std::integral_constant<int, 1>{});
    step(std::integral_constant<int, 2>{}), step(std::integral_constant<int, 3>{});
  }
  for (int m = 0; m < 6; ++m)
    for (int n = 0; n < 4; ++n) vst1q_f32(y + m * out + 4 * n, sum[m][n]);
}

}  // namespace

int main(int, char** words) {
  const std::string what = words[1];
  const int64_t rows = (TOKENS + 5) / 6 * 6;
  Array<float> x(rows * WIDEST), y(rows * WIDEST + 2 * rows), w(WIDEST * WIDEST), ones(WIDEST);
  Array<int8_t> weight(WIDEST * WIDEST);
  Array<uint8_t> code(rows * WIDEST);
  Array<int32_t> sums(WIDEST);
  for (int64_t i = 0; i < rows * WIDEST; ++i) x[i] = i % 7 - 3.0f;
  for (int64_t i = 0; i < WIDEST; ++i) ones[i] = 1.0f;
  Product p[8];
  for (int i = 0; i < 8; ++i)
    p[i] = {weight.get(), ones.get(), sums.get(), ones.get(), SHAPES[i][0], SHAPES[i][1]};
  const Codes codes{code.get(), y.get(), y.get() + rows};
  if (what == "trunk") {
    const float* n = ones.get();
    const Block block{n, n, n, n, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
    void* trunk = selavpr_trunk_new(NEON_DOT, &block, 1, TOKENS, DIM, WIDEST, 1e-6f, 1);
    selavpr_trunk_run(trunk, x.get());
    selavpr_trunk_delete(trunk);
  }
  for (const auto& one : p) {
    if (what == "bytes") {
      for (int64_t r = 0; r < TOKENS; ++r)
        neon_dot::quantise(x.get() + r * one.in, one.in, codes, r);
      neon_dot::multiply<STORE>(one, codes, TOKENS, y.get() + 2 * rows, one.out);
    }
    if (what == "floats")
      for (int64_t column = 0; column < one.out; column += 16)
        for (int64_t row = 0; row < rows; row += 6)
          float_tile(x.get() + row * one.in, one.in, w.get() + column * one.in,
                     y.get() + row * one.out + column, one.out);
  }
  std::printf("%g\n", y[17]);
}
