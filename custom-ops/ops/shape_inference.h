// Shape inference: Y has X's dimensions with the last replaced by `out`, U's first.
#pragma once

#include "abi/functions.h"

namespace blockrank {

/// U is the last of `factors` factors. Does nothing where X's rank is unknown.
void InferOutputShape(const abi::Functions& ort, abi::OrtShapeInferContext* context, size_t factors);

}  // namespace blockrank
