#include "cpu/block_matmul.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/convert.h"
#include "cpu/plan.h"

namespace blockrank {
namespace {

// Where an index's tile begins and how long it is.
struct Range {
  int64_t begin;
  int64_t size;
};

Range Piece(int64_t index, int64_t piece, int64_t total) {
  return {index * piece, std::min(piece, total - index * piece)};
}

class Call {
 public:
  Call(const Problem& problem, const KernelTable& kernels, Host& host, int64_t threads)
      : p_(problem),
        d_(problem.dims),
        kernels_(kernels),
        host_(host),
        plan_(MakePlan(problem, kernels, threads)),
        gemm_((plan_.few ? kernels.gemm_dot : kernels.gemm_panel)[static_cast<int>(problem.factor_type)]) {}

  bool Run() {
    const FloatBuffer scales(host_, VScales() + UScales());
    if (scales.data() == nullptr) return false;
    PrepareScales(scales.data());
    const FloatBuffer z(host_, d_.b_out * plan_.batch * plan_.z_stride);
    const FloatBuffer x(host_, plan_.copy_x ? plan_.batch * plan_.x_stride : 0);
    if (z.data() == nullptr || x.data() == nullptr) return false;
    z_ = z.data();
    for (int64_t first = 0; first < p_.tokens && !failed_; first += plan_.batch) {
      first_ = first;
      tokens_ = std::min(plan_.batch, p_.tokens - first);
      tiles_ = CeilDiv(tokens_, plan_.tile);
      PrepareX(x.data());
      Stage1();
      Stage2();
    }
    return !failed_;
  }

 private:
  bool IsInt8() const { return p_.factor_type == DType::kInt8; }
  // How many of them are no float32 yet.
  int64_t VScales() const {
    if (!IsInt8() || p_.scale_type == DType::kFloat32) return 0;
    return (p_.structure == Structure::kMonarch ? d_.b_out : 1) * d_.b_in * d_.rank;
  }
  int64_t UScales() const {
    if (!IsInt8() || p_.scale_type == DType::kFloat32) return 0;
    return (p_.structure == Structure::kMonarch ? d_.b_in : 1) * d_.out;
  }

  // Points v_scale_ and u_scale_ at the scales as fp32. They are few beside the factors: one for p numbers of
  // V and r of U.
  void PrepareScales(float* copy) {
    v_scale_ = static_cast<const float*>(p_.v_scale);
    u_scale_ = static_cast<const float*>(p_.u_scale);
    if (VScales() == 0) return;
    const auto widen = kernels_.widen[static_cast<int>(p_.scale_type)];
    widen(p_.v_scale, VScales(), copy);
    widen(p_.u_scale, UScales(), copy + VScales());
    v_scale_ = copy;
    u_scale_ = copy + VScales();
  }

  // In parallel where that is worth waking threads for.
  template <class Function>
  void EachTask(int64_t count, Function&& function) {
    if (!plan_.serial) return ForEach(host_, count, function);
    for (int64_t index = 0; index < count; ++index) function(index);
  }

  // Points x_ at the batch's tokens as fp32.
  void PrepareX(float* copy) {
    if (!plan_.copy_x) {
      x_ = static_cast<const float*>(p_.x) + first_ * d_.in;
      x_stride_ = d_.in;
      return;
    }
    x_ = copy;
    x_stride_ = plan_.x_stride;
    const auto widen = kernels_.widen[static_cast<int>(p_.x_type)];
    constexpr int64_t kRows = 16;
    EachTask(CeilDiv(tokens_, kRows), [&](int64_t index) {
      const Range rows = Piece(index, kRows, tokens_);
      for (int64_t t = rows.begin; t < rows.begin + rows.size; ++t)
        widen(Element(p_.x, p_.x_type, (first_ + t) * d_.in), d_.in, copy + t * x_stride_);
    });
  }

  // z from X: one task per tile of tokens, chunk of the rank and, for Monarch, output block.
  void Stage1() {
    const bool blast = p_.structure == Structure::kBlast;
    const int64_t chunks = CeilDiv(d_.rank, plan_.rank_chunk);
    const int64_t blocks = p_.structure == Structure::kMonarch ? d_.b_out : 1;
    EachTask(tiles_ * blocks * chunks, [&](int64_t index) {
      const Range tokens = Piece(index % tiles_, plan_.tile, tokens_);
      const Range rank = Piece(index / tiles_ % chunks, plan_.rank_chunk, d_.rank);
      if (blast) {
        BlastTask(tokens, rank);
      } else {
        DirectTask(tokens, rank, index / tiles_ / chunks);
      }
    });
  }

