#include "core/convert.h"

#include <cstring>

namespace blockrank {
namespace {

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// value >> shift, rounded to nearest, ties to even.
uint32_t RoundShift(uint32_t value, int shift) {
  const uint32_t half = 1u << (shift - 1);
  const uint32_t odd = (value >> shift) & 1;
  return (value + half - 1 + odd) >> shift;
}

}  // namespace

float ToFloat(BFloat16 value) { return FromBits(uint32_t{value.bits} << 16); }

float ToFloat(Half value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1f;
  uint32_t mantissa = value.bits & 0x3ff;
  if (exponent == 31) return FromBits(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return FromBits(sign | ((exponent + 112) << 23) | (mantissa << 13));
  if (mantissa == 0) return FromBits(sign);
  uint32_t shift = 0;
  while (!(mantissa & 0x400)) {
    mantissa <<= 1;
    ++shift;
  }
  return FromBits(sign | ((113 - shift) << 23) | ((mantissa & 0x3ff) << 13));
}

Half ToHalf(float value) {
  const uint32_t bits = Bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x38800000u) {
    // 0x38800000 = 2⁻¹⁴. A carry out of the mantissa lands in the exponent, as it should.
    half = magnitude >= 0x47800000u ? 0x7c00u : RoundShift(magnitude - 0x38000000u, 13);
  } else if (magnitude >= 0x33000000u) {
    // 0x33000000 = 2⁻²⁵, half of the smallest denormal: shift the mantissa, hidden bit included, into place.
    half = RoundShift((magnitude & 0x7fffffu) | 0x800000u, 126 - static_cast<int>(magnitude >> 23));
  } else {
    half = 0;
  }
  return {static_cast<uint16_t>(sign | half)};
}

BFloat16 ToBFloat16(float value) {
  const uint32_t bits = Bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>(RoundShift(bits, 16))};
}

}  // namespace blockrank
