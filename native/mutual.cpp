// SPDX-License-Identifier: MIT
// Nearest cells both ways between a query's grid and each candidate's: the similarity matrix is
// made tile by tile in registers and never stored; running row and column maxima are all that is.
//
// int8 codes are multiplied and added as integers, so every instruction set gives the same bits,
// and equal similarities are exactly equal: the first cell wins, as with argmax. Floats are
// compared as codes of 16 bits where that is faster (rounded.h), with the same answers.

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "sets.h"

namespace {

constexpr int64_t TILE = 256;  // reference cells a tile: with their maxima they stay in the cache

struct Shape {
  int64_t query_cells, reference_cells, channels;
};

// Query codes unsigned, reference codes signed, as x86 multiplies bytes: query codes are moved up
// by UP and each accumulator starts at -UP times the sum of its reference cell. Integers are
// exact.
struct Moved {
  static constexpr int UP = 128;
  using Code = int8_t;
  using Score = int32_t;
  using Q = uint8_t;
  using R = int8_t;
  static constexpr int GROUP = 4;
  static constexpr Score LOWEST = INT32_MIN;
  static Q query_code(Code code) { return static_cast<Q>(code + UP); }
  static Score start(const Code* cell, int64_t channels) {
    Score sum = 0;
    for (int64_t c = 0; c < channels; ++c) sum += cell[c];
    return -UP * sum;
  }
};

// Runs `work` on `threads` threads; next() hands out 0, 1, ... and then numbers >= count.
template <class Work>
void deal(int64_t count, int threads, const Work& work) {
  std::atomic<int64_t> given{0};
  std::atomic<bool> failed{false};
  const auto guarded = [&] {
    try {
      work([&] { return given++; });
    } catch (...) {
      failed = true;
    }
  };
  std::vector<std::thread> others;
  try {
    for (int64_t i = 1; i < std::min<int64_t>(threads, count); ++i) others.emplace_back(guarded);
  } catch (...) {  // no more threads to be had: those there are do the work
  }
  guarded();
  for (auto& thread : others) thread.join();
  if (failed) throw std::bad_alloc();
}

// ------------------------------------------------------------------ plain C++, and what all share

template <class Code_, class Score_>
struct Plain {
  using Code = Code_;
  using Score = Score_;
  using Q = Code;
  using R = Code;
  static constexpr int LANES = 8, GROUP = 1, MR = 2, NR = 2;
  static constexpr bool SECOND = false;
  static constexpr Score LOWEST = std::numeric_limits<Score>::has_infinity
                                      ? -std::numeric_limits<Score>::infinity()
                                      : std::numeric_limits<Score>::lowest();
  struct V {
    Score at[LANES];
  };
  using W = const Code*;
  struct I {
    int32_t at[LANES];
  };
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0; }
  static V broadcast(Score x) {
    V v;
    for (auto& lane : v.at) lane = x;
    return v;
  }
  static I index(int32_t i) {
    I v;
    for (auto& lane : v.at) lane = i;
    return v;
  }
  static W load_query(const Q* q) { return q; }
  static Score load_reference(const R* r) { return *r; }
  static V dot(V acc, W q, Score r) {
    for (int l = 0; l < LANES; ++l) acc.at[l] += static_cast<Score>(q[l]) * r;
    return acc;
  }
  static void keep(const V& x, const I& i, V& best, I& arg) {
    for (int l = 0; l < LANES; ++l) {
      arg.at[l] = x.at[l] > best.at[l] ? i.at[l] : arg.at[l];
      best.at[l] = x.at[l] > best.at[l] ? x.at[l] : best.at[l];
    }
  }
  static V load(const Score* p) {
    V v;
    std::memcpy(v.at, p, sizeof v.at);
    return v;
  }
  static I load_index(const int32_t* p) {
    I v;
    std::memcpy(v.at, p, sizeof v.at);
    return v;
  }
  static void store(Score* p, const V& v) { std::memcpy(p, v.at, sizeof v.at); }
  static void store_index(int32_t* p, const I& v) { std::memcpy(p, v.at, sizeof v.at); }
};

namespace plain {
#include "tile.h"
using Int8 = Plain<int8_t, int32_t>;
using Float = Plain<float, float>;
}  // namespace plain

#if defined(__x86_64__)

// x86's dot() are written as instructions: around the intrinsics GCC copies accumulators until
// they no longer fit into the registers, which halves the speed.