  // z[i, tokens, j·r + rank] = x_j · V_ijᵀ, no coupling.
  void DirectTask(Range tokens, Range rank, int64_t i) {
    const FloatBuffer scratch(host_, GemmScratch(tokens));
    if (!Check(scratch)) return;
    float* z = Z(i, tokens.begin) + rank.begin;
    Project(tokens, i * d_.rank + rank.begin, rank.size, {z, plan_.z_stride, d_.rank}, scratch.data());
  }

  // t_j for all j, then z_i[rank] = Σ_j S_ij ⊙ t_j for all i: t lives in this task's cache only.
  void BlastTask(Range tokens, Range rank) {
    const int64_t width = CeilDiv(rank.size, kernels_.panel_rows) * kernels_.panel_rows;
    // A line more than needed: at strides of powers of two the coupling's rows share few sets of the L1
    // cache.
    const int64_t t_block = tokens.size * width + 16, s_stride = width + 16;
    const int64_t t_floats = d_.b_in * t_block;
    const FloatBuffer scratch(host_, GemmScratch(tokens) + t_floats + d_.b_out * d_.b_in * s_stride);
    if (!Check(scratch)) return;
    float* t = scratch.data() + GemmScratch(tokens);
    float* s = t + t_floats;
    // The coupling works on whole panels; columns past the rank come out as zeros that nobody reads.
    if (width > rank.size) std::fill(t, t + t_floats, 0.0f);
    Project(tokens, rank.begin, rank.size, {t, width, t_block}, scratch.data());
    const auto widen = kernels_.widen[static_cast<int>(p_.scale_type)];
    for (int64_t ij = 0; ij < d_.b_out * d_.b_in; ++ij) {
      widen(Element(p_.s, p_.scale_type, ij * d_.rank + rank.begin), rank.size, s + ij * s_stride);
      std::fill(s + ij * s_stride + rank.size, s + ij * s_stride + width, 0.0f);
    }
    kernels_.couple({s, s_stride, 1, t, t_block, width, d_.b_out, d_.b_in, tokens.size, width,
                     Z(0, tokens.begin) + rank.begin, plan_.batch * plan_.z_stride, plan_.z_stride});
  }

  // Floats that a product of a tile of tokens works in; dot products need none.
  int64_t GemmScratch(Range tokens) const { return plan_.few ? 0 : GemmScratchFloats(tokens.size); }

  // The scale of V's row, for block 0 of its columns; that of block j is j·r further on.
  const float* VScale(int64_t row) const {
    return v_scale_ + row / d_.rank * d_.b_in * d_.rank + row % d_.rank;
  }

  // Where stage 1 puts x_j · V_jᵀ: floats between tokens and between blocks j.
  struct Projection {
    float* data;
    int64_t token_stride;
    int64_t block_stride;
  };

  // target[j, t, n] = x_j · V[row + n, columns of block j]ᵀ for all j
  void Project(Range tokens, int64_t row, int64_t rows, const Projection& target, float* scratch) {
    for (int64_t n = 0; n < rows; n += kernels_.panel_rows) {
      const float* scale = IsInt8() ? VScale(row + n) : nullptr;
      gemm_({x_ + tokens.begin * x_stride_, x_stride_, tokens.size,
             Element(p_.v, p_.factor_type, (row + n) * d_.in), d_.in, std::min(kernels_.panel_rows, rows - n),
             d_.in, d_.p(), target.data + n, target.token_stride, target.block_stride, scratch, scale, 1,
             d_.rank, nullptr});
    }
  }

  // Y from z: one task per tile of tokens, output block and chunk of its rows.
  void Stage2() {
    const int64_t chunks = CeilDiv(d_.q(), plan_.row_chunk);
    EachTask(tiles_ * d_.b_out * chunks, [&](int64_t index) {
      const Range tokens = Piece(index % tiles_, plan_.tile, tokens_);
      const int64_t i = index / tiles_ / chunks;
      const Range rows = Piece(index / tiles_ % chunks, plan_.row_chunk, BlockRows(i));
      if (rows.size > 0) OutputTask(tokens, i, rows);
    });
  }

