#include "cpu/packed_matmul.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "cpu/layout.h"
#include "cpu/packed_plan.h"

namespace blockrank {
namespace {

// Adding −0 changes no bit of any value.
constexpr auto kNothing = [] {
  std::array<float, kMaxPackedPanelRows> zeros{};
  for (float& zero : zeros) zero = -0.0f;
  return zeros;
}();

struct Range {
  int64_t begin;
  int64_t size;
  int64_t end() const { return begin + size; }
};

Range Piece(int64_t index, int64_t piece, int64_t total) {
  return {index * piece, std::min(piece, total - index * piece)};
}

// Floats between the blocks of t: one line more than they need, against sharing sets of the L1 cache.
constexpr int64_t TBlock(int64_t tokens, int64_t width) { return tokens * width + 16; }

// Hands out 64-byte aligned parts of one buffer; without a buffer it only counts.
class Carver {
 public:
  explicit Carver(float* memory) : memory_(memory) {}
  template <class T>
  T* Take(int64_t count) {
    float* part = memory_ == nullptr ? nullptr : memory_ + floats_;
    floats_ += CeilDiv(count * static_cast<int64_t>(sizeof(T)), 64) * 16;
    return reinterpret_cast<T*>(part);
  }
  int64_t floats() const { return floats_; }

 private:
  float* memory_;
  int64_t floats_ = 0;
};

// What exists of some tokens between X and Y.
struct Batch {
  int64_t tokens;
  const void* x;      // the first token's
  void* y;            // likewise
  uint8_t* narrow;    // [token][x_stride]
  BlockScale* scale;  // [token][b_in]
  float* z;           // [b_out][token][z_stride]

  int64_t Carve(const Problem& p, const PackedPlan& plan, float* memory) {
    Carver carver(memory);
    narrow = carver.Take<uint8_t>(tokens * plan.x_stride);
    scale = carver.Take<BlockScale>(tokens * p.dims.b_in);
    z = carver.Take<float>(p.dims.b_out * tokens * plan.z_stride);
    return carver.floats();
  }
};

// What a task works in.
struct Scratch {
  float* wide;          // a block of X as fp32, where X is not
  float* t;             // [b_in][tile][t_width]
  uint8_t* z;           // narrowed z_i: [tile][zq_stride]
  BlockScale* z_scale;  // [tile][blocks of z_i]
  float* c;             // [tile][panel_rows]

  int64_t Carve(const Problem& p, const PackedPlan& plan, int64_t panel_rows, float* memory) {
    const bool blast = p.structure == Structure::kBlast;
    const Dims& d = p.dims;
    Carver carver(memory);
    wide = carver.Take<float>(p.x_type == DType::kFloat32 ? 0 : d.p());
    t = carver.Take<float>(blast ? d.b_in * TBlock(plan.tile, plan.t_width) : 0);
    z = carver.Take<uint8_t>(plan.tile * plan.zq_stride);
    z_scale = carver.Take<BlockScale>(plan.tile * ZBlocks(p));
    c = carver.Take<float>(plan.tile * panel_rows);
    return carver.floats();
  }
};

class PackedCall {
 public:
  PackedCall(const Problem& problem, const PackedFactors& factors, const PackedTable& table, Host& host,
             int64_t threads)
      : p_(problem),
        d_(problem.dims),
        factors_(factors),
        table_(table),
        host_(host),
        plan_(MakePackedPlan(problem, table, threads)) {}

  bool Run() {
    const int64_t batches = CeilDiv(p_.tokens, plan_.batch);
    if (plan_.local) {
      ForEach(host_, batches, [&](int64_t index) { LocalTask(Piece(index, plan_.batch, p_.tokens)); });
    } else {
      for (int64_t index = 0; index < batches && !failed_; ++index)
        Stages(Piece(index, plan_.batch, p_.tokens));
    }
    return !failed_;
  }

 private:
  // One tile of tokens from X to Y in this task's cache.
  void LocalTask(Range tokens) {
    Batch batch = Tokens(tokens);
    const FloatBuffer memory(host_, batch.Carve(p_, plan_, nullptr));
    if (!Check(memory)) return;
    batch.Carve(p_, plan_, memory.data());
    WithScratch([&](const Scratch& scratch) {
      const Range all{0, batch.tokens};
      NarrowX(batch, all, scratch);
      for (int64_t i = 0; i < VSlabs(p_); ++i) Stage1(batch, all, i, {0, d_.rank}, scratch);
      for (int64_t i = 0; i < d_.b_out; ++i) Stage2(batch, all, i, {0, BlockRows(p_, i)}, scratch);
    });
  }

