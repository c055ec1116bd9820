// SPDX-License-Identifier: MIT
// Sixteen floats in plain C++: what all other sets must equal bit by bit; see product.h.

struct F {
  float at[16];
};
using S = int32_t;

constexpr int LANES = 1, VECTORS = 16, STEP = 4, ROWS = 2, BESIDE = 1;

template <class Each>
F made(const Each& value) {
  F v;
  for (int i = 0; i < 16; ++i) v.at[i] = value(i);
  return v;
}
inline F load(const float* p) {
  return made([&](int i) { return p[i]; });
}
inline void store(float* p, const F& v) { std::memcpy(p, v.at, sizeof v.at); }
inline F all(float x) {
  return made([&](int) { return x; });
}
inline F add(const F& a, const F& b) {
  return made([&](int i) { return a.at[i] + b.at[i]; });
}
inline F sub(const F& a, const F& b) {
  return made([&](int i) { return a.at[i] - b.at[i]; });
}
inline F mul(const F& a, const F& b) {
  return made([&](int i) { return a.at[i] * b.at[i]; });
}
inline F fma(const F& a, const F& b, const F& c) {
  return made([&](int i) { return std::fma(a.at[i], b.at[i], c.at[i]); });
}
inline F least(const F& a, const F& b) {
  return made([&](int i) { return a.at[i] < b.at[i] ? a.at[i] : b.at[i]; });
}
inline F most(const F& a, const F& b) {
  return made([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; });
}

// Lanes eight apart first, then four, two and one, as all sets do.
inline float total(F v) {
  for (int apart = 8; apart; apart /= 2)
    for (int i = 0; i < apart; ++i) v.at[i] += v.at[i + apart];
  return v.at[0];
}
inline float least(const F& v) { return *std::min_element(v.at, v.at + 16); }
inline float most(const F& v) { return *std::max_element(v.at, v.at + 16); }

inline F whole(const F& v) {
  return made([&](int i) { return std::nearbyint(v.at[i]); });
}

// 2^v of whole numbers from -126 to 127.
inline F power(const F& v) {
  return made([&](int i) { return std::ldexp(1.0f, static_cast<int>(v.at[i])); });
}

// Rounded to 0 ... 255.
inline void store_codes(uint8_t* p, const F& v) {
  for (int i = 0; i < 16; ++i)
    p[i] = static_cast<uint8_t>(std::min(std::max(std::nearbyint(v.at[i]), 0.0f), 255.0f));
}

inline F floats(const int32_t* p) {
  return made([&](int i) { return static_cast<float>(p[i]); });
}

inline void fma_into(F& sum, const F& a, const F& b) { sum = fma(a, b, sum); }

inline S start(const int32_t*) { return 0; }

template <int M>
void multiply_step(const uint8_t* codes, int64_t stride, const int8_t* w, S (&sum)[M * VECTORS]) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < VECTORS; ++n)
      for (int i = 0; i < STEP; ++i)
        sum[m * VECTORS + n] += codes[m * stride + i] * w[n * STEP + i];
}
