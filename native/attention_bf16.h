// SPDX-License-Identifier: MIT
// Attention of heads of 64 channels in bf16 with sums and softmax in float32. AVX-512 with BF16.

constexpr int QUERIES = 6;           // at once: 24 accumulators
constexpr int VALUE_ROWS = 2;        // whose values are kept at once
constexpr int64_t WORDS = HEAD / 2;  // of 32 bits that a head's channels take

INLINE inline __m512 dot(__m512 sum, __m512i a, __m512i b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

// 32 floats as bf16, in order.
INLINE inline __m512i halves(const float* p) {
  return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(p + 16), _mm512_loadu_ps(p));
}

// Keys and values of all heads as the products below read them, rows beyond the last one zero.
// keys: [head][16 keys][32 pairs of channels][key]; values: [head][pair of keys][channel].
struct Memory {
  uint32_t *keys, *values;
  int64_t tokens, padded;

  Memory(void* keys_, void* values_, int64_t tokens_, int64_t padded_)
      : keys(static_cast<uint32_t*>(keys_)), values(static_cast<uint32_t*>(values_)),
        tokens(tokens_), padded(padded_) {}

  uint32_t* keys_of(int64_t head) const { return keys + head * padded * HEAD / 2; }
  uint32_t* values_of(int64_t head) const { return values + head * padded * HEAD / 2; }
};

inline void keep_key(const Memory& to, int64_t head, int64_t row, const float* key) {
  alignas(64) uint32_t pairs[HEAD / 2];
  _mm512_store_si512(pairs, halves(key));
  _mm512_store_si512(pairs + 16, halves(key + 32));
  uint32_t* out = to.keys_of(head) + row / 16 * 16 * HEAD / 2 + row % 16;
  for (int i = 0; i < HEAD / 2; ++i) out[16 * i] = pairs[i];
}

// second: of the next row, or null.
inline void keep_values(const Memory& to, int64_t head, int64_t row, const float* first,
                        const float* second) {
  for (int64_t c = 0; c < HEAD; c += 16) {
    const auto a = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(first + c));
    auto pair = _mm512_cvtepu16_epi32(a);
    if (second) {
      const auto b = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(second + c));
      pair = _mm512_or_si512(pair, _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
    }
    _mm512_storeu_si512(to.values_of(head) + row / 2 * HEAD + c, pair);
  }
}

// exp of numbers <= 0, to 1e-5 of it; bf16 has 4e-3.
INLINE inline __m512 exp_of(__m512 x) {
  const auto scaled = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
  const auto whole = _mm512_roundscale_ps(scaled, 0);
  const auto f = _mm512_sub_ps(scaled, whole);
  auto p = _mm512_set1_ps(0.00967077f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.05587557f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24022212f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69312726f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, whole);
}

// Similarities of M queries with 16 N keys from number `first` on: out (M, padded).
template <int M, int N>
void similar(const uint32_t (*query)[HEAD / 2], const uint32_t* keys, float* out, int64_t padded) {
  __m512 sum[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) sum[m][n] = _mm512_setzero_ps();
  for (int c = 0; c < HEAD / 2; ++c) {
    __m512i v[N];
    for (int n = 0; n < N; ++n) v[n] = _mm512_loadu_si512(keys + (n * HEAD / 2 + c) * 16);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const auto pair = broadcast4(query[m] + c);
      for (int n = 0; n < N; ++n) sum[m][n] = dot(sum[m][n], pair, v[n]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) _mm512_storeu_ps(out + m * padded + 16 * n, sum[m][n]);
}

// A row of similarities -> bf16 of their exp, the largest being 1, over `row` itself; their sum.
inline float soften(float* row, const Memory& memory) {
  for (int64_t i = memory.tokens; i < memory.padded; ++i) row[i] = -1e30f;
  auto top = _mm512_set1_ps(-1e30f), total = _mm512_setzero_ps();
  for (int64_t i = 0; i < memory.padded; i += 16)
    top = _mm512_max_ps(top, _mm512_loadu_ps(row + i));
  top = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  auto* out = reinterpret_cast<uint16_t*>(row);
  for (int64_t i = 0; i < memory.padded; i += 16) {
    const auto e = exp_of(_mm512_sub_ps(_mm512_loadu_ps(row + i), top));
    total = _mm512_add_ps(total, e);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), (__m256i)_mm512_cvtneps_pbh(e));
  }
  return _mm512_reduce_add_ps(total);
}

// M queries of one head: q (M, stride) float -> out (M, width) float.
template <int M>
void attend(const Memory& memory, int64_t head, const float* q, int64_t stride, float* scores,
            float* out, int64_t width) {
  alignas(64) uint32_t query[M][HEAD / 2];
  for (int m = 0; m < M; ++m) {
    _mm512_store_si512(query[m], halves(q + m * stride));
    _mm512_store_si512(query[m] + 16, halves(q + m * stride + 32));
  }
  const uint32_t* keys = memory.keys_of(head);
  int64_t at = 0;
  for (; at + 64 <= memory.padded; at += 64)
    similar<M, 4>(query, keys + at * HEAD / 2, scores + at, memory.padded);
  for (; at < memory.padded; at += 16)
    similar<M, 1>(query, keys + at * HEAD / 2, scores + at, memory.padded);
  float total[M];
  for (int m = 0; m < M; ++m) total[m] = soften(scores + m * memory.padded, memory);
  __m512 sum[M][4];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < 4; ++n) sum[m][n] = _mm512_setzero_ps();
  const uint32_t* values = memory.values_of(head);
  for (int64_t i = 0; i < memory.padded / 2; ++i) {
    __m512i v[4];
    for (int n = 0; n < 4; ++n) v[n] = _mm512_loadu_si512(values + i * HEAD + 16 * n);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const auto pair = broadcast4(reinterpret_cast<uint32_t*>(scores + m * memory.padded) + i);
      for (int n = 0; n < 4; ++n) sum[m][n] = dot(sum[m][n], pair, v[n]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < 4; ++n)
      _mm512_storeu_ps(out + m * width + 16 * n,
                       _mm512_mul_ps(sum[m][n], _mm512_set1_ps(1.0f / total[m])));
}
