#include "cpu/layout.h"

#include "core/convert.h"

namespace blockrank {

void LoadBias(const Problem& p, int64_t row, int64_t step, int64_t count, float* bias) {
  std::fill(bias, bias + count, 0.0f);
  for (int64_t n = 0; p.bias != nullptr && n < count; ++n) {
    const void* value = Element(p.bias, p.x_type, p.bias_size == 1 ? 0 : row + n * step);
    bias[n] = p.x_type == DType::kFloat32 ? *static_cast<const float*>(value)
                                          : ToFloat(*static_cast<const Half*>(value));
  }
}

}  // namespace blockrank