  // Y[tokens, rows of block i] = activation(z_i · U_iᵀ + B)
  void OutputTask(Range tokens, int64_t i, Range block_rows) {
    const int64_t width = kernels_.panel_rows;
    const FloatBuffer scratch(host_, GemmScratch(tokens) + tokens.size * width);
    if (!Check(scratch)) return;
    float* c = scratch.data() + GemmScratch(tokens);
    const bool interleaved = p_.order == OutputOrder::kInterleaved;
    const int64_t stride = interleaved ? d_.b_out : 1;
    const int64_t length = ZLength(p_);
    const int64_t scales = length / d_.rank;  // of a row of U: one for each block of its columns
    const auto store = kernels_.store[p_.x_type == DType::kFloat32 ? 0 : 1][static_cast<int>(p_.activation)];
    const bool plain =
        !plan_.few && p_.x_type == DType::kFloat32 && p_.activation == Activation::kNone && !interleaved;
    float bias[kMaxPanelRows] = {};
    for (int64_t n = 0; n < block_rows.size; n += width) {
      const int64_t rows = std::min(width, block_rows.size - n);
      const int64_t row = (interleaved ? i : i * d_.q()) + (block_rows.begin + n) * stride;
      for (int64_t t = 0; stride == 1 && t < tokens.size; ++t)
        FetchForWriting(Output(first_ + tokens.begin + t, row));
      LoadBias(row, stride, rows, bias);
      void* y = Output(first_ + tokens.begin, row);
      const bool direct = plain && rows == width;  // sums are outputs
      gemm_({Z(i, tokens.begin), plan_.z_stride, tokens.size, Element(p_.u, p_.factor_type, row * length),
             length * stride, rows, length, IsInt8() ? d_.rank : length, direct ? static_cast<float*>(y) : c,
             direct ? d_.out : width, 0, scratch.data(), IsInt8() ? u_scale_ + row * scales : nullptr,
             scales * stride, 1, direct ? bias : nullptr});
      if (!direct) store({c, width, tokens.size, rows, bias, y, d_.out, stride});
    }
  }

  void LoadBias(int64_t row, int64_t stride, int64_t count, float* bias) const {
    for (int64_t n = 0; p_.bias != nullptr && n < count; ++n) {
      const int64_t index = p_.bias_size == 1 ? 0 : row + n * stride;
      const void* value = Element(p_.bias, p_.x_type, index);
      bias[n] = p_.x_type == DType::kFloat32 ? *static_cast<const float*>(value)
                                             : ToFloat(*static_cast<const Half*>(value));
    }
  }

  int64_t BlockRows(int64_t i) const {
    if (p_.order == OutputOrder::kInterleaved) return CeilDiv(d_.out - i, d_.b_out);
    return std::min(d_.q(), d_.out - i * d_.q());
  }

  static const void* Element(const void* base, DType type, int64_t index) {
    return static_cast<const char*>(base) + index * static_cast<int64_t>(SizeOf(type));
  }

  // Y's rows are far apart, so the stores would wait for their lines: a tenth of the time where z is short (K
  // = 128).
  static void FetchForWriting(void* y) {
    __builtin_prefetch(y, 1, 2);
    __builtin_prefetch(static_cast<char*>(y) + 64, 1, 2);
  }

  void* Output(int64_t token, int64_t column) const {
    return static_cast<char*>(p_.y) + (token * d_.out + column) * static_cast<int64_t>(SizeOf(p_.x_type));
  }

  float* Z(int64_t i, int64_t token) const { return z_ + (i * plan_.batch + token) * plan_.z_stride; }

  bool Check(const FloatBuffer& buffer) {
    if (buffer.data() == nullptr) failed_ = true;
    return buffer.data() != nullptr;
  }

  const Problem& p_;
  const Dims& d_;
  const KernelTable& kernels_;
  Host& host_;
  const Plan plan_;
  void (*const gemm_)(const GemmArgs&);
  std::atomic<bool> failed_{false};

  // The batch of tokens at hand.
  int64_t first_ = 0;
  int64_t tokens_ = 0;
  int64_t tiles_ = 0;
  const float* x_ = nullptr;
  int64_t x_stride_ = 0;
  float* z_ = nullptr;
  const float* v_scale_ = nullptr;
  const float* u_scale_ = nullptr;
};

}  // namespace

bool BlockMatMul(const Problem& problem, const KernelTable& kernels, Host& host, int64_t threads) {
  return problem.tokens == 0 || Call(problem, kernels, host, threads).Run();
}

}  // namespace blockrank