// ------------------------------------------------------------------------------ AVX-512 with VNNI

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni")
#endif
namespace avx512 {
#include "tile.h"

struct Common {
  static constexpr int LANES = 16, MR = 6, NR = 4;  // 24 accumulators, 6 + 1 operands: 31 of 32
  static constexpr bool SECOND = false;
  using I = __m512i;
  static I index(int32_t i) { return _mm512_set1_epi32(i); }
  static I load_index(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store_index(int32_t* p, I v) { _mm512_storeu_si512(p, v); }
};

struct Int8 : Common, Moved {
  using V = __m512i;
  using W = __m512i;
  static V broadcast(Score x) { return _mm512_set1_epi32(x); }
  static W load_query(const Q* q) { return _mm512_loadu_si512(q); }
  static W load_reference(const R* r) {
    int32_t four;
    std::memcpy(&four, r, 4);
    return _mm512_set1_epi32(four);
  }
  INLINE static V dot(V acc, W q, W r) {
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(q), "v"(r));
    return acc;
  }
  static void keep(V x, I i, V& best, I& arg) {
    const __mmask16 more = _mm512_cmpgt_epi32_mask(x, best);
    best = _mm512_max_epi32(x, best);
    arg = _mm512_mask_mov_epi32(arg, more, i);
  }
  static V load(const Score* p) { return _mm512_loadu_si512(p); }
  static void store(Score* p, V v) { _mm512_storeu_si512(p, v); }
};

struct Float : Common {
  using Code = float;
  using Score = float;
  using Q = float;
  using R = float;
  using V = __m512;
  using W = __m512;
  static constexpr int GROUP = 1;
  static constexpr Score LOWEST = -std::numeric_limits<float>::infinity();
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0.0f; }
  static V broadcast(Score x) { return _mm512_set1_ps(x); }
  static W load_query(const Q* q) { return _mm512_loadu_ps(q); }
  static W load_reference(const R* r) { return _mm512_set1_ps(*r); }
  INLINE static V dot(V acc, W q, W r) {
    asm("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(q), "v"(r));
    return acc;
  }
  static void keep(V x, I i, V& best, I& arg) {
    const __mmask16 more = _mm512_cmp_ps_mask(x, best, _CMP_GT_OQ);
    best = _mm512_mask_mov_ps(best, more, x);
    arg = _mm512_mask_mov_epi32(arg, more, i);
  }
  static V load(const Score* p) { return _mm512_loadu_ps(p); }
  static void store(Score* p, V v) { _mm512_storeu_ps(p, v); }
};

// Codes of 16 bits, twice as fast as floats; see rounded.h.
struct Int16 : Common {
  using Code = int16_t;
  using Score = int32_t;
  using Q = int16_t;
  using R = int16_t;
  using V = __m512i;
  using W = __m512i;
  static constexpr int GROUP = 2;
  static constexpr bool SECOND = true;
  static constexpr Score LOWEST = INT32_MIN;
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0; }
  static V broadcast(Score x) { return _mm512_set1_epi32(x); }
  static W load_query(const Q* q) { return _mm512_loadu_si512(q); }
  static W load_reference(const R* r) {
    int32_t two;
    std::memcpy(&two, r, 4);
    return _mm512_set1_epi32(two);
  }
  INLINE static V dot(V acc, W q, W r) {
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(q), "v"(r));
    return acc;
  }
  static V second(V x, V best, V second) {
    return _mm512_max_epi32(second, _mm512_min_epi32(x, best));
  }
  static void keep(V x, I i, V& best, I& arg) { Int8::keep(x, i, best, arg); }
  static V load(const Score* p) { return Int8::load(p); }
  static void store(Score* p, V v) { Int8::store(p, v); }
};

#include "rounded.h"

}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

// ------------------------------------------------------------------------------------------- AVX2

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#include "tile.h"

struct Common {
  static constexpr int LANES = 8, MR = 2, NR = 4;
  static constexpr bool SECOND = false;
  using I = __m256i;
  static I index(int32_t i) { return _mm256_set1_epi32(i); }
  static I load_index(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_index(int32_t* p, I v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
};

struct Whole : Common {  // scores are whole numbers
  using V = __m256i;
  using W = __m256i;
  static V broadcast(int32_t x) { return _mm256_set1_epi32(x); }
  static W load_query(const void* q) { return _mm256_loadu_si256(static_cast<const __m256i*>(q)); }
  static W load_reference(const void* r) {
    int32_t four;
    std::memcpy(&four, r, 4);
    return _mm256_set1_epi32(four);
  }
  static void keep(V x, I i, V& best, I& arg) {
    const __m256i more = _mm256_cmpgt_epi32(x, best);
    best = _mm256_max_epi32(x, best);
    arg = _mm256_blendv_epi8(arg, i, more);
  }
  static V load(const int32_t* p) { return load_index(p); }
  static void store(int32_t* p, V v) { store_index(p, v); }
};

// AVX-VNNI: AVX-512's instruction on half the lanes.
struct Vnni : Whole, Moved {
  static constexpr int MR = 3;  // 12 accumulators, 3 + 1 operands: all 16
  INLINE static V dot(V acc, W q, W r) {
    asm(VPDPBUSD_YMM " %2, %1, %0" : "+x"(acc) : "x"(q), "x"(r));
    return acc;
  }
};

// Codes of 8 bits widened to 16, whatever they are.
struct Wide : Whole {
  using Code = int8_t;
  using Score = int32_t;
  using Q = int16_t;
  using R = int16_t;
  static constexpr int GROUP = 2, MR = 3, NR = 3;
  static constexpr Score LOWEST = INT32_MIN;
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0; }
  INLINE static V dot(V acc, W q, W r) {
    __m256i product;
    asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(acc), "=&x"(product) : "x"(q), "x"(r));
    return acc;
  }
};

