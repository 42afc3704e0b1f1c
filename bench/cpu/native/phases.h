// Where one call's cycles go: the engine with a clock around each function of its instruction set's table.
#pragma once

#include "core/params.h"

namespace blockrank::bench {

struct Phases {
  double total;      // nanoseconds of the fastest call, one thread
  double products;   // of which in each function
  double transpose;  // of the products: panels of factors (products of no tokens take this long)
  double coupling;
  double store;
  double widen;  // and narrow: X and z in the packed engine
};

/// Fastest of `rounds` calls with random data. X and Y are float32; `compute` chooses the engine.
Phases MeasurePhases(const Dims& dims, int64_t tokens, DType factor_type, Compute compute, int rounds);

/// The same calls without clocks, for a profiler.
void RunCalls(const Dims& dims, int64_t tokens, DType factor_type, Compute compute, int calls);

}  // namespace blockrank::bench
