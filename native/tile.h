// SPDX-License-Identifier: MIT
// The kernel's body, included once for each instruction set inside a namespace and a target region
// (hence no include guard). `K` supplies the vectors: see the sets in mutual.cpp.

// A cell's codes in steps of K::GROUP channels, padded with zeros, which add nothing.
template <class K>
int64_t steps_of(int64_t channels) {
  return (channels + K::GROUP - 1) / K::GROUP;
}

// Query cells, K::LANES side by side and the steps one after the other. Lanes beyond the last cell
// repeat it: they never win, as their value is the last cell's and their number is larger.
template <class K>
std::vector<typename K::Q> pack_query(const typename K::Code* query, const Shape& shape) {
  const int64_t steps = steps_of<K>(shape.channels), width = K::LANES * K::GROUP;
  const int64_t vectors = (shape.query_cells + K::LANES - 1) / K::LANES;
  std::vector<typename K::Q> packed(vectors * steps * width, K::query_code(0));
  for (int64_t i = 0; i < vectors * K::LANES; ++i) {
    const auto* cell = query + std::min(i, shape.query_cells - 1) * shape.channels;
    auto* out = packed.data() + (i / K::LANES) * steps * width + (i % K::LANES) * K::GROUP;
    for (int64_t c = 0; c < shape.channels; ++c)
      out[c / K::GROUP * width + c % K::GROUP] = K::query_code(cell[c]);
  }
  return packed;
}

// What one thread needs besides the packed query.
template <class K>
struct Scratch {
  using S = typename K::Score;
  std::vector<typename K::R> cells;             // a tile of reference cells, rows padded
  std::vector<S> start, row_best, column_best;  // start: of a cell's accumulators
  std::vector<int32_t> row_arg, column_arg;     // column_*: K::LANES for each cell of the tile
  std::vector<S> row_second, column_second;     // the second best; K::SECOND alone has these
  std::vector<int64_t> column_lead;             // of a reference cell's best over its second

  Scratch(const Shape& shape) {
    const int64_t lanes = (shape.query_cells + K::LANES - 1) / K::LANES * K::LANES;
    const int64_t tile = TILE + K::NR;
    cells.resize(tile * steps_of<K>(shape.channels) * K::GROUP);
    start.resize(tile);
    row_best.resize(lanes), row_arg.resize(lanes);
    column_best.resize(tile * K::LANES), column_arg.resize(tile * K::LANES);
    if constexpr (K::SECOND) {
      row_second.resize(lanes), column_second.resize(tile * K::LANES);
      column_lead.resize(shape.reference_cells);
    }
  }
};

#include "each.h"

// Never inlined: there GCC runs out of registers, which costs a third of the speed.
//
// M query vectors against all cells of a tile; `rows` is a multiple of K::NR.
// q: (M, steps, LANES * GROUP); first: number of the first query vector; from: the tile's cell 0
template <class K, int M>
__attribute__((noinline)) void compare(const typename K::Q* q, int64_t steps, int64_t first,
                                       int64_t from, int64_t rows, Scratch<K>& s) {
  using V = typename K::V;
  constexpr int N = K::NR;
  const int64_t width = K::LANES * K::GROUP;
  auto* row_best = s.row_best.data() + first * K::LANES;
  auto* row_arg = s.row_arg.data() + first * K::LANES;
  [[maybe_unused]] auto* row_second = s.row_second.data() + first * K::LANES;
  for (int64_t j = 0; j < rows; j += N) {
    const typename K::R* r = s.cells.data() + j * steps * K::GROUP;
    V acc[M * N];
    each<N>([&](auto n) INLINE {
      const V start = K::broadcast(s.start[j + n]);
      each<M>([&](auto m) INLINE { acc[m * N + n] = start; });
    });
    int64_t c = 0;
    do {
      typename K::W cells[M];
      each<M>([&](auto m) INLINE { cells[m] = K::load_query(q + (m * steps + c) * width); });
      each<N>([&](auto n) INLINE {
        const auto cell = K::load_reference(r + (n * steps + c) * K::GROUP);
        each<M>([&](auto m) INLINE { acc[m * N + n] = K::dot(acc[m * N + n], cells[m], cell); });
      });
    } while (++c < steps);
    each<M>([&](auto m) INLINE {  // each query cell's best so far, smaller j first
      auto best = K::load(row_best + m * K::LANES);
      auto arg = K::load_index(row_arg + m * K::LANES);
      auto second = best;
      if constexpr (K::SECOND) second = K::load(row_second + m * K::LANES);
      each<N>([&](auto n) INLINE {
        if constexpr (K::SECOND) second = K::second(acc[m * N + n], best, second);
        K::keep(acc[m * N + n], K::index(static_cast<int32_t>(from + j + n)), best, arg);
      });
      K::store(row_best + m * K::LANES, best);
      K::store_index(row_arg + m * K::LANES, arg);
      if constexpr (K::SECOND) K::store(row_second + m * K::LANES, second);
    });
    each<N>([&](auto n) INLINE {  // each reference cell's best so far, a lane by itself
      const int64_t at = (j + n) * K::LANES;
      auto best = K::load(s.column_best.data() + at);
      auto arg = K::load_index(s.column_arg.data() + at);
      auto second = best;
      if constexpr (K::SECOND) second = K::load(s.column_second.data() + at);
      each<M>([&](auto m) INLINE {
        if constexpr (K::SECOND) second = K::second(acc[m * N + n], best, second);
        K::keep(acc[m * N + n], K::index(static_cast<int32_t>(first + m)), best, arg);
      });
      K::store(s.column_best.data() + at, best);
      K::store_index(s.column_arg.data() + at, arg);
      if constexpr (K::SECOND) K::store(s.column_second.data() + at, second);
    });
  }
}