// Codes of 16 bits, twice as fast as floats; see rounded.h.
struct Int16 : Wide {
  using Code = int16_t;
  static constexpr bool SECOND = true;
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0; }
  static V second(V x, V best, V second) {
    return _mm256_max_epi32(second, _mm256_min_epi32(x, best));
  }
};

struct Float : Common {
  using Code = float;
  using Score = float;
  using Q = float;
  using R = float;
  using V = __m256;
  using W = __m256;
  static constexpr int GROUP = 1;
  static constexpr Score LOWEST = -std::numeric_limits<float>::infinity();
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0.0f; }
  static V broadcast(Score x) { return _mm256_set1_ps(x); }
  static W load_query(const Q* q) { return _mm256_loadu_ps(q); }
  static W load_reference(const R* r) { return _mm256_set1_ps(*r); }
  INLINE static V dot(V acc, W q, W r) {
    asm("vfmadd231ps %2, %1, %0" : "+x"(acc) : "x"(q), "x"(r));
    return acc;
  }
  static void keep(V x, I i, V& best, I& arg) {
    const __m256 more = _mm256_cmp_ps(x, best, _CMP_GT_OQ);
    best = _mm256_blendv_ps(best, x, more);
    arg = _mm256_blendv_epi8(arg, i, _mm256_castps_si256(more));
  }
  static V load(const Score* p) { return _mm256_loadu_ps(p); }
  static void store(Score* p, V v) { _mm256_storeu_ps(p, v); }
};

#include "rounded.h"
#include "sevens.h"

}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#elif defined(__aarch64__)

// ----------------------------------------------------------------- NEON, with and without sdot

struct NeonCommon {
  static constexpr int LANES = 4, MR = 4, NR = 4;
  static constexpr bool SECOND = false;
  using I = int32x4_t;
  static I index(int32_t i) { return vdupq_n_s32(i); }
  static I load_index(const int32_t* p) { return vld1q_s32(p); }
  static void store_index(int32_t* p, I v) { vst1q_s32(p, v); }
};

struct NeonInt : NeonCommon {
  using Code = int8_t;
  using Score = int32_t;
  using V = int32x4_t;
  static constexpr Score LOWEST = INT32_MIN;
  static Score start(const Code*, int64_t) { return 0; }
  static V broadcast(Score x) { return vdupq_n_s32(x); }
  static void keep(V x, I i, V& best, I& arg) {
    const uint32x4_t more = vcgtq_s32(x, best);
    best = vmaxq_s32(x, best);
    arg = vbslq_s32(more, i, arg);
  }
  static V load(const Score* p) { return vld1q_s32(p); }
  static void store(Score* p, V v) { vst1q_s32(p, v); }
};

