// SPDX-License-Identifier: MIT
// Products of unsigned byte activations, a scale and an offset for each row, with signed byte
// weights, a scale for each column; sums are exact in int32.
//
// Included once for each instruction set inside a namespace and a target region, after what this
// set makes of F, sixteen floats, and S, LANES sums of products of bytes: lanes_*.h, bytes_*.h.
// Every set rounds in the same places, so all give the same bits.

// Columns of a panel; weights: [panel][in / 4][PANEL columns][4 inputs].
constexpr int64_t PANEL = LANES * VECTORS;

// Fitted so that x * (0.5 + t P(t^2)), t = x cut to +-4.25, is off by at most 1e-4.
constexpr float GELU_END = 4.25f;
constexpr float GELU_TERMS[] = {-8.503081572e-10f, 7.602649532e-08f,  -2.948482688e-06f,
                                6.568132085e-05f,  -9.418183472e-04f, 9.264489636e-03f,
                                -6.546946615e-02f, 3.984339237e-01f};

INLINE inline F gelu(F x) {
  const auto t = most(least(x, all(GELU_END)), all(-GELU_END));
  const auto square = mul(t, t);
  auto p = all(GELU_TERMS[0]);
  for (int i = 1; i < 8; ++i) p = fma(p, square, all(GELU_TERMS[i]));
  return mul(x, fma(p, t, all(0.5f)));
}

// M rows with one panel.
template <int M, int THEN>
void tile(const Product& p, int64_t panel, const Codes& x, int64_t row, float* y, int64_t stride) {
  S sum[M * VECTORS];
  each<VECTORS>([&](auto n) INLINE {
    const auto first = start(p.sums + panel * PANEL + n * LANES);
    each<M>([&](auto m) INLINE { sum[m * VECTORS + n] = first; });
  });
  const int8_t* w = p.weight + panel * p.in * PANEL;
  const uint8_t* a = x.code + row * p.in;
  for (int64_t k = 0; k < p.in; k += STEP, w += STEP * PANEL)
    multiply_step<M>(a + k, p.in, w, sum);
  each<PANEL / 16>([&](auto n) INLINE {
    const int64_t at = panel * PANEL + 16 * n;
    const auto scale = load(p.scale + at), bias = load(p.bias + at);
    const auto offset = mul(scale, floats(p.sums + at));
    each<M>([&](auto m) INLINE {
      float* out = y + (row + m) * stride + at;
      auto value = mul(floats(sum + m * VECTORS + n * (16 / LANES)), scale);
      value = fma(value, all(x.scale[row + m]), bias);
      value = fma(offset, all(x.low[row + m]), value);
      if (THEN == RELU) value = most(value, all(0.0f));
      if (THEN == GELU) value = gelu(value);
      if (THEN == ADD) value = add(value, load(out));
      store(out, value);
    });
  });
}

template <int M, int THEN>
void last_tile(int64_t left, const Product& p, int64_t panel, const Codes& x, int64_t row,
               float* y, int64_t stride) {
  if constexpr (M > 0) {
    if (left == M) return tile<M, THEN>(p, panel, x, row, y, stride);
    last_tile<M - 1, THEN>(left, p, panel, x, row, y, stride);
  }
}

// y (rows, stride) of codes (rows, in): a panel of weights stays in the cache for all rows.
template <int THEN>
void multiply(const Product& p, const Codes& x, int64_t rows, float* y, int64_t stride) {
  for (int64_t panel = 0; panel < p.out / PANEL; ++panel) {
    int64_t row = 0;
    for (; row + ROWS <= rows; row += ROWS) tile<ROWS, THEN>(p, panel, x, row, y, stride);
    last_tile<ROWS - 1, THEN>(rows - row, p, panel, x, row, y, stride);
  }
}

// A row made of `count` parts of `width` numbers to codes: its range, zero included, in 255 steps,
// zero itself exact.
inline void quantise(const float* const* parts, int count, int64_t width, const Codes& out,
                     int64_t at) {
  auto low = all(0.0f), high = all(0.0f);
  for (int part = 0; part < count; ++part)
    for (int64_t i = 0; i < width; i += 16) {
      const auto v = load(parts[part] + i);
      low = least(low, v), high = most(high, v);
    }
  const float lowest = least(low), range = most(high) - lowest;
  const float step = range > 1e-30f ? range / 255.0f : 1.0f;
  const auto inverse = all(1.0f / step);
  const float zero = std::nearbyint(-lowest / step);
  uint8_t* code = out.code + at * count * width;
  for (int part = 0; part < count; ++part)
    for (int64_t i = 0; i < width; i += 16, code += 16)
      store_codes(code, fma(load(parts[part] + i), inverse, all(zero)));
  out.scale[at] = step;
  out.low[at] = -step * zero;
}

inline void quantise(const float* row, int64_t width, const Codes& out, int64_t at) {
  quantise(&row, 1, width, out, at);
}
