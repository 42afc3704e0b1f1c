// The two products of a layer as batched GEMMs: strides and extents that the tensor-core and the general
// kernels share. Stage 1: a batch is an input block, C = t. Stage 2: a batch is an output block, C = Y in its
// final layout.
#pragma once

#include <limits>

#include "plan.h"

namespace blockrank::cuda {

// Params: GemmParams or GeneralGemmParams. t is [tokens, b_in, r] (BLAST, low rank) or [tokens, b_out, b_in,
// r] (Monarch: already what stage 2 reads).
template <class Params>
void DescribeStage1(const Plan& plan, Params& g) {
  using Int = decltype(g.n);
  const blockrank_cuda_layer& l = plan.layer;
  const int64_t rows = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_out * l.r : l.r;
  g.a_row = g.b_row = l.in;
  g.a_batch = g.b_batch = plan.p;
  g.c_row = rows * l.b_in;
  g.c_batch = l.r;
  g.c_column = 1;
  g.c_group = static_cast<Int>(l.r);
  g.c_group_stride = l.b_in * l.r;
  g.n = g.n_total = static_cast<Int>(rows);
  g.n_stride = 1;
  g.k = g.k_step = static_cast<Int>(plan.p);
  g.k_total = static_cast<Int>(l.in);
}

template <class Params>
void DescribeStage2(const Plan& plan, Params& g) {
  using Int = decltype(g.n);
  const blockrank_cuda_layer& l = plan.layer;
  const bool interleaved = l.output_order == BLOCKRANK_CUDA_INTERLEAVED;
  const int64_t k = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_in * l.r : l.r, q = plan.q;
  g.a_row = l.b_out * k;
  g.a_batch = k;
  g.b_row = interleaved ? l.b_out * k : k;
  g.b_batch = interleaved ? k : q * k;
  g.c_row = l.out;
  g.c_batch = interleaved ? 1 : q;
  g.c_column = interleaved ? l.b_out : 1;
  g.c_group = std::numeric_limits<Int>::max();
  g.n = static_cast<Int>(q);
  g.n_total = static_cast<Int>(l.out);
  g.n_step = static_cast<Int>(g.c_batch);
  g.n_stride = static_cast<Int>(g.c_column);
  g.k = g.k_total = static_cast<Int>(k);
}

}  // namespace blockrank::cuda
