// SPDX-License-Identifier: MIT
// Attention of heads of 64 channels in float32, for every instruction set, as product.h.

constexpr int QUERIES = 6;       // at once: with 16 keys beside them 12 accumulators in AVX2
constexpr int VALUE_ROWS = 1;    // whose values are kept at once
constexpr int64_t WORDS = HEAD;  // of 32 bits that a head's channels take

// rows beyond the last one are zero. keys: [head][16 keys][channel][key]; values: [head][key][64].
struct Memory {
  float *keys, *values;
  int64_t tokens, padded;

  Memory(void* keys_, void* values_, int64_t tokens_, int64_t padded_)
      : keys(static_cast<float*>(keys_)), values(static_cast<float*>(values_)), tokens(tokens_),
        padded(padded_) {}
  float* keys_of(int64_t head) const { return keys + head * padded * HEAD; }
  float* values_of(int64_t head) const { return values + head * padded * HEAD; }
};

inline void keep_key(const Memory& to, int64_t head, int64_t row, const float* key) {
  float* out = to.keys_of(head) + row / 16 * 16 * HEAD + row % 16;
  for (int c = 0; c < HEAD; ++c) out[16 * c] = key[c];
}

inline void keep_values(const Memory& to, int64_t head, int64_t row, const float* value,
                        const float*) {
  std::memcpy(to.values_of(head) + row * HEAD, value, HEAD * sizeof(float));
}

// exp of numbers <= 0, to 1e-5 of it; below -87 that of -87.
INLINE inline F exp_of(F x) {
  const auto scaled = mul(most(x, all(-87.0f)), all(1.44269504f));
  const auto integer = whole(scaled), f = sub(scaled, integer);
  auto p = all(0.00967077f);
  p = fma(p, f, all(0.05587557f));
  p = fma(p, f, all(0.24022212f));
  p = fma(p, f, all(0.69312726f));
  p = fma(p, f, all(1.0f));
  return mul(p, power(integer));
}

// Similarities of M queries, `stride` apart, with 16 N keys: out (M, padded).
template <int M, int N>
void similar(const float* query, int64_t stride, const float* keys, float* out, int64_t padded) {
  F sum[M * N];
  each<M * N>([&](auto i) INLINE { sum[i] = all(0.0f); });
  for (int64_t c = 0; c < HEAD; ++c) {
    F v[N];
    each<N>([&](auto n) INLINE { v[n] = load(keys + (n * HEAD + c) * 16); });
    each<M>([&](auto m) INLINE {
      const auto channel = all(query[m * stride + c]);
      each<N>([&](auto n) INLINE { fma_into(sum[m * N + n], channel, v[n]); });
    });
  }
  each<M>([&](auto m) INLINE {
    each<N>([&](auto n) INLINE { store(out + m * padded + 16 * n, sum[m * N + n]); });
  });
}

// A row of similarities -> their exp, the largest being 1, over `row` itself; their sum.
inline float soften(float* row, const Memory& memory) {
  for (int64_t i = memory.tokens; i < memory.padded; ++i) row[i] = -1e30f;
  auto top = all(-1e30f), sum = all(0.0f);
  for (int64_t i = 0; i < memory.padded; i += 16) top = most(top, load(row + i));
  top = all(most(top));
  for (int64_t i = 0; i < memory.padded; i += 16) {
    const auto e = exp_of(sub(load(row + i), top));
    sum = add(sum, e);
    store(row + i, e);
  }
  return total(sum);
}

// Weighted sums of 16 N channels of the values: scores (M, padded) -> out (M, width).
template <int M, int N>
void weigh(const Memory& memory, const float* scores, const float* values, const float* total,
           float* out, int64_t width) {
  F sum[M * N];
  each<M * N>([&](auto i) INLINE { sum[i] = all(0.0f); });
  for (int64_t i = 0; i < memory.padded; ++i) {
    F v[N];
    each<N>([&](auto n) INLINE { v[n] = load(values + i * HEAD + 16 * n); });
    each<M>([&](auto m) INLINE {
      const auto weight = all(scores[m * memory.padded + i]);
      each<N>([&](auto n) INLINE { fma_into(sum[m * N + n], weight, v[n]); });
    });
  }
  each<M>([&](auto m) INLINE {
    const auto factor = all(1.0f / total[m]);
    each<N>([&](auto n) INLINE { store(out + m * width + 16 * n, mul(sum[m * N + n], factor)); });
  });
}

// M queries of one head: q (M, stride) float -> out (M, width) float.
template <int M>
void attend(const Memory& memory, int64_t head, const float* q, int64_t stride, float* scores,
            float* out, int64_t width) {
  const float* keys = memory.keys_of(head);
  int64_t at = 0;
  for (; at + 16 * BESIDE <= memory.padded; at += 16 * BESIDE)
    similar<M, BESIDE>(q, stride, keys + at * HEAD, scores + at, memory.padded);
  for (; at < memory.padded; at += 16)
    similar<M, 1>(q, stride, keys + at * HEAD, scores + at, memory.padded);
  float total[M];
  for (int m = 0; m < M; ++m) total[m] = soften(scores + m * memory.padded, memory);
  for (int64_t c = 0; c < HEAD; c += 16 * BESIDE)
    weigh<M, BESIDE>(memory, scores, memory.values_of(head) + c, total, out + c, width);
}
