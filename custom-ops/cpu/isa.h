// The kernel table for this processor: the widest one it runs, or the one that BLOCKRANK_ISA names.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernel_table.h"
#include "cpu/packed_table.h"

namespace blockrank {

/// Tables that this processor can run, widest first; the last is "portable".
const std::vector<const KernelTable*>& SupportedKernels();

struct IsaChoice {
  const KernelTable* kernels;  // never null: the default where `error` is set
  std::string error;           // BLOCKRANK_ISA names none of SupportedKernels(), and which it may name
};

/// Made once in a process.
const IsaChoice& ChosenIsa();

/// Tables of the packed engine for `compute` that this processor can run, fastest first: for int8 the last is
/// "portable", for bfloat16 there may be none.
const std::vector<const PackedTable*>& SupportedPacked(Compute compute);

/// The first that is within ChosenIsa(); null where there is none, and the node computes in float.
const PackedTable* ChosenPacked(Compute compute);

/// Vector extensions of this processor, as the compiler names them.
std::vector<std::string> CpuFeatures();

}  // namespace blockrank
