// fp16 and bf16 conversions: every value upwards, every rounding boundary downwards.
#include "core/convert.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"

namespace blockrank {
namespace {

// A half by its definition, in double.
double Define(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

bool SameValue(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

TEST(HalfWidensExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double value = ToFloat(Half{static_cast<uint16_t>(bits)});
    CHECK(SameValue(value, Define(static_cast<uint16_t>(bits)))) << bits;
    if (bits == 0x8000) CHECK(std::signbit(value));
  }
}

TEST(HalfSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const Half again = ToHalf(ToFloat(half));
    const bool nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff);
    CHECK(nan ? std::isnan(ToFloat(again)) : again.bits == half.bits) << bits;
  }
}

// Between neighbours a < b: the middle goes to the even one, anything nearer goes to its neighbour.
TEST(HalfRoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float a = ToFloat(Half{static_cast<uint16_t>(bits)});
    const float b = bits == 0x7bff ? 65536.0f : ToFloat(Half{static_cast<uint16_t>(bits + 1)});
    const float middle = (a + b) / 2;
    CHECK(ToHalf(middle).bits == (bits & 1 ? bits + 1 : bits)) << bits;
    CHECK(ToHalf(std::nextafter(middle, a)).bits == bits) << bits;
    CHECK(ToHalf(std::nextafter(middle, b)).bits == bits + 1) << bits;
    CHECK(ToHalf(-middle).bits == (0x8000 | (bits & 1 ? bits + 1 : bits))) << bits;
  }
}

TEST(HalfOfTheExtremes) {
  CHECK(ToHalf(std::numeric_limits<float>::infinity()).bits == 0x7c00);
  CHECK(ToHalf(std::numeric_limits<float>::max()).bits == 0x7c00);
  CHECK(ToHalf(-std::numeric_limits<float>::max()).bits == 0xfc00);
  CHECK(ToHalf(std::numeric_limits<float>::denorm_min()).bits == 0);
  CHECK(ToHalf(-0.0f).bits == 0x8000);
  CHECK(std::isnan(ToFloat(ToHalf(NAN))));
  CHECK(std::isnan(ToFloat(ToHalf(FromBits(0x7f800001)))));
}

TEST(BFloat16RoundsToNearestEven) {
  for (uint32_t high = 0; high < 0x7f80; ++high) {
    const uint16_t even = static_cast<uint16_t>(high & 1 ? high + 1 : high);
    CHECK(ToBFloat16(FromBits(high << 16)).bits == high);
    CHECK(ToBFloat16(FromBits((high << 16) | 0x8000)).bits == even) << high;
    CHECK(ToBFloat16(FromBits((high << 16) | 0x7fff)).bits == high) << high;
    CHECK(ToBFloat16(FromBits((high << 16) | 0x8001)).bits == high + 1) << high;
    CHECK(ToFloat(BFloat16{static_cast<uint16_t>(high)}) == FromBits(high << 16));
  }
  CHECK(std::isnan(ToFloat(ToBFloat16(FromBits(0x7f800001)))));
  CHECK(ToBFloat16(-INFINITY).bits == 0xff80);
}

}  // namespace
}  // namespace blockrank