template <class K, int M>
void compare_rest(int64_t left, const typename K::Q* q, int64_t steps, int64_t first, int64_t from,
                  int64_t rows, Scratch<K>& s) {
  if constexpr (M > 0) {
    if (left == M) return compare<K, M>(q, steps, first, from, rows, s);
    compare_rest<K, M - 1>(left, q, steps, first, from, rows, s);
  }
}

// Copies a tile's cells, padded to a multiple of K::NR by repeating the last; returns how many.
template <class K>
int64_t load_tile(const typename K::Code* reference, int64_t rows, int64_t channels,
                  Scratch<K>& s) {
  const int64_t steps = steps_of<K>(channels), padded = (rows + K::NR - 1) / K::NR * K::NR;
  for (int64_t j = 0; j < padded; ++j) {
    const auto* cell = reference + std::min(j, rows - 1) * channels;
    auto* out = s.cells.data() + j * steps * K::GROUP;
    for (int64_t c = 0; c < channels; ++c) out[c] = cell[c];
    s.start[j] = K::start(cell, channels);
  }
  return padded;
}

// Over the lanes of each cell: the largest value, the smallest query cell among equals.
template <class K>
void reduce_columns(Scratch<K>& s, int64_t from, int64_t rows, int32_t* to_query) {
  for (int64_t j = 0; j < rows; ++j) {
    const auto* best = s.column_best.data() + j * K::LANES;
    const auto* arg = s.column_arg.data() + j * K::LANES;
    auto top = best[0];
    int32_t at = arg[0] * K::LANES;
    int top_lane = 0;
    for (int lane = 1; lane < K::LANES; ++lane) {
      const int32_t cell = arg[lane] * K::LANES + lane;
      if (best[lane] > top || (best[lane] == top && cell < at))
        top = best[lane], at = cell, top_lane = lane;
    }
    to_query[from + j] = at;
    if constexpr (K::SECOND) {
      const auto* seconds = s.column_second.data() + j * K::LANES;
      auto second = *std::max_element(seconds, seconds + K::LANES);
      for (int lane = 0; lane < K::LANES; ++lane)
        if (lane != top_lane) second = std::max(second, best[lane]);
      s.column_lead[from + j] = static_cast<int64_t>(top) - second;
    }
  }
}

// One candidate: to_reference (query_cells), to_query (reference_cells).
template <class K>
void nearest(const std::vector<typename K::Q>& query, const typename K::Code* reference,
             const Shape& shape, Scratch<K>& s, int32_t* to_reference, int32_t* to_query) {
  const int64_t steps = steps_of<K>(shape.channels), width = K::LANES * K::GROUP;
  const int64_t vectors = (shape.query_cells + K::LANES - 1) / K::LANES;
  std::fill(s.row_best.begin(), s.row_best.end(), K::LOWEST);
  std::fill(s.row_arg.begin(), s.row_arg.end(), 0);
  std::fill(s.row_second.begin(), s.row_second.end(), K::LOWEST);
  for (int64_t from = 0; from < shape.reference_cells; from += TILE) {
    const int64_t rows = std::min<int64_t>(TILE, shape.reference_cells - from);
    const int64_t padded =
        load_tile<K>(reference + from * shape.channels, rows, shape.channels, s);
    std::fill_n(s.column_best.begin(), padded * K::LANES, K::LOWEST);
    std::fill_n(s.column_arg.begin(), padded * K::LANES, 0);
    if constexpr (K::SECOND) std::fill_n(s.column_second.begin(), padded * K::LANES, K::LOWEST);
    int64_t first = 0;
    for (; first + K::MR <= vectors; first += K::MR)
      compare<K, K::MR>(query.data() + first * steps * width, steps, first, from, padded, s);
    compare_rest<K, K::MR - 1>(vectors - first, query.data() + first * steps * width, steps, first,
                               from, padded, s);
    reduce_columns<K>(s, from, rows, to_query);
  }
  std::copy_n(s.row_arg.begin(), shape.query_cells, to_reference);
}

// All candidates, dealt out to threads one by one.
template <class K>
void nearest_all(const typename K::Code* query, const typename K::Code* const* references,
                 const Shape& shape, int64_t count, int threads, int32_t* to_reference,
                 int32_t* to_query) {
  const auto packed = pack_query<K>(query, shape);
  deal(count, threads, [&](const std::function<int64_t()>& next) {
    Scratch<K> scratch(shape);
    for (int64_t i = next(); i < count; i = next())
      nearest<K>(packed, references[i], shape, scratch, to_reference + i * shape.query_cells,
                 to_query + i * shape.reference_cells);
  });
}
