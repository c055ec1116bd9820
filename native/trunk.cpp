// SPDX-License-Identifier: MIT
// The transformer blocks and the local head of a fused network with byte products: weights once a
// channel, activations a scale and a zero for each token, measured as they come. What a token
// needs of the others is in the attention only, so each thread takes its own tokens through all
// blocks, and waits for the others once a block.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#define INLINE __attribute__((always_inline))

#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 10)
#define HAS_KERNEL 1
#include <immintrin.h>

namespace {

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma")
#endif

#include "vnni.h"
#include "attention.h"

// As int8.py lays it out. down1, up1: serial adapter; down2, up2: parallel one.
struct Block {
  const float *norm1, *norm1_bias, *norm2, *norm2_bias;
  Product qkv, proj, down1, up1, fc1, fc2, down2, up2;
};

struct Freed {
  void operator()(void* p) const { std::free(p); }
};

template <class T>
struct Array : std::unique_ptr<T[], Freed> {
  explicit Array(int64_t count) {
    const int64_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    this->reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (!*this) throw std::bad_alloc();
    std::memset(this->get(), 0, bytes);
  }
};

// Waits spin for a moment, then sleep: a robot has other work.
struct Gate {
  std::atomic<int64_t> arrived{0};
  std::mutex mutex;
  std::condition_variable all;

  void wait(int64_t until) {
    if (arrived.fetch_add(1) + 1 >= until) {
      {
        std::lock_guard<std::mutex> nobody_falls_asleep_now(mutex);
      }
      all.notify_all();
      return;
    }
    for (int spins = 0; spins < 2000; ++spins) {
      if (arrived.load() >= until) return;
      _mm_pause();
    }
    std::unique_lock<std::mutex> lock(mutex);
    all.wait(lock, [&] { return arrived.load() >= until; });
  }
};

// Of one thread; rows: tokens at most.
struct Own {
  Array<uint8_t> code;
  Array<float> scale, low, wide, narrow, attended, scores, normed;
  Own(int64_t rows, int64_t dim, int64_t width, int64_t padded)
      : code(rows * width), scale(rows), low(rows), wide(rows * width), narrow(rows * width),
        attended(rows * dim), scores(ROWS * padded), normed(dim) {}
  Codes codes() { return {code.get(), scale.get(), low.get()}; }
};

struct Trunk {
  std::vector<Block> blocks;
  int64_t tokens, dim, width, padded;
  float eps;
  Array<uint32_t> keys, values;  // of two blocks: one is read while the next is written
  std::vector<Own> own;

  Trunk(const Block* first, int64_t count, int64_t tokens_, int64_t dim_, int64_t width_,
        float eps_, int threads)
      : blocks(first, first + count), tokens(tokens_), dim(dim_), width(width_),
        padded((tokens_ + 15) / 16 * 16), eps(eps_), keys(padded * dim_), values(padded * dim_) {
    const int64_t tiles = (tokens + ROWS - 1) / ROWS;
    const int64_t rows = (tiles + threads - 1) / threads * ROWS;
    for (int i = 0; i < threads; ++i) own.emplace_back(rows, dim, width, padded);
  }

  Memory memory(int64_t block) const {
    const int64_t at = block % 2 * padded * dim / 2;
    return {keys.get() + at, values.get() + at, tokens, padded};
  }
};

void normalise(const float* x, const float* weight, const float* bias, const Trunk& t, float* y) {
  auto sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
  for (int64_t i = 0; i < t.dim; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + i));
  const auto mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / t.dim);
  for (int64_t i = 0; i < t.dim; i += 16) {
    const auto d = _mm512_sub_ps(_mm512_loadu_ps(x + i), mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  const float variance = _mm512_reduce_add_ps(squares) / t.dim;
  const auto factor = _mm512_set1_ps(1.0f / std::sqrt(variance + t.eps));
  for (int64_t i = 0; i < t.dim; i += 16) {
    const auto d = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), factor);
    const auto w = _mm512_loadu_ps(weight + i), b = _mm512_loadu_ps(bias + i);
    _mm512_storeu_ps(y + i, _mm512_fmadd_ps(d, w, b));
  }
}

// A thread's tokens on their way: x (rows, dim) are tokens from .. from + rows.
struct Part {
  Trunk& t;
  Own& own;
  float* x;
  int64_t from, rows;

  void codes_of_norm(const float* weight, const float* bias) {
    for (int64_t r = 0; r < rows; ++r) {
      normalise(x + r * t.dim, weight, bias, t, own.normed.get());
      quantise(own.normed.get(), t.dim, own.codes(), r);
    }
  }

  void codes_of(const float* values, int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) quantise(values + r * columns, columns, own.codes(), r);
  }

  void remember(const Memory& memory) {
    const int64_t stride = 3 * t.dim;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t h = 0; h < t.dim / HEAD; ++h) {
        const float* row = own.wide.get() + r * stride + h * HEAD;
        keep_key(memory, h, from + r, row + t.dim);
        const float* next = r + 1 < rows ? row + stride + 2 * t.dim : nullptr;
        if (r % 2 == 0) keep_values(memory, h, from + r, row + 2 * t.dim, next);
      }
  }

  void attend_all(const Memory& memory) {
    const int64_t stride = 3 * t.dim;
    for (int64_t h = 0; h < t.dim / HEAD; ++h)
      for (int64_t r = 0; r < rows; r += ROWS) {
        const float* q = own.wide.get() + r * stride + h * HEAD;
        float* out = own.attended.get() + r * t.dim + h * HEAD;
        attend_last<ROWS>(std::min<int64_t>(ROWS, rows - r), memory, h, q, stride,
                          own.scores.get(), out, t.dim);
      }
  }

  template <int THEN>
  void product(const Product& p, float* y) {
    multiply<THEN>(p, own.codes(), rows, y, p.out);
  }

  void mix(const Block& b) {
    codes_of(own.attended.get(), t.dim);
    product<ADD>(b.proj, x);
    if (b.down1.in) {
      product<RELU>(b.down1, own.wide.get());
      codes_of(own.wide.get(), b.down1.out);
      product<ADD>(b.up1, x);
    }
    codes_of_norm(b.norm2, b.norm2_bias);
    product<GELU>(b.fc1, own.wide.get());
    if (b.down2.in) product<RELU>(b.down2, own.narrow.get());
    codes_of(own.wide.get(), b.fc1.out);
    product<ADD>(b.fc2, x);
    if (b.down2.in) {
      codes_of(own.narrow.get(), b.down2.out);
      product<ADD>(b.up2, x);
    }
  }
};

