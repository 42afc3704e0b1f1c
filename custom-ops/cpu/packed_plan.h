// How one call of the packed engine is cut into tasks. Sums never cross a cut, so no choice here changes a
// result's bits.
#pragma once

#include "core/params.h"
#include "cpu/packed_table.h"

namespace blockrank {

struct PackedPlan {
  bool local;          // a task takes one tile of tokens through everything; otherwise stages are launches
  int64_t batch;       // tokens whose z exists at a time (one tile where local)
  int64_t tile;        // tokens of one task
  int64_t t_width;     // columns of t that a task has at a time, whole panels
  int64_t rank_chunk;  // columns of z per task of stage 1, whole panels
  int64_t row_chunk;   // rows of U per task of stage 2, likewise
  int64_t x_block;     // bytes of one narrowed block of X
  int64_t x_stride;    // bytes between tokens of narrowed X
  int64_t z_block;     // floats of one block of z_i, padded to whole panels
  int64_t z_stride;    // floats between tokens of z_i
  int64_t zq_block;    // bytes of one narrowed block of z_i
  int64_t zq_stride;   // bytes between tokens of narrowed z_i
};

PackedPlan MakePackedPlan(const Problem& problem, const PackedTable& table, int64_t threads);

}  // namespace blockrank