  // The same for all threads together: each stage is a launch of its own.
  void Stages(Range tokens) {
    Batch batch = Tokens(tokens);
    const FloatBuffer memory(host_, batch.Carve(p_, plan_, nullptr));
    if (!Check(memory)) return;
    batch.Carve(p_, plan_, memory.data());
    const int64_t tiles = CeilDiv(batch.tokens, plan_.tile);
    const auto launch = [&](int64_t count, auto&& body) {
      ForEach(host_, count * tiles, [&](int64_t index) {
        const Range tile = Piece(index % tiles, plan_.tile, batch.tokens);
        WithScratch([&](const Scratch& scratch) { body(tile, index / tiles, scratch); });
      });
    };
    launch(1, [&](Range tile, int64_t, const Scratch& scratch) { NarrowX(batch, tile, scratch); });
    const int64_t rank_chunks = CeilDiv(d_.rank, plan_.rank_chunk);
    launch(VSlabs(p_) * rank_chunks, [&](Range tile, int64_t index, const Scratch& scratch) {
      Stage1(batch, tile, index / rank_chunks, Piece(index % rank_chunks, plan_.rank_chunk, d_.rank),
             scratch);
    });
    const int64_t row_chunks = CeilDiv(d_.q(), plan_.row_chunk);
    launch(d_.b_out * row_chunks, [&](Range tile, int64_t index, const Scratch& scratch) {
      const int64_t i = index / row_chunks;
      const Range rows = Piece(index % row_chunks, plan_.row_chunk, BlockRows(p_, i));
      if (rows.size > 0) Stage2(batch, tile, i, rows, scratch);
    });
  }

  Batch Tokens(Range tokens) const {
    return {tokens.size,
            Element(p_.x, p_.x_type, tokens.begin * d_.in),
            Element(p_.y, p_.x_type, tokens.begin * d_.out),
            nullptr,
            nullptr,
            nullptr};
  }

  template <class Body>
  void WithScratch(Body&& body) {
    Scratch scratch;
    const FloatBuffer memory(host_, scratch.Carve(p_, plan_, table_.panel_rows, nullptr));
    if (!Check(memory)) return;
    scratch.Carve(p_, plan_, table_.panel_rows, memory.data());
    body(scratch);
  }

  void NarrowX(const Batch& batch, Range tokens, const Scratch& scratch) const {
    const auto widen = table_.widen[static_cast<int>(p_.x_type)];
    for (int64_t t = tokens.begin; t < tokens.end(); ++t) {
      for (int64_t j = 0; j < d_.b_in; ++j) {
        const Range columns = Piece(j, d_.p(), d_.in);
        const void* source = Element(batch.x, p_.x_type, t * d_.in + columns.begin);
        if (p_.x_type != DType::kFloat32) {
          widen(source, columns.size, scratch.wide);
          source = scratch.wide;
        }
        table_.narrow(static_cast<const float*>(source), columns.size,
                      batch.narrow + t * plan_.x_stride + j * plan_.x_block, batch.scale + t * d_.b_in + j);
      }
    }
  }

  // z[rank] from narrowed X, some columns at a time, so that t stays in this task's cache.
  void Stage1(const Batch& batch, Range tokens, int64_t slab, Range rank, const Scratch& scratch) const {
    const bool blast = p_.structure == Structure::kBlast;
    for (int64_t column = rank.begin; column < rank.end(); column += plan_.t_width) {
      const int64_t columns = std::min(plan_.t_width, rank.end() - column);
      const int64_t width = CeilDiv(columns, table_.panel_rows) * table_.panel_rows;
      if (blast) {
        Project(batch, tokens, slab, {column, width}, {scratch.t, width, TBlock(tokens.size, width)});
        Couple(batch, tokens, {column, width}, scratch);
      } else {
        Project(batch, tokens, slab, {column, width},
                {Z(batch, slab, tokens.begin) + column, plan_.z_stride, plan_.z_block});
      }
    }
  }

  // Where t goes: floats between tokens and between blocks j.
  struct Target {
    float* data;
    int64_t token_stride;
    int64_t block_stride;
  };

  // target[j, t, n] = V[column n, block j] · x_j, for whole panels of columns
  void Project(const Batch& batch, Range tokens, int64_t slab, Range columns, const Target& target) const {
    const PackedMatrix& v = factors_.v;
    for (int64_t n = 0; n < columns.size; n += table_.panel_rows) {
      const int64_t panel = (columns.begin + n) / table_.panel_rows;
      for (int64_t j = 0; j < d_.b_in; ++j) {
        table_.gemm({batch.narrow + tokens.begin * plan_.x_stride + j * plan_.x_block, plan_.x_stride,
                     tokens.size, v.Panel(slab, panel, j), Groups(Piece(j, d_.p(), d_.in).size),
                     table_.panel_rows, RowScale(v, slab, panel, j), batch.scale + tokens.begin * d_.b_in + j,
                     d_.b_in, kNothing.data(), 0, target.data + j * target.block_stride + n,
                     target.token_stride});
      }
    }
  }

