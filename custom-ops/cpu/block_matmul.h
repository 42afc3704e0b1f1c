// One engine for the three operators: stage 1 (X → t), BLAST's coupling (t → z), stage 2 (z → Y).
#pragma once

#include "core/params.h"
#include "cpu/host.h"
#include "cpu/kernel_table.h"

namespace blockrank {

/// Computes problem.y. False when the host had no memory; Y is then undefined.
[[nodiscard]] bool BlockMatMul(const Problem& problem, const KernelTable& kernels, Host& host,
                               int64_t threads);

}  // namespace blockrank
