// SPDX-License-Identifier: MIT
// The instruction sets that the kernels have code for. Numbers and names: runtime/native.py.

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

#define INLINE __attribute__((always_inline))

// AVX-VNNI is AVX-512 VNNI's vpdpbusd in another encoding. Tests define this to run its code on a
// machine that has the other encoding alone.
#if defined(AVXVNNI_AS_EVEX)
#define VPDPBUSD_YMM "vpdpbusd"
#else
#define VPDPBUSD_YMM "%{vex%} vpdpbusd"
#endif

// For loops that wait for another thread.
inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

enum Set {
  SCALAR = 0,
  AVX2 = 1,
  AVXVNNI = 2,
  AVX512 = 3,      // with VNNI
  AVX512BF16 = 4,  // with VNNI and BF16
  NEON = 5,
  NEON_DOT = 6,
  NEON_I8MM = 7
};

#if defined(__x86_64__)
inline bool has_avxvnni() {
#if defined(AVXVNNI_AS_EVEX)
  return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#else
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
#endif
}
#endif

// Whether this machine has the set; a kernel need not have code for it.
inline bool has(int set) {
  if (set == SCALAR) return true;
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (set == AVX2) return avx2;
  if (set == AVXVNNI) return avx2 && has_avxvnni();
  const bool vnni = avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  if (set == AVX512) return vnni;
  if (set == AVX512BF16) return vnni && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__)
  if (set == NEON) return true;
#if defined(__linux__)
  if (set == NEON_DOT) return getauxval(AT_HWCAP) >> 20 & 1;    // HWCAP_ASIMDDP
  if (set == NEON_I8MM) return getauxval(AT_HWCAP2) >> 13 & 1;  // HWCAP2_I8MM
#else
  if (set == NEON_DOT) return true;  // all of Apple's
#endif
#endif
  return false;
}