  // z_i[columns] = Σ_j S_ij ⊙ t_j for all i
  void Couple(const Batch& batch, Range tokens, Range columns, const Scratch& scratch) const {
    const int64_t pairs = d_.b_out * d_.b_in;
    const void* s = Element(factors_.s.get(), p_.scale_type, columns.begin * pairs);
    table_.couple[static_cast<int>(p_.scale_type)](
        {s, table_.lanes, pairs, scratch.t, TBlock(tokens.size, columns.size), columns.size, d_.b_out,
         d_.b_in, tokens.size, columns.size, Z(batch, 0, tokens.begin) + columns.begin,
         batch.tokens * plan_.z_stride, plan_.z_stride});
  }

  // Y[tokens, rows of block i] = activation(U_i z_i + B)
  void Stage2(const Batch& batch, Range tokens, int64_t i, Range rows, const Scratch& scratch) const {
    for (int64_t t = 0; t < tokens.size; ++t)
      for (int64_t j = 0; j < ZBlocks(p_); ++j)
        table_.narrow(Z(batch, i, tokens.begin + t) + j * plan_.z_block, d_.rank,
                      scratch.z + t * plan_.zq_stride + j * plan_.zq_block,
                      scratch.z_scale + t * ZBlocks(p_) + j);
    for (int64_t n = rows.begin; n < rows.end(); n += table_.panel_rows)
      OutputPanel(batch, tokens, i, {n, std::min(table_.panel_rows, rows.end() - n)}, scratch);
  }

  void OutputPanel(const Batch& batch, Range tokens, int64_t i, Range rows, const Scratch& scratch) const {
    const int64_t panel = rows.begin / table_.panel_rows, step = RowStep(p_);
    const int64_t row = FirstRow(p_, i) + rows.begin * step;
    float bias[kMaxPackedPanelRows];
    LoadBias(p_, row, step, rows.size, bias);
    std::fill(bias + rows.size, bias + kMaxPackedPanelRows, 0.0f);
    void* y = Element(batch.y, p_.x_type, tokens.begin * d_.out + row);
    // Whole vectors of fp32 go to Y at once. Where the store has to work on them they stay in L1 until then,
    // which Y's rows, far apart, would not.
    const bool direct = p_.x_type == DType::kFloat32 && p_.activation == Activation::kNone && step == 1 &&
                        rows.size % table_.lanes == 0;
    float* c = direct ? static_cast<float*>(y) : scratch.c;
    const int64_t ldc = direct ? d_.out : table_.panel_rows;
    for (int64_t j = 0; j < ZBlocks(p_); ++j) {
      table_.gemm({scratch.z + j * plan_.zq_block, plan_.zq_stride, tokens.size,
                   factors_.u.Panel(i, panel, j), Groups(d_.rank), rows.size,
                   RowScale(factors_.u, i, panel, j), scratch.z_scale + j, ZBlocks(p_), j == 0 ? bias : c,
                   j == 0 ? 0 : ldc, c, ldc});
    }
    if (direct && p_.activation == Activation::kNone) return;
    const auto store = table_.store[direct ? 0 : static_cast<int>(p_.x_type != DType::kFloat32)];
    store[static_cast<int>(p_.activation)](
        {c, ldc, tokens.size, rows.size, kNothing.data(), y, d_.out, step});
  }

  int64_t Groups(int64_t terms) const { return CeilDiv(terms, table_.GroupSize()); }

  const float* RowScale(const PackedMatrix& m, int64_t slab, int64_t panel, int64_t block) const {
    return table_.compute == Compute::kInt8 ? m.Scale(slab, panel, block) : kNothing.data();
  }

  float* Z(const Batch& batch, int64_t i, int64_t token) const {
    return batch.z + (i * batch.tokens + token) * plan_.z_stride;
  }

  bool Check(const FloatBuffer& buffer) {
    if (buffer.data() == nullptr) failed_ = true;
    return buffer.data() != nullptr;
  }

  const Problem& p_;
  const Dims& d_;
  const PackedFactors& factors_;
  const PackedTable& table_;
  Host& host_;
  const PackedPlan plan_;
  std::atomic<bool> failed_{false};
};

}  // namespace

bool PackedMatMul(const Problem& problem, const PackedFactors& factors, const PackedTable& table, Host& host,
                  int64_t threads) {
  return problem.tokens == 0 || PackedCall(problem, factors, table, host, threads).Run();
}

}  // namespace blockrank
