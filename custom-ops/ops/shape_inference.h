// Shape inference: Y has X's dimensions with the last replaced by `out`, U's first.
#pragma once

#include "abi/functions.h"

namespace blockrank {

/// `u_index` is U's index among the inputs. Does nothing where X's rank is unknown.
void InferOutputShape(const abi::Functions& ort, abi::OrtShapeInferContext* context, size_t u_index);

}  // namespace blockrank
