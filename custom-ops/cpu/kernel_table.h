// The seam between the driver and the instruction sets: one table of functions per ISA, on pointers and
// sizes.
#pragma once

#include <cstdint>

#include "core/params.h"

namespace blockrank {

/// C_j[t, n] = Σ_k A[t, k]·W[n, k], k over block j of the columns: `block` of them from j·block on, fewer in
/// the last. `tokens` rows of A, `rows` ≤ panel_rows rows of a factor W, `depth` columns of both. A and C are
/// fp32, W has its stored type; all are row-major with leading dimensions in elements; C_j begins j·c_block
/// floats after C_0, or where c_block is 0, C is the sum of all C_j. `scratch` holds
/// GemmScratchFloats(tokens) floats, 64-byte aligned. W in int8 stands for W[n, k] times the scale of row n
/// and block j.
struct GemmArgs {
  const float* a;
  int64_t lda;
  int64_t tokens;
  const void* w;
  int64_t ldw;
  int64_t rows;
  int64_t depth;
  int64_t block;
  float* c;
  int64_t ldc;
  int64_t c_block;
  float* scratch;
  const float* scale;  // null but for int8: of row n and block j at n·scale_row + j·scale_block
  int64_t scale_row;
  int64_t scale_block;
  const float* base;  // what sums start from, panel_rows floats; null: zeros. gemm_panel, whole panels alone
};

/// z[i, token, :] = Σ_j s[i, j, :] ⊙ t[j, token, :] over `width` columns (whole vectors). All strides are in
/// elements; s[i, j, c] is a vector at s + (i·b_in + j)·s_stride + c·s_column_stride for the c of its first
/// column.
struct CoupleArgs {
  const void* s;
  int64_t s_stride;
  int64_t s_column_stride;
  const float* t;
  int64_t t_block_stride;
  int64_t t_token_stride;
  int64_t b_out;
  int64_t b_in;
  int64_t tokens;
  int64_t width;
  float* z;
  int64_t z_block_stride;
  int64_t z_token_stride;
};

/// Y[t, n·column_stride] = activation(C[t, n] + bias[n]) for n < columns ≤ panel_rows, rounded once to Y's
/// type.
struct StoreArgs {
  const float* c;
  int64_t ldc;
  int64_t tokens;
  int64_t columns;
  const float* bias;  // panel_rows floats
  void* y;
  int64_t ldy;
  int64_t column_stride;
};

struct KernelTable {
  const char* name;
  int64_t panel_rows;
  /// Few tokens: dot products along k straight from the stored factor, which comes from memory once. Many
  /// tokens: panel_rows rows of W are transposed into `scratch`, then read from cache by every register tile.
  void (*gemm_dot[kDTypeCount])(const GemmArgs&);
  void (*gemm_panel[kDTypeCount])(const GemmArgs&);
  void (*couple)(const CoupleArgs&);  // fp32 S
  void (*widen[kDTypeCount])(const void* source, int64_t count, float* target);
  void (*store[2][kActivationCount])(const StoreArgs&);  // [Y's type][activation]
};

/// Longest k that gemm_panel transposes at a time: 32 rows × 384 floats = 48 KiB, which stays in L2 beside
/// A's rows.
constexpr int64_t kPanelDepth = 384;
constexpr int64_t kMaxPanelRows = 32;
constexpr int64_t GemmScratchFloats(int64_t tokens) { return (kPanelDepth + tokens) * kMaxPanelRows; }

const KernelTable& PortableKernels();
const KernelTable& Avx2Kernels();
const KernelTable& Avx512Kernels();

}  // namespace blockrank
