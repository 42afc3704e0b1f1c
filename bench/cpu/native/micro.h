// One micro-kernel and the multiply-add it is made of, each without the other's surroundings.
#pragma once

#include <cstdint>
#include <vector>

namespace blockrank::bench {

struct Micro {
  const char* isa;
  const char* type;  // of the products: float32, bfloat16, int8
  /// Multiply-adds on registers alone, in independent chains; returns how many.
  int64_t (*peak)(int64_t rounds);
  /// The register tile over operands in L1, sums of `depth` terms; returns its multiply-adds.
  int64_t (*kernel)(int64_t depth, int64_t rounds);
};

/// Those that this processor runs and whose multiply-add is one instruction, widest first.
std::vector<Micro> SupportedMicros();

}  // namespace blockrank::bench
