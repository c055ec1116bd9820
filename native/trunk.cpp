// SPDX-License-Identifier: MIT
// The transformer blocks and the local head of a fused network with byte products: weights once a
// channel, activations a scale and a zero for each token, measured as they come. What a token
// needs of the others is in the attention only, so each thread takes its own tokens through all
// blocks, and waits for the others once a block.
//
// The same code is compiled for each instruction set (product.h), and gives the same bits with all
// of them but AVX512BF16, whose attention is in bf16.

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
#include <utility>
#include <vector>

#include "sets.h"

namespace {

constexpr int64_t HEAD = 64;  // channels of a head of attention

// weight: bytes in the order of product.h; scale, sums (of a column's bytes) and bias: (out).
// in 0: there is no such product. Every width is a multiple of 64.
struct Product {
  const int8_t* weight;
  const float* scale;
  const int32_t* sums;
  const float* bias;
  int64_t in, out;
};

// Row i is scale[i] * code + low[i].
struct Codes {
  uint8_t* code;
  float *scale, *low;
};

enum Then { STORE, RELU, GELU, ADD };  // ADD: to what lies there

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
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex);
    all.wait(lock, [&] { return arrived.load() >= until; });
  }
};

// x (rows, columns, in) and y (2 rows - 1, 2 columns - 1, out); as fused.py's FusedUp.
struct Grid {
  const float* x;
  float* y;
  int64_t rows, columns, in, out;
};

// Of one instruction set.
struct AnyTrunk {
  virtual bool run(float* x) = 0;  // false where threads are not to be had
  virtual ~AnyTrunk() = default;
};

struct Kernel {
  int64_t panel;  // columns that lie together in a Product's weights
  AnyTrunk* (*make)(const Block*, int64_t, int64_t, int64_t, int64_t, float, int);
  bool (*up)(const Product*, const Grid&, bool, int);
};

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

namespace scalar {
#include "each.h"
#include "lanes_scalar.h"
#include "product.h"
#include "attention.h"
#include "blocks.h"
}  // namespace scalar

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#include "each.h"
#include "lanes_avx2.h"
#include "bytes_avx2.h"
#include "product.h"
#include "attention.h"
#include "blocks.h"
}  // namespace avx2
namespace avxvnni {
#include "each.h"
#include "lanes_avx2.h"
#include "bytes_avxvnni.h"
#include "product.h"
#include "attention.h"
#include "blocks.h"
}  // namespace avxvnni
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")
#endif
namespace avx512 {
#include "each.h"
#include "lanes_avx512.h"
#include "product.h"
#include "attention.h"
#include "blocks.h"
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma")
#endif
namespace avx512bf16 {
#include "each.h"
#include "lanes_avx512.h"
#include "product.h"
#include "attention_bf16.h"
#include "blocks.h"
}  // namespace avx512bf16
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#elif defined(__aarch64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
namespace neon_dot {
#include "each.h"
#include "lanes_neon.h"
#include "bytes_neon_dot.h"
#include "product.h"
#include "attention.h"
#include "blocks.h"
}  // namespace neon_dot
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod+i8mm")
#endif
namespace neon_i8mm {
#include "each.h"
#include "lanes_neon.h"
#include "bytes_neon_i8mm.h"
#include "product.h"
#include "attention.h"
#include "blocks.h"
}  // namespace neon_i8mm
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

// Null where there is no code for a set.
const Kernel* kernel_of(int set) {
  switch (set) {
    case SCALAR:
      return &scalar::kernel;
#if defined(__x86_64__)
    case AVX2:
      return &avx2::kernel;
    case AVXVNNI:
      return &avxvnni::kernel;
    case AVX512:
      return &avx512::kernel;
    case AVX512BF16:
      return &avx512bf16::kernel;
#elif defined(__aarch64__)
    case NEON_DOT:
      return &neon_dot::kernel;
    case NEON_I8MM:
      return &neon_i8mm::kernel;
#endif
    default:
      return nullptr;
  }
}

}  // namespace

extern "C" {

// Raised whenever a signature or a struct changes: an old build must not be called by new Python.
int selavpr_trunk_abi() { return 2; }

// Whether there is code for a set, and the machine has it. The functions below are for such sets.
int selavpr_trunk_has(int set) { return kernel_of(set) && has(set); }

// Columns of a panel of weights, see product.h.
int selavpr_trunk_panel(int set) { return static_cast<int>(kernel_of(set)->panel); }

// Weights and biases stay the caller's; null: out of memory. width: the widest activation.
void* selavpr_trunk_new(int set, const Block* blocks, int64_t count, int64_t tokens, int64_t dim,
                        int64_t width, float eps, int threads) {
  try {
    return kernel_of(set)->make(blocks, count, tokens, dim, width, eps, threads);
  } catch (...) {
    return nullptr;
  }
}

// x (tokens, dim) float32, in place; 0: done, 1: no threads. Not for two callers at once: the
// buffers are the trunk's.
int selavpr_trunk_run(void* trunk, float* x) { return !static_cast<AnyTrunk*>(trunk)->run(x); }

// phases: 4; x (rows, columns, in), y (2 rows - 1, 2 columns - 1, out), float32. 0: done.
int selavpr_trunk_up(int set, const Product* phases, const float* x, int64_t rows, int64_t columns,
                     float* y, int relu, int threads) {
  try {
    const Grid grid{x, y, rows, columns, phases->in, phases->out};
    return !kernel_of(set)->up(phases, grid, relu, threads);
  } catch (...) {
    return 1;
  }
}

void selavpr_trunk_delete(void* trunk) { delete static_cast<AnyTrunk*>(trunk); }

}  // extern "C"
