// How one call is cut into tiles and tasks. Sums never cross a cut, so no choice here changes a result's
// bits, except `few`, which depends on the number of tokens alone.
#pragma once

#include "core/params.h"
#include "cpu/kernel_table.h"

namespace blockrank {

struct Plan {
  bool few;            // dot products rather than panels
  bool serial;         // too little work to share
  bool copy_x;         // X is widened, or copied to a row stride that does not alias in L1
  int64_t batch;       // tokens whose z exists at a time
  int64_t tile;        // tokens of one task
  int64_t rank_chunk;  // columns of z per task of stage 1, a multiple of panel_rows (the last may be shorter)
  int64_t row_chunk;   // rows of U per task of stage 2, likewise
  int64_t x_stride;    // floats between the tokens of the copied X
  int64_t z_stride;    // floats between the tokens of one z_i
};

/// z_i's length: the summed index of stage 2.
constexpr int64_t ZLength(const Problem& p) {
  return p.structure == Structure::kMonarch ? p.dims.b_in * p.dims.rank : p.dims.rank;
}

/// `threads` is how many may run at once, at most; the host does not say.
Plan MakePlan(const Problem& problem, const KernelTable& kernels, int64_t threads);

}  // namespace blockrank
