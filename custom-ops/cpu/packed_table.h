// The seam between the packed engine and the instruction sets: one table of functions per arithmetic and ISA.
//
// The packed engine computes in int8 or bfloat16. Both multiply groups of 4 bytes (4 int8 or 2 bfloat16 along
// the summed index), so packing, tiling and the micro-kernel's loop are the same.
#pragma once

#include <cstdint>

#include "cpu/kernel_table.h"

namespace blockrank {

constexpr int64_t kGroupBytes = 4;

/// What narrowing one block of one token gives beside its values (int8 alone; bfloat16 has neither).
struct BlockScale {
  float scale;     // what an integer stands for: max|x| / 127
  int32_t offset;  // −128 · the integers' sum, which takes back the 128 that packed weights may be raised by
};

/// C[t, n] = base[t, n] + row_scale[n] · scale[t] · Σ_k A[t, k]·W[n, k], evaluated as base + (float(sum) ·
/// row_scale[n]) · scale[t] without fused operations; bfloat16 has no scales. A has rows of groups, W is one
/// packed panel [groups][panel_rows]. Whole vectors of columns are written: `rows` rounded up.
struct PackedGemmArgs {
  const uint8_t* a;
  int64_t lda;  // bytes
  int64_t tokens;
  const uint8_t* w;
  int64_t groups;
  int64_t rows;
  const float* row_scale;
  const BlockScale* scale;
  int64_t scale_stride;
  const float* base;
  int64_t base_stride;  // 0: one row for all tokens
  float* c;
  int64_t ldc;
};

struct PackedTable {
  const char* name;
  Compute compute;
  int64_t panel_rows;   // rows of W per panel, a multiple of `lanes`
  int64_t lanes;        // floats in a vector
  uint8_t weight_flip;  // xor of packed int8 weights: 0x80 makes them unsigned, w + 128
  void (*gemm)(const PackedGemmArgs&);
  /// `count` floats → whole groups at `target`, zeros after the last.
  void (*narrow)(const float* source, int64_t count, uint8_t* target, BlockScale* scale);
  void (*couple[kDTypeCount])(const CoupleArgs&);  // [S's type]
  void (*widen[kDTypeCount])(const void* source, int64_t count, float* target);
  void (*store[2][kActivationCount])(const StoreArgs&);  // [Y's type][activation]

  int64_t GroupSize() const { return compute == Compute::kInt8 ? 4 : 2; }
};

constexpr int64_t kMaxPackedPanelRows = 32;

const PackedTable& Int8PortableTable();
const PackedTable& Int8Avx2Table();
const PackedTable& Int8AvxVnniTable();
const PackedTable& Int8Avx512VnniTable();
const PackedTable& BFloat16Avx512Table();

}  // namespace blockrank
