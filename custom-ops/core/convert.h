// Scalar conversions between fp32 and the 16-bit formats: exact upwards, round to nearest even downwards.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace blockrank {

float ToFloat(Half value);
float ToFloat(BFloat16 value);

/// Overflow gives infinity from 65520 on; NaN stays NaN (quiet); values below 2⁻¹⁴ become denormals.
Half ToHalf(float value);
BFloat16 ToBFloat16(float value);

}  // namespace blockrank