// x (tokens, dim), in place, by part `index` of `parts`.
void run_part(Trunk& t, float* x, int index, int parts, Gate& gate) {
  const int64_t tiles = (t.tokens + ROWS - 1) / ROWS;
  const int64_t from = tiles * index / parts * ROWS;
  const int64_t to = std::min(t.tokens, tiles * (index + 1) / parts * ROWS);
  Part part{t, t.own[index], x + from * t.dim, from, std::max<int64_t>(0, to - from)};
  for (size_t i = 0; i < t.blocks.size(); ++i) {
    const auto& block = t.blocks[i];
    const auto memory = t.memory(i);
    part.codes_of_norm(block.norm1, block.norm1_bias);
    part.product<STORE>(block.qkv, part.own.wide.get());
    part.remember(memory);
    gate.wait((static_cast<int64_t>(i) + 1) * parts);
    part.attend_all(memory);
    part.mix(block);
  }
}

// Calls work(0) ... work(parts - 1) at once; false where threads are not to be had.
template <class Work>
bool at_once(int parts, const Work& task) {
  std::atomic<int> go{0};
  std::vector<std::thread> others;
  const auto work = [&](int index) {
    while (!go) std::this_thread::yield();
    if (go > 0) task(index);
  };
  try {
    for (int i = 1; i < parts; ++i) others.emplace_back(work, i);
    go = 1;
    work(0);
  } catch (...) {
    go = -1;
  }
  for (auto& thread : others) thread.join();
  return go > 0;
}

bool run(Trunk& t, float* x) {
  const int parts = static_cast<int>(t.own.size());
  Gate gate;
  return at_once(parts, [&](int index) { run_part(t, x, index, parts, gate); });
}

// x (rows, columns, in) and y (2 rows - 1, 2 columns - 1, out); as fused.py's FusedUp.
struct Grid {
  const float* x;
  float* y;
  int64_t rows, columns, in, out;
};

// Row i of the outputs of one phase: those `down` rows and `right` columns beside the inputs.
void up_row(const Product& p, const Grid& g, int64_t i, int down, int right, bool relu,
            const Codes& codes) {
  const int64_t count = g.columns - right;
  for (int64_t j = 0; j < count; ++j) {
    const float* parts[4];
    int number = 0;
    for (int u = 0; u <= down; ++u)
      for (int v = 0; v <= right; ++v)
        parts[number++] = g.x + ((i + u) * g.columns + j + v) * g.in;
    quantise(parts, number, g.in, codes, j);
  }
  float* y = g.y + ((2 * i + down) * (2 * g.columns - 1) + right) * g.out;
  if (relu) multiply<RELU>(p, codes, count, y, 2 * g.out);
  else multiply<STORE>(p, codes, count, y, 2 * g.out);
}

bool up(const Product* phases, const Grid& g, bool relu, int threads) {
  const int64_t width = g.columns * 4 * g.in;
  Array<uint8_t> code(threads * width);
  Array<float> scale(threads * g.columns), low(threads * g.columns);
  std::atomic<int64_t> given{0};
  return at_once(threads, [&](int index) {
    const int64_t at = index * g.columns;
    const Codes codes{code.get() + index * width, scale.get() + at, low.get() + at};
    for (int64_t i; (i = given++) < g.rows;)
      for (int down = 0; down < 2 && i + down < g.rows; ++down)
        for (int right = 0; right < 2; ++right)
          up_row(phases[2 * down + right], g, i, down, right, relu, codes);
  });
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace
#endif

extern "C" {

// Raised whenever a signature or a struct changes: an old build must not be called by new Python.
int selavpr_trunk_abi() { return 1; }

int selavpr_trunk_has() {
#if HAS_KERNEL
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
#else
  return 0;
#endif
}

#if HAS_KERNEL
// Weights and biases stay the caller's; null: out of memory. width: the widest activation.
void* selavpr_trunk_new(const Block* blocks, int64_t count, int64_t tokens, int64_t dim,
                        int64_t width, float eps, int threads) {
  try {
    return new Trunk(blocks, count, tokens, dim, width, eps, threads);
  } catch (...) {
    return nullptr;
  }
}

// x (tokens, dim) float32, in place; 0: done, 1: no threads. Not for two callers at once: the
// buffers are the trunk's.
int selavpr_trunk_run(void* trunk, float* x) { return !run(*static_cast<Trunk*>(trunk), x); }

// phases: 4; x (rows, columns, in), y (2 rows - 1, 2 columns - 1, out), float32. 0: done.
int selavpr_trunk_up(const Product* phases, const float* x, int64_t rows, int64_t columns,
                     float* y, int relu, int threads) {
  try {
    return !up(phases, {x, y, rows, columns, phases->in, phases->out}, relu, threads);
  } catch (...) {
    return 1;
  }
}

void selavpr_trunk_delete(void* trunk) { delete static_cast<Trunk*>(trunk); }
#endif

}  // extern "C"
