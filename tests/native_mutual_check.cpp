// SPDX-License-Identifier: MIT
// All instruction sets of native/mutual.cpp that this machine has, against two argmax over all
// products; a program of its own, so that it can be built with sanitizers or for another machine.

#include "../native/mutual.cpp"

#include <cstdio>
#include <random>

namespace {

using Found = std::pair<std::vector<int32_t>, std::vector<int32_t>>;

Found by_matrix(const std::vector<int8_t>& query, const std::vector<int8_t>& reference,
                const Shape& shape) {
  const auto [queries, references, channels] = shape;
  Found best{std::vector<int32_t>(queries), std::vector<int32_t>(references)};
  std::vector<int32_t> row(queries, INT32_MIN), column(references, INT32_MIN);
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < references; ++j) {
      int32_t sum = 0;
      for (int64_t c = 0; c < channels; ++c)
        sum += query[i * channels + c] * reference[j * channels + c];
      if (sum > row[i]) row[i] = sum, best.first[i] = j;
      if (sum > column[j]) column[j] = sum, best.second[j] = i;
    }
  return best;
}

template <class Run, class Code, class... How>
Found by_kernel(Run run, const std::vector<Code>& query, const std::vector<Code>& reference,
                const Shape& shape, How... how) {
  Found best{std::vector<int32_t>(shape.query_cells), std::vector<int32_t>(shape.reference_cells)};
  const Code* pointer = reference.data();
  run(query.data(), &pointer, shape.query_cells, shape.reference_cells, shape.channels, 1, 2,
      how..., best.first.data(), best.second.data());
  return best;
}

}  // namespace

int main() {
  std::mt19937 random(0);
  int wrong = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const Shape shape{1 + random() % 120, 1 + random() % 300, 1 + random() % 140};
    const int largest = trial % 3 ? 1 : 127;  // ties everywhere, or all codes
    std::uniform_int_distribution<int> codes(-largest, largest);
    std::vector<int8_t> query(shape.query_cells * shape.channels);
    std::vector<int8_t> reference(shape.reference_cells * shape.channels);
    for (auto* side : {&query, &reference})
      for (auto& code : *side) code = codes(random);
    const std::vector<float> q(query.begin(), query.end()), r(reference.begin(), reference.end());
    const Found expected = by_matrix(query, reference, shape);
    for (int set : {SCALAR, AVX2, AVXVNNI, AVX512, NEON, NEON_DOT}) {
      if (!has(set)) continue;
      wrong += by_kernel(selavpr_mutual_int8, query, reference, shape, set) != expected;
      for (int rounded : {0, 1})
        wrong += by_kernel(selavpr_mutual_float, q, r, shape, set, rounded) != expected;
    }
  }
  for (int set : {SCALAR, AVX2, AVXVNNI, AVX512, NEON, NEON_DOT})
    if (has(set)) std::printf("set %d\n", set);
  std::printf("%d wrong\n", wrong);
  return wrong != 0;
}