namespace neon {
#include "tile.h"

struct Int8 : NeonInt {  // codes widened to 16 bits: one channel a step
  using Q = int16_t;
  using R = int16_t;
  using W = int16x4_t;
  static constexpr int GROUP = 1;
  static Q query_code(Code code) { return code; }
  static W load_query(const Q* q) { return vld1_s16(q); }
  static W load_reference(const R* r) { return vdup_n_s16(*r); }
  static V dot(V acc, W q, W r) { return vmlal_s16(acc, q, r); }
};

struct Float : NeonCommon {
  using Code = float;
  using Score = float;
  using Q = float;
  using R = float;
  using V = float32x4_t;
  using W = float32x4_t;
  static constexpr int GROUP = 1;
  static constexpr Score LOWEST = -std::numeric_limits<float>::infinity();
  static Q query_code(Code code) { return code; }
  static Score start(const Code*, int64_t) { return 0.0f; }
  static V broadcast(Score x) { return vdupq_n_f32(x); }
  static W load_query(const Q* q) { return vld1q_f32(q); }
  static W load_reference(const R* r) { return vdupq_n_f32(*r); }
  static V dot(V acc, W q, W r) { return vfmaq_f32(acc, q, r); }
  static void keep(V x, I i, V& best, I& arg) {
    const uint32x4_t more = vcgtq_f32(x, best);
    best = vbslq_f32(more, x, best);
    arg = vbslq_s32(more, i, arg);
  }
  static V load(const Score* p) { return vld1q_f32(p); }
  static void store(Score* p, V v) { vst1q_f32(p, v); }
};
}  // namespace neon

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
namespace neon_dot {
#include "tile.h"

struct Int8 : NeonInt {
  using Q = int8_t;
  using R = int8_t;
  using W = int8x16_t;
  static constexpr int GROUP = 4;
  static Q query_code(Code code) { return code; }
  static W load_query(const Q* q) { return vld1q_s8(q); }
  static W load_reference(const R* r) {
    int32_t four;
    std::memcpy(&four, r, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  static V dot(V acc, W q, W r) { return vdotq_s32(acc, q, r); }
};
}  // namespace neon_dot
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

using Ints = void(const int8_t*, const int8_t* const*, const Shape&, int64_t, int, int32_t*,
                  int32_t*);
using Floats = void(const float*, const float* const*, const Shape&, int64_t, int, int32_t*,
                    int32_t*);

// What a set has no code for is done by the set below it.
Ints* ints_of(int set) {
#if defined(__x86_64__)
  if (set == AVX512 || set == AVX512BF16) return avx512::nearest_all<avx512::Int8>;
  if (set == AVXVNNI) return avx2::nearest_all<avx2::Vnni>;
  if (set == AVX2) return avx2::nearest_all_seven;
#elif defined(__aarch64__)
  if (set == NEON_DOT || set == NEON_I8MM) return neon_dot::nearest_all<neon_dot::Int8>;
  if (set == NEON) return neon::nearest_all<neon::Int8>;
#endif
  return plain::nearest_all<plain::Int8>;
}

// rounded: by codes of 16 bits where the set has them.
Floats* floats_of(int set, bool rounded) {
#if defined(__x86_64__)
  if (set == AVX512 || set == AVX512BF16)
    return rounded ? avx512::nearest_all_rounded<avx512::Float, avx512::Int16>
                   : avx512::nearest_all<avx512::Float>;
  if (set == AVX2 || set == AVXVNNI)
    return rounded ? avx2::nearest_all_rounded<avx2::Float, avx2::Int16>
                   : avx2::nearest_all<avx2::Float>;
#elif defined(__aarch64__)
  if (set >= NEON) return neon::nearest_all<neon::Float>;
#endif
  return plain::nearest_all<plain::Float>;
}

template <class F, class Code>
int guarded(F* run, const Code* query, const Code* const* references, int64_t query_cells,
            int64_t reference_cells, int64_t channels, int64_t count, int threads,
            int32_t* to_reference, int32_t* to_query) {
  if (query_cells < 1 || reference_cells < 1 || count < 1 || channels < 1) return 1;
  try {
    run(query, references, {query_cells, reference_cells, channels}, count, threads, to_reference,
        to_query);
    return 0;
  } catch (...) {
    return 2;
  }
}

}  // namespace

extern "C" {

// Raised whenever a signature below changes: an old build must not be called by new Python.
int selavpr_mutual_abi() { return 2; }

// Whether there is code for a set, and the machine has it.
int selavpr_mutual_has(int set) { return set != AVX512BF16 && set != NEON_I8MM && has(set); }

// query (query_cells, channels); references: `count` pointers to (reference_cells, channels);
// to_reference (count, query_cells); to_query (count, reference_cells). 0: done, 1: an empty
// shape, 2: out of memory. rounded, for floats: 0 compares them as they are, with the same
// answers.
int selavpr_mutual_int8(const int8_t* query, const int8_t* const* references, int64_t query_cells,
                        int64_t reference_cells, int64_t channels, int64_t count, int threads,
                        int set, int32_t* to_reference, int32_t* to_query) {
  return guarded(ints_of(has(set) ? set : SCALAR), query, references, query_cells, reference_cells,
                 channels, count, threads, to_reference, to_query);
}

int selavpr_mutual_float(const float* query, const float* const* references, int64_t query_cells,
                         int64_t reference_cells, int64_t channels, int64_t count, int threads,
                         int set, int rounded, int32_t* to_reference, int32_t* to_query) {
  return guarded(floats_of(has(set) ? set : SCALAR, rounded), query, references, query_cells,
                 reference_cells, channels, count, threads, to_reference, to_query);
}

}  // extern "C"
