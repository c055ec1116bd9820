// SPDX-License-Identifier: MIT
// The transformer blocks and the local head; included once for each instruction set inside its
// namespace and target region, after product.h and an attention.

template <int M>
void attend_last(int64_t left, const Memory& memory, int64_t head, const float* q, int64_t stride,
                 float* scores, float* out, int64_t width) {
  if constexpr (M > 0) {
    if (left == M) return attend<M>(memory, head, q, stride, scores, out, width);
    attend_last<M - 1>(left, memory, head, q, stride, scores, out, width);
  }
}

// Of one thread; rows: tokens at most.
struct Own {
  Array<uint8_t> code;
  Array<float> scale, low, wide, narrow, attended, scores, normed;
  Own(int64_t rows, int64_t dim, int64_t width, int64_t padded)
      : code(rows * width), scale(rows), low(rows), wide(rows * width), narrow(rows * width),
        attended(rows * dim), scores(QUERIES * padded), normed(dim) {}
  Codes codes() { return {code.get(), scale.get(), low.get()}; }
};

struct Trunk : AnyTrunk {
  std::vector<Block> blocks;
  int64_t tokens, dim, width, padded;
  float eps;
  Array<uint32_t> keys, values;  // of two blocks: one is read while the next is written
  std::vector<Own> own;

  Trunk(const Block* first, int64_t count, int64_t tokens_, int64_t dim_, int64_t width_,
        float eps_, int threads)
      : blocks(first, first + count), tokens(tokens_), dim(dim_), width(width_),
        padded((tokens_ + 15) / 16 * 16), eps(eps_), keys(2 * padded * dim_ / HEAD * WORDS),
        values(2 * padded * dim_ / HEAD * WORDS) {
    const int64_t tiles = (tokens + ROWS - 1) / ROWS;
    const int64_t rows = (tiles + threads - 1) / threads * ROWS;
    for (int i = 0; i < threads; ++i) own.emplace_back(rows, dim, width, padded);
  }

  Memory memory(int64_t block) const {
    const int64_t at = block % 2 * padded * dim / HEAD * WORDS;
    return {keys.get() + at, values.get() + at, tokens, padded};
  }

  bool run(float* x) override;
};

inline void normalise(const float* x, const float* weight, const float* bias, const Trunk& t,
                      float* y) {
  auto sum = all(0.0f), squares = all(0.0f);
  for (int64_t i = 0; i < t.dim; i += 16) sum = add(sum, load(x + i));
  const auto mean = all(total(sum) / t.dim);
  for (int64_t i = 0; i < t.dim; i += 16) {
    const auto d = sub(load(x + i), mean);
    squares = fma(d, d, squares);
  }
  const auto factor = all(1.0f / std::sqrt(total(squares) / t.dim + t.eps));
  for (int64_t i = 0; i < t.dim; i += 16) {
    const auto d = mul(sub(load(x + i), mean), factor);
    store(y + i, fma(d, load(weight + i), load(bias + i)));
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
        if (r % VALUE_ROWS == 0) keep_values(memory, h, from + r, row + 2 * t.dim, next);
      }
  }

  void attend_all(const Memory& memory) {
    const int64_t stride = 3 * t.dim;
    for (int64_t h = 0; h < t.dim / HEAD; ++h)
      for (int64_t r = 0; r < rows; r += QUERIES) {
        const float* q = own.wide.get() + r * stride + h * HEAD;
        float* out = own.attended.get() + r * t.dim + h * HEAD;
        attend_last<QUERIES>(std::min<int64_t>(QUERIES, rows - r), memory, h, q, stride,
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
inline void run_part(Trunk& t, float* x, int index, int parts, Gate& gate) {
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

inline bool Trunk::run(float* x) {
  const int parts = static_cast<int>(own.size());
  Gate gate;
  return at_once(parts, [&](int index) { run_part(*this, x, index, parts, gate); });
}

// Row i of the outputs of one phase: those `down` rows and `right` columns beside the inputs.
inline void up_row(const Product& p, const Grid& g, int64_t i, int down, int right, bool relu,
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

inline bool up(const Product* phases, const Grid& g, bool relu, int threads) {
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

inline AnyTrunk* make(const Block* blocks, int64_t count, int64_t tokens, int64_t dim,
                      int64_t width, float eps, int threads) {
  return new Trunk(blocks, count, tokens, dim, width, eps, threads);
}

constexpr Kernel kernel{PANEL, make, up};
