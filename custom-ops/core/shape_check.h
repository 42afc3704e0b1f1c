// Shapes of a node's inputs → its sizes, or a sentence saying which input is wrong and how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/params.h"

namespace blockrank {

/// A shape as far as it is known: `known` false when not even the rank is, −1 for an unknown dimension.
struct Shape {
  bool known = false;
  std::vector<int64_t> dims;
};

std::string ToString(const Shape& shape);

struct InputShapes {
  Shape x, v, s, u, bias;
  Shape v_scale, u_scale;  // unknown where there are none
  bool has_bias = false;
};

/// Checks everything that is known; returns "" and fills `dims` (−1 where unknown), or the message:
/// "input U: expected shape [out, r] = [?, 4], found [8, 5]".
std::string CheckShapes(Structure structure, const InputShapes& shapes, Dims* dims);

}  // namespace blockrank
