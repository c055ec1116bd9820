// SPDX-License-Identifier: MIT
// Codes of 7 bits, as the codecs make them, compared in sums of 16 bits: the kernel of AVX2, which
// has no instruction for products of bytes in 32 bits. Included inside its namespace and target
// region; the answers are those of any other kernel.
//
// Query codes are moved up by 64, so that vpmaddubsw, unsigned times signed, adds two products
// without saturating. What it adds up may wrap around: a sum that fits into 16 bits at its end is
// right whatever came between. It does fit where the lengths of the codes say so (Cauchy and
// Schwarz), which is asked of each candidate; another one goes to the kernel of 16-bit codes.
//
// A similarity times 2^14 and the numbers of its two cells make one key of 32 bits: the largest
// key has the largest similarity and, among equals, the smallest number.

constexpr int SIDE = 128;  // cells of a tile and vectors of a block, so that numbers have 7 bits
constexpr int ONE = SIDE * SIDE;    // of a key: what a similarity of 1 is in it
constexpr int CHUNK = 32;           // steps of four channels that are added up in 16 bits
constexpr int LANES = 8, STEP = 4;  // query cells in a vector, channels in a step
constexpr int MOVED_UP = 64;
constexpr int MR = 3, NR = 3;  // 9 sums, 3 + 1 operands, a product: 14 of 16

inline __m256i at(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void put(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

// How the codes of a cell lie: in steps, padded with zeros to whole vectors of 16.
struct Steps {
  int64_t steps, stride, chunks;
  explicit Steps(int64_t channels)
      : steps((channels + STEP - 1) / STEP), stride((steps + 3) / 4 * 4),
        chunks((steps + CHUNK - 1) / CHUNK) {}
  int64_t end(int64_t chunk) const { return std::min(steps, (chunk + 1) * CHUNK); }
};

// The largest squared lengths of all cells: of all codes, and for each chunk of those that are
// added up in the lower half of a 32-bit lane, and in the upper half.
struct Lengths {
  int64_t whole = 0;
  std::vector<std::array<int32_t, 2>> halves;
  explicit Lengths(int64_t chunks = 0) : halves(chunks) {}
};

// A cell's part of the lengths; gives minus 64 times its sums, for each chunk two of 16 bits.
inline void measure(const int8_t* codes, const Steps& size, Lengths& longest, int32_t* starts) {
  int64_t whole = 0;
  for (int64_t k = 0; k < size.chunks; ++k) {
    auto sums = _mm256_setzero_si256(), squares = sums;
    const int64_t end = std::min(size.stride, (k + 1) * CHUNK) * STEP;
    for (int64_t c = k * CHUNK * STEP; c < end; c += 16) {
      const auto sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + c));
      const auto wide = _mm256_cvtepi8_epi16(sixteen);
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(wide, _mm256_set1_epi16(1)));
      squares = _mm256_add_epi32(squares, _mm256_madd_epi16(wide, wide));
    }
    int32_t sum[8], square[8];
    put(sum, sums), put(square, squares);
    uint32_t start = 0;
    for (int half = 0; half < 2; ++half) {
      const auto of_half = [half](const int32_t* a) {
        return a[half] + a[half + 2] + a[half + 4] + a[half + 6];
      };
      whole += of_half(square);
      longest.halves[k][half] = std::max(longest.halves[k][half], of_half(square));
      start |= static_cast<uint32_t>(static_cast<uint16_t>(-MOVED_UP * of_half(sum))) << 16 * half;
    }
    starts[k] = static_cast<int32_t>(start);
  }
  longest.whole = std::max(longest.whole, whole);
}

// Whether no sum of products exceeds 16 bits, and no similarity 18.
inline bool fit(const Lengths& a, const Lengths& b) {
  const auto within = [](int64_t x, int64_t y, int64_t most) { return x * y <= most * most; };
  for (size_t k = 0; k < a.halves.size(); ++k)
    for (int half = 0; half < 2; ++half)
      if (!within(a.halves[k][half], b.halves[k][half], INT16_MAX)) return false;
  return within(a.whole, b.whole, INT32_MAX / ONE - 1);
}

struct SevenQuery {
  std::vector<uint8_t> codes;  // (vectors, steps, LANES, STEP), moved up
  Lengths lengths;
  int64_t vectors;
};

