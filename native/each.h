// SPDX-License-Identifier: MIT
// Included inside a namespace and a target region, hence no include guard.

// Calls f(0) ... f(N - 1) with numbers known at compile time: arrays so indexed stay in registers.
template <class F, int... I>
INLINE inline void each_of(const F& f, std::integer_sequence<int, I...>) {
  (f(std::integral_constant<int, I>{}), ...);
}

template <int N, class F>
INLINE inline void each(const F& f) {
  each_of(f, std::make_integer_sequence<int, N>{});
}
