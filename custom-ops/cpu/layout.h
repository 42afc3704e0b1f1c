// Where the values of a problem lie in its tensors.
#pragma once

#include <algorithm>

#include "core/params.h"

namespace blockrank {

inline const void* Element(const void* base, DType type, int64_t index) {
  return static_cast<const char*>(base) + index * static_cast<int64_t>(SizeOf(type));
}

inline void* Element(void* base, DType type, int64_t index) {
  return static_cast<char*>(base) + index * static_cast<int64_t>(SizeOf(type));
}

/// Blocks of z_i, each `rank` long: the summed index of stage 2.
constexpr int64_t ZBlocks(const Problem& p) { return p.structure == Structure::kMonarch ? p.dims.b_in : 1; }

/// Blocks that have a V of their own.
constexpr int64_t VSlabs(const Problem& p) { return p.structure == Structure::kMonarch ? p.dims.b_out : 1; }

/// Rows of Y's last axis that output block i owns: FirstRow + n · RowStep for n < BlockRows.
inline int64_t RowStep(const Problem& p) { return p.order == OutputOrder::kInterleaved ? p.dims.b_out : 1; }
inline int64_t FirstRow(const Problem& p, int64_t i) {
  return p.order == OutputOrder::kInterleaved ? i : i * p.dims.q();
}
inline int64_t BlockRows(const Problem& p, int64_t i) {
  if (p.order == OutputOrder::kInterleaved) return CeilDiv(p.dims.out - i, p.dims.b_out);
  return std::min(p.dims.q(), p.dims.out - i * p.dims.q());
}

/// B[row + n · step] as fp32 for n < count; zeros where there is no bias.
void LoadBias(const Problem& p, int64_t row, int64_t step, int64_t count, float* bias);

}  // namespace blockrank