// False where a code does not have 7 bits.
inline bool pack_seven(const int8_t* query, const Shape& shape, SevenQuery& out) {
  const Steps size(shape.channels);
  out.vectors = (shape.query_cells + LANES - 1) / LANES;
  out.codes.resize(out.vectors * size.steps * LANES * STEP);
  out.lengths = Lengths(size.chunks);
  std::vector<int8_t> cell(size.stride * STEP);
  std::vector<int32_t> unused(size.chunks);
  uint8_t over = 0;
  for (int64_t i = 0; i < out.vectors * LANES; ++i) {  // lanes beyond the last cell repeat it
    const auto* from = query + std::min(i, shape.query_cells - 1) * shape.channels;
    std::copy_n(from, shape.channels, cell.begin());
    measure(cell.data(), size, out.lengths, unused.data());
    for (auto& code : cell) code = static_cast<int8_t>(code + MOVED_UP), over |= code;
    auto* to = out.codes.data() + (i / LANES * size.steps * LANES + i % LANES) * STEP;
    for (int64_t step = 0; step < size.steps; ++step)
      std::memcpy(to + step * LANES * STEP, cell.data() + step * STEP, STEP);
    std::fill(cell.begin() + shape.channels, cell.end(), 0);
  }
  return over < 128;
}

struct SevenScratch {
  std::vector<int8_t> cells;    // a tile of reference cells
  std::vector<int32_t> starts;  // (cells, chunks)
  Lengths lengths;
  std::vector<int32_t> rows, columns;  // keys within a tile and block: LANES for each cell
  std::vector<int32_t> row_best, row_arg, column_best;  // similarities over all tiles or blocks

  SevenScratch(const Steps& size, int64_t vectors)
      : cells((SIDE + NR) * size.stride * STEP), starts((SIDE + NR) * size.chunks),
        lengths(size.chunks), rows(SIDE * LANES), columns((SIDE + NR) * LANES),
        row_best(vectors * LANES), row_arg(vectors * LANES), column_best(SIDE) {}
};

inline __m256i four_codes(const int8_t* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

// M query vectors of a block against the first `count` cells of the tile, a multiple of NR; first:
// number of the first vector in the block. Never inlined: there GCC runs out of registers.
template <int M>
__attribute__((noinline)) void compare_seven(const uint8_t* query, const Steps& size, int first,
                                             int count, SevenScratch& s) {
  constexpr int N = NR;
  int32_t* rows = s.rows.data() + first * LANES;
  for (int j = 0; j < count; j += N) {
    const int8_t* cells = s.cells.data() + j * size.stride * STEP;
    __m256i keys[M * N];
    each<N>([&](auto n) INLINE {
      each<M>([&](auto m) INLINE {
        const int number = (SIDE - 1 - j - n) * SIDE + SIDE - 1 - first - m;
        keys[m * N + n] = _mm256_set1_epi32(number);
      });
    });
    int64_t step = 0;
    for (int64_t k = 0; k < size.chunks; ++k) {
      __m256i sums[M * N];
      each<N>([&](auto n) INLINE {
        const auto start = _mm256_set1_epi32(s.starts[(j + n) * size.chunks + k]);
        each<M>([&](auto m) INLINE { sums[m * N + n] = start; });
      });
      const int64_t end = size.end(k);
      do {
        __m256i lanes[M];
        each<M>([&](auto m)
                    INLINE { lanes[m] = at(query + (m * size.steps + step) * LANES * STEP); });
        each<N>([&](auto n) INLINE {
          const auto cell = four_codes(cells + (n * size.stride + step) * STEP);
          each<M>([&](auto m) INLINE {
            __m256i product;
            asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"
                : "+x"(sums[m * N + n]), "=&x"(product)
                : "x"(lanes[m]), "x"(cell));
          });
        });
      } while (++step < end);
      each<M * N>([&](auto i) INLINE {
        const auto whole = _mm256_madd_epi16(sums[i], _mm256_set1_epi16(ONE));
        keys[i] = _mm256_add_epi32(keys[i], whole);
      });
    }
    each<M>([&](auto m) INLINE {
      auto best = at(rows + m * LANES);
      each<N>([&](auto n) INLINE { best = _mm256_max_epi32(best, keys[m * N + n]); });
      put(rows + m * LANES, best);
    });
    each<N>([&](auto n) INLINE {
      auto* column = s.columns.data() + (j + n) * LANES;
      auto best = at(column);
      each<M>([&](auto m) INLINE { best = _mm256_max_epi32(best, keys[m * N + n]); });
      put(column, best);
    });
  }
}

