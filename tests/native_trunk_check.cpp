// SPDX-License-Identifier: MIT
// All instruction sets of native/trunk.cpp that this machine has give the bits of plain C++; a
// program of its own, so that it can be built with sanitizers or for another machine.

#include "../native/trunk.cpp"

#include <cstdio>
#include <list>
#include <random>

namespace {

std::mt19937 random_bits(0);

std::vector<float> floats(int64_t count, float spread) {
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> values(count);
  for (auto& value : values) value = normal(random_bits);
  return values;
}

// A product as int8.py makes it: four codes that AVX2 adds sum up to 128 at most.
struct Weights {
  std::vector<int8_t> codes;  // (out, in)
  std::vector<float> scale, bias;
  std::vector<int32_t> sums;
  int64_t in, out;

  Weights(int64_t in_, int64_t out_) : codes(in_ * out_), sums(out_), in(in_), out(out_) {
    scale = floats(out, 1e-3f), bias = floats(out, 0.3f);
    std::uniform_int_distribution<int> code(-32, 32);
    for (auto& one : codes) one = code(random_bits);
    for (int64_t i = 0; i < in * out; ++i) sums[i / in] += codes[i];
  }
};

// The same in the order of one set; `kept` owns it.
Product packed(const Weights& w, int64_t panel, std::list<std::vector<int8_t>>& kept) {
  kept.emplace_back(w.codes.size());
  auto& to = kept.back();
  for (int64_t o = 0; o < w.out; ++o)
    for (int64_t i = 0; i < w.in; ++i)
      to[o / panel * panel * w.in + i / 4 * 4 * panel + o % panel * 4 + i % 4] =
          w.codes[o * w.in + i];
  return {to.data(), w.scale.data(), w.sums.data(), w.bias.data(), w.in, w.out};
}

struct Case {
  int64_t tokens, dim, adapter;
  std::vector<Weights> weights;  // of two blocks, eight each
  std::vector<float> norm, x;

  Case(int64_t tokens_, int64_t dim_, int64_t adapter_)
      : tokens(tokens_), dim(dim_), adapter(adapter_), norm(floats(dim_, 1.0f)),
        x(floats(tokens_ * dim_, 2.0f)) {
    for (int block = 0; block < 2; ++block)
      for (auto [in, out] : {std::pair{dim, 3 * dim},
                             {dim, dim},
                             {dim, adapter},
                             {adapter, dim},
                             {dim, 4 * dim},
                             {4 * dim, dim},
                             {dim, adapter},
                             {adapter, dim}})
        weights.emplace_back(in, out);
  }

  std::vector<float> by(int set, int threads) const {
    std::list<std::vector<int8_t>> kept;
    std::vector<Block> blocks;
    for (int at = 0; at < 16; at += 8) {
      Product p[8] = {};
      for (int i = 0; i < 8; ++i)
        if (weights[at + i].in && weights[at + i].out)
          p[i] = packed(weights[at + i], selavpr_trunk_panel(set), kept);
      const float* n = norm.data();
      blocks.push_back({n, n, n, n, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]});
    }
    auto y = x;
    void* trunk = selavpr_trunk_new(set, blocks.data(), 2, tokens, dim, 4 * dim, 1e-6f, threads);
    if (!trunk || selavpr_trunk_run(trunk, y.data())) y.clear();
    selavpr_trunk_delete(trunk);
    return y;
  }
};

std::vector<float> up_by(int set, const std::vector<Weights>& phases, const std::vector<float>& x,
                         int64_t rows, int64_t columns) {
  std::list<std::vector<int8_t>> kept;
  Product p[4];
  for (int i = 0; i < 4; ++i) p[i] = packed(phases[i], selavpr_trunk_panel(set), kept);
  std::vector<float> y((2 * rows - 1) * (2 * columns - 1) * p[0].out);
  if (selavpr_trunk_up(set, p, x.data(), rows, columns, y.data(), 1, 2)) y.clear();
  return y;
}

double largest_gap(const std::vector<float>& a, const std::vector<float>& b) {
  double gap = a.size() == b.size() ? 0.0 : 1e30;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    gap = std::max<double>(gap, std::isfinite(a[i]) ? std::fabs(a[i] - b[i]) : 1e30);
  return gap;
}

}  // namespace

int main() {
  const std::vector<Case> cases{{1, 64, 0}, {23, 128, 64}, {50, 192, 128}};
  std::vector<Weights> phases;
  for (int64_t parts : {1, 2, 2, 4}) phases.emplace_back(64 * parts, 128);
  const auto grid = floats(5 * 7 * 64, 1.0f);
  const auto up = up_by(SCALAR, phases, grid, 5, 7);
  int wrong = 0;
  for (int set : {AVX2, AVXVNNI, AVX512, AVX512BF16, NEON_DOT, NEON_I8MM}) {
    if (!selavpr_trunk_has(set)) continue;
    double gap = largest_gap(up_by(set, phases, grid, 5, 7), up);
    wrong += gap != 0.0;
    for (const auto& one : cases) {
      gap = largest_gap(one.by(set, 3), one.by(SCALAR, 1));
      wrong += set == AVX512BF16 ? gap > 0.5 : gap != 0.0;  // its attention is in bf16
    }
    std::printf("set %d: off by %g\n", set, gap);
  }
  std::printf("%d wrong\n", wrong);
  return wrong != 0;
}
