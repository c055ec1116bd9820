// SPDX-License-Identifier: MIT
// Floats compared as codes of 16 bits, twice as fast, with the floats' own answers: a cell whose
// best leads its second by more than rounding can do has the best that floats give; the others are
// compared again as floats. Included once for each set that has Int16, inside its namespace and
// target region.

constexpr double LONGEST = 46000.0;  // of a cell's codes: sums of their products stay below 2^31
constexpr double UNIT = 1.0 / (1 << 24);  // relative rounding of a float

struct Rounded {
  std::vector<int16_t> codes;
  double length, error;  // largest of a cell: of its values times the scale; of what codes lack
};

constexpr int WIDTH = 16;  // floats that are computed at once

// Calls step(c, i) for all channels c, i = c modulo WIDTH.
template <class Step>
INLINE inline void over_channels(int64_t channels, const Step& step) {
  int64_t c = 0;
  for (; c + WIDTH <= channels; c += WIDTH)
    for (int i = 0; i < WIDTH; ++i) step(c + i, i);
  for (int i = 0; c + i < channels; ++i) step(c + i, i);
}

inline float sum_of(const float (&lanes)[WIDTH]) {
  float sum = 0.0f;
  for (float lane : lanes) sum += lane;
  return sum;
}

// To the nearest whole number, for numbers below 2^22.
INLINE inline float whole(float x) { return (x + 12582912.0f) - 12582912.0f; }

// Codes for cells of `channels` floats; false where these are all zero or not finite.
inline bool round_cells(const float* values, int64_t cells, int64_t channels, Rounded& out) {
  float largest[WIDTH] = {}, longest = 0.0f;  // longest: squared
  bool finite = true;
  for (int64_t i = 0; i < cells; ++i) {
    const float* cell = values + i * channels;
    float square[WIDTH] = {};
    over_channels(channels, [&](int64_t c, int l) INLINE {
      square[l] += cell[c] * cell[c];
      largest[l] = std::max(largest[l], std::fabs(cell[c]));
    });
    const float sum = sum_of(square);
    finite = finite && std::isfinite(sum);
    longest = std::max(longest, sum);
  }
  if (!finite || longest < std::numeric_limits<float>::min()) return false;
  const double to_longest = (LONGEST - 0.5 * std::sqrt(double(channels))) / std::sqrt(longest);
  const float peak = *std::max_element(largest, largest + WIDTH);
  const float scale = std::min(INT16_MAX / double(peak), to_longest);
  float error = 0.0f;  // squared
  out.codes.resize(cells * channels);
  for (int64_t i = 0; i < cells; ++i) {
    const float* cell = values + i * channels;
    int16_t* codes = out.codes.data() + i * channels;
    float square[WIDTH] = {};
    over_channels(channels, [&](int64_t c, int l) INLINE {
      const float v = cell[c] * scale, code = whole(v);
      square[l] += (v - code) * (v - code);
      codes[c] = static_cast<int16_t>(static_cast<int32_t>(code));
    });
    error = std::max(error, sum_of(square));
  }
  out.length = scale * std::sqrt(longest);
  out.error = std::sqrt(error) + 2 * UNIT * out.length;  // multiplying by the scale rounded, too
  return true;
}

// Two cells whose products of codes differ by more keep their order as floats, whose sums are off
// by at most channels * UNIT of the lengths.
inline double margin(const Rounded& a, const Rounded& b, int64_t channels) {
  const double codes = a.length * b.error + a.error * b.length + a.error * b.error;
  return 1.001 * 2 * (codes + channels * UNIT * a.length * b.length);
}

// The best of `others` for those of `cells` that are `asked`, as floats, into `best`.
template <class F>
void ask_again(const float* cells, const std::vector<int64_t>& asked, const float* others,
               int64_t other_cells, int64_t channels, int32_t* best) {
  if (asked.empty()) return;
  const Shape shape{static_cast<int64_t>(asked.size()), other_cells, channels};
  std::vector<float> gathered(asked.size() * channels);
  for (size_t i = 0; i < asked.size(); ++i)
    std::copy_n(cells + asked[i] * channels, channels, gathered.data() + i * channels);
  std::vector<int32_t> found(asked.size()), unused(other_cells);
  Scratch<F> scratch(shape);
  nearest<F>(pack_query<F>(gathered.data(), shape), others, shape, scratch, found.data(),
             unused.data());
  for (size_t i = 0; i < asked.size(); ++i) best[asked[i]] = found[i];
}

// One candidate, as nearest<F> and with its answers; C: the codes, `packed` those of the query.
template <class F, class C>
void nearest_rounded(const float* query, const Rounded& codes,
                     const std::vector<typename C::Q>& packed, const float* reference,
                     const Shape& shape, Scratch<C>& s, Rounded& other, int32_t* to_reference,
                     int32_t* to_query) {
  const auto [query_cells, reference_cells, channels] = shape;
  const auto as_floats = [&] {
    nearest_all<F>(query, &reference, shape, 1, 1, to_reference, to_query);
  };
  if (!round_cells(reference, reference_cells, channels, other)) return as_floats();
  nearest<C>(packed, other.codes.data(), shape, s, to_reference, to_query);
  const double least = margin(codes, other, channels);
  std::vector<int64_t> rows, columns;  // that lead by too little
  for (int64_t i = 0; i < query_cells; ++i)
    if (double(s.row_best[i]) - s.row_second[i] <= least) rows.push_back(i);
  for (int64_t j = 0; j < reference_cells; ++j)
    if (s.column_lead[j] <= least) columns.push_back(j);
  if (rows.size() + columns.size() > size_t(std::min(query_cells, reference_cells)))
    return as_floats();  // all at once is quicker
  ask_again<F>(query, rows, reference, reference_cells, channels, to_reference);
  ask_again<F>(reference, columns, query, query_cells, channels, to_query);
}

// All candidates, as nearest_all<F> and with its answers.
template <class F, class C>
void nearest_all_rounded(const float* query, const float* const* references, const Shape& shape,
                         int64_t count, int threads, int32_t* to_reference, int32_t* to_query) {
  Rounded codes;
  if (!round_cells(query, shape.query_cells, shape.channels, codes))
    return nearest_all<F>(query, references, shape, count, threads, to_reference, to_query);
  const auto packed = pack_query<C>(codes.codes.data(), shape);
  deal(count, threads, [&](const std::function<int64_t()>& next) {
    Scratch<C> scratch(shape);
    Rounded other;
    for (int64_t i = next(); i < count; i = next())
      nearest_rounded<F, C>(query, codes, packed, references[i], shape, scratch, other,
                            to_reference + i * shape.query_cells,
                            to_query + i * shape.reference_cells);
  });
}
