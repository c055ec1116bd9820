// SPDX-License-Identifier: MIT
// Products of unsigned byte activations, a scale and an offset for each row, with signed byte
// weights, a scale for each column; sums are exact in int32. AVX-512 with VNNI; see trunk.cpp.

constexpr int64_t WIDE = 64;  // columns of a panel: four vectors; every width is a multiple of it
constexpr int ROWS = 6;       // of a tile: 24 accumulators, 4 weights, 1 broadcast: 29 of 32

// weight: [panel][in / 4][64 columns][4 inputs]; scale, offset (scale * sum of the weights) and
// bias: (out). in 0: there is no such product.
struct Product {
  const int8_t* weight;
  const float *scale, *offset, *bias;
  int64_t in, out;
};

// Row i is scale[i] * code + low[i].
struct Codes {
  uint8_t* code;
  float *scale, *low;
};

enum Then { STORE, RELU, GELU, ADD };  // ADD: to what lies there

INLINE inline __m512i dot(__m512i sum, __m512i codes, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights));
  return sum;
}

INLINE inline __m512i broadcast4(const void* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

// Fitted so that x * (0.5 + t P(t^2)), t = x cut to +-4.25, is off by at most 1e-4.
constexpr float GELU_END = 4.25f;
constexpr float GELU_TERMS[] = {-8.503081572e-10f, 7.602649532e-08f,  -2.948482688e-06f,
                                6.568132085e-05f,  -9.418183472e-04f, 9.264489636e-03f,
                                -6.546946615e-02f, 3.984339237e-01f};

INLINE inline __m512 gelu(__m512 x) {
  const auto end = _mm512_set1_ps(GELU_END);
  const auto t = _mm512_max_ps(_mm512_min_ps(x, end), _mm512_sub_ps(_mm512_setzero_ps(), end));
  const auto square = _mm512_mul_ps(t, t);
  auto p = _mm512_set1_ps(GELU_TERMS[0]);
  for (int i = 1; i < 8; ++i) p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(GELU_TERMS[i]));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.5f)));
}

// M rows with one panel.
template <int M, int THEN>
void tile(const Product& p, int64_t panel, const Codes& x, int64_t row, float* y, int64_t stride) {
  __m512i sum[M][4];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < 4; ++n) sum[m][n] = _mm512_setzero_si512();
  const int8_t* w = p.weight + panel * p.in * WIDE;
  const uint8_t* a = x.code + row * p.in;
  for (int64_t k = 0; k < p.in; k += 4, w += 4 * WIDE) {
    __m512i v[4];
    for (int n = 0; n < 4; ++n) v[n] = _mm512_loadu_si512(w + 64 * n);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const auto code = broadcast4(a + m * p.in + k);
      for (int n = 0; n < 4; ++n) sum[m][n] = dot(sum[m][n], code, v[n]);
    }
  }
  for (int n = 0; n < 4; ++n) {
    const int64_t at = panel * WIDE + 16 * n;
    const auto scale = _mm512_loadu_ps(p.scale + at), offset = _mm512_loadu_ps(p.offset + at);
    const auto bias = _mm512_loadu_ps(p.bias + at);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      float* out = y + (row + m) * stride + at;
      auto value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[m][n]), scale);
      value = _mm512_fmadd_ps(value, _mm512_set1_ps(x.scale[row + m]), bias);
      value = _mm512_fmadd_ps(offset, _mm512_set1_ps(x.low[row + m]), value);
      if (THEN == RELU) value = _mm512_max_ps(value, _mm512_setzero_ps());
      if (THEN == GELU) value = gelu(value);
      if (THEN == ADD) value = _mm512_add_ps(value, _mm512_loadu_ps(out));
      _mm512_storeu_ps(out, value);
    }
  }
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
  for (int64_t panel = 0; panel < p.out / WIDE; ++panel) {
    int64_t row = 0;
    for (; row + ROWS <= rows; row += ROWS) tile<ROWS, THEN>(p, panel, x, row, y, stride);
    last_tile<ROWS - 1, THEN>(rows - row, p, panel, x, row, y, stride);
  }
}

// A row made of `count` parts of `width` numbers to codes: its range, zero included, in 255 steps,
// zero itself exact.
inline void quantise(const float* const* parts, int count, int64_t width, const Codes& out,
                     int64_t at) {
  auto low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
  for (int part = 0; part < count; ++part)
    for (int64_t i = 0; i < width; i += 16) {
      const auto v = _mm512_loadu_ps(parts[part] + i);
      low = _mm512_min_ps(low, v), high = _mm512_max_ps(high, v);
    }
  const float least = _mm512_reduce_min_ps(low), range = _mm512_reduce_max_ps(high) - least;
  const float step = range > 1e-30f ? range / 255.0f : 1.0f;
  const auto inverse = _mm512_set1_ps(1.0f / step);
  const auto zero = _mm512_set1_ps(std::nearbyint(-least / step));
  uint8_t* code = out.code + at * count * width;
  for (int part = 0; part < count; ++part)
    for (int64_t i = 0; i < width; i += 16, code += 16) {
      const auto v = _mm512_fmadd_ps(_mm512_loadu_ps(parts[part] + i), inverse, zero);
      const auto whole = _mm512_max_epi32(_mm512_cvtps_epi32(v), _mm512_setzero_si512());
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code), _mm512_cvtusepi32_epi8(whole));
    }
  out.scale[at] = step;
  out.low[at] = -step * _mm512_cvtss_f32(zero);
}

inline void quantise(const float* row, int64_t width, const Codes& out, int64_t at) {
  quantise(&row, 1, width, out, at);
}
