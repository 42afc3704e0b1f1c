// What a node computes (docs/operators.md), as plain values: the contract between operator classes and
// kernels.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace blockrank {

enum class Structure { kLowRank, kBlast, kMonarch };
enum class Activation : int { kNone, kRelu, kGelu, kGeluTanh, kSilu };
constexpr int kActivationCount = 5;
/// What the products are computed in: attribute `compute`.
enum class Compute : int { kFloat, kBFloat16, kInt8 };
/// Rows that an output block owns: i·q …, or i, i + b_out, i + 2·b_out, …
enum class OutputOrder { kContiguous, kInterleaved };

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return a / b + (a % b > 0); }

/// Sizes of one node; the letters are those of docs/operators.md.
struct Dims {
  int64_t in = 0;
  int64_t out = 0;
  int64_t b_in = 1;
  int64_t b_out = 1;
  int64_t rank = 0;

  int64_t p() const { return CeilDiv(in, b_in); }
  int64_t q() const { return CeilDiv(out, b_out); }
};

/// One call: Y = activation(X · Ŵᵀ + B) for `tokens` rows of X. X, B and Y have type `x_type`, V and U
/// `factor_type`, S and the scales `scale_type`, which is int8 for none and V's own where V is not int8.
struct Problem {
  Structure structure = Structure::kLowRank;
  OutputOrder order = OutputOrder::kContiguous;
  Activation activation = Activation::kNone;
  Dims dims;
  DType x_type = DType::kFloat32;
  DType factor_type = DType::kFloat32;
  DType scale_type = DType::kFloat32;
  Compute compute = Compute::kFloat;
  int64_t tokens = 0;
  const void* x = nullptr;
  const void* v = nullptr;
  const void* v_scale = nullptr;  // int8 factors alone: [r], BLAST [b_in, r], Monarch [b_out, b_in, r]
  const void* s = nullptr;        // BLAST alone
  const void* u = nullptr;
  const void* u_scale = nullptr;  // int8 factors alone: [out], Monarch [out, b_in]
  const void* bias = nullptr;     // null: none
  int64_t bias_size = 0;          // out, or 1 (the same for every output)
  void* y = nullptr;
};

}  // namespace blockrank
