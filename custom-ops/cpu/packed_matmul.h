// The engine of compute = int8 and bfloat16: X narrowed per token and block, both products on packed factors
// with integer or bfloat16 dot products, the coupling in fp32, z narrowed per token and block in between.
#pragma once

#include "core/params.h"
#include "cpu/host.h"
#include "cpu/pack.h"
#include "cpu/packed_table.h"

namespace blockrank {

/// Computes problem.y from factors that PackFactors made of the same problem for the same table. False when
/// the host had no memory; Y is then undefined.
[[nodiscard]] bool PackedMatMul(const Problem& problem, const PackedFactors& factors,
                                const PackedTable& table, Host& host, int64_t threads);

}  // namespace blockrank