// Copies a tile's cells, padded to a multiple of NR by repeating the last, whose larger number
// never wins; gives how many.
inline int load_seven(const int8_t* reference, int rows, const Shape& shape, const Steps& size,
                      SevenScratch& s) {
  s.lengths = Lengths(size.chunks);
  const int padded = (rows + NR - 1) / NR * NR;
  for (int j = 0; j < padded; ++j) {
    auto* cell = s.cells.data() + j * size.stride * STEP;
    std::copy_n(reference + std::min(j, rows - 1) * shape.channels, shape.channels, cell);
    measure(cell, size, s.lengths, s.starts.data() + j * size.chunks);
  }
  return padded;
}

// All vectors of a block, `count` of them, against the tile.
inline void compare_block(const uint8_t* query, const Steps& size, int count, int padded,
                          SevenScratch& s) {
  const int64_t vector = size.steps * LANES * STEP;
  int first = 0;
  for (; first + MR <= count; first += MR)
    compare_seven<MR>(query + first * vector, size, first, padded, s);
  if (count - first == 2) compare_seven<2>(query + first * vector, size, first, padded, s);
  if (count - first == 1) compare_seven<1>(query + first * vector, size, first, padded, s);
}

// What the keys of a tile and block say, into the best over all of them; `from`: the tile's first
// cell, `first`: the block's first vector.
inline void take_rows(int64_t from, int64_t first, int count, SevenScratch& s) {
  int32_t *best = s.row_best.data() + first * LANES, *arg = s.row_arg.data() + first * LANES;
  for (int i = 0; i < count * LANES; ++i) {
    const int32_t similarity = s.rows[i] >> 14;
    const int32_t cell = static_cast<int32_t>(from) + SIDE - 1 - ((s.rows[i] >> 7) & (SIDE - 1));
    arg[i] = similarity > best[i] ? cell : arg[i];
    best[i] = std::max(similarity, best[i]);
  }
}

inline void take_columns(int rows, int64_t first, SevenScratch& s, int32_t* to_query) {
  for (int j = 0; j < rows; ++j) {
    const auto* keys = s.columns.data() + j * LANES;
    const auto* key = std::max_element(keys, keys + LANES);  // the first lane of equal ones
    if (*key >> 14 <= s.column_best[j]) continue;
    s.column_best[j] = *key >> 14;
    const int64_t vector = first + SIDE - 1 - (*key & (SIDE - 1));
    to_query[j] = static_cast<int32_t>(vector * LANES + (key - keys));
  }
}

// One candidate; false where its codes are too long.
inline bool nearest_seven(const SevenQuery& query, const int8_t* reference, const Shape& shape,
                          SevenScratch& s, int32_t* to_reference, int32_t* to_query) {
  const Steps size(shape.channels);
  std::fill(s.row_best.begin(), s.row_best.end(), INT32_MIN);
  for (int64_t from = 0; from < shape.reference_cells; from += SIDE) {
    const int rows = static_cast<int>(std::min<int64_t>(SIDE, shape.reference_cells - from));
    const int padded = load_seven(reference + from * shape.channels, rows, shape, size, s);
    if (!fit(query.lengths, s.lengths)) return false;
    std::fill(s.column_best.begin(), s.column_best.end(), INT32_MIN);
    for (int64_t first = 0; first < query.vectors; first += SIDE) {
      const int count = static_cast<int>(std::min<int64_t>(SIDE, query.vectors - first));
      std::fill(s.rows.begin(), s.rows.end(), INT32_MIN);
      std::fill(s.columns.begin(), s.columns.end(), INT32_MIN);
      const auto* block = query.codes.data() + first * size.steps * LANES * STEP;
      compare_block(block, size, count, padded, s);
      take_rows(from, first, count, s);
      take_columns(rows, first, s, to_query + from);
    }
  }
  std::copy_n(s.row_arg.begin(), shape.query_cells, to_reference);
  return true;
}

// All candidates, as nearest_all<Wide> and with its answers.
inline void nearest_all_seven(const int8_t* query, const int8_t* const* references,
                              const Shape& shape, int64_t count, int threads,
                              int32_t* to_reference, int32_t* to_query) {
  SevenQuery packed;
  if (!pack_seven(query, shape, packed))
    return nearest_all<Wide>(query, references, shape, count, threads, to_reference, to_query);
  deal(count, threads, [&](const std::function<int64_t()>& next) {
    SevenScratch scratch(Steps(shape.channels), packed.vectors);
    for (int64_t i = next(); i < count; i = next()) {
      auto* row = to_reference + i * shape.query_cells;
      auto* column = to_query + i * shape.reference_cells;
      if (!nearest_seven(packed, references[i], shape, scratch, row, column))
        nearest_all<Wide>(query, references + i, shape, 1, 1, row, column);
    }
  });
}
