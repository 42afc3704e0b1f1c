// A random layer in host memory for the GPU checks, and its float64 reference with the error that rounding
// explains.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "blockrank_cuda.h"

namespace blockrank::check {

// Values of one tensor in a type's bit patterns and, exactly the same, in float64.
struct Tensor {
  blockrank_cuda_type type;
  std::vector<uint8_t> bytes;
  std::vector<double> values;
};

int64_t SizeOf(blockrank_cuda_type type);
double UnitRoundoff(blockrank_cuda_type type);  // half an ulp of 1
Tensor RandomTensor(blockrank_cuda_type type, int64_t count, double deviation, uint64_t seed);
std::vector<double> Decode(blockrank_cuda_type type, const std::vector<uint8_t>& bytes);

struct Case {
  blockrank_cuda_layer layer;
  int64_t tokens;
  Tensor x, v, s, u, b;     // values of v and u are dequantized
  Tensor v_scale, u_scale;  // of int8 factors
};

// Factors scaled so that t, z and y stay near 1.
Case RandomCase(const blockrank_cuda_layer& layer, int64_t tokens, uint64_t seed);
std::string Describe(const Case& c);

// y in float64 and, element by element, the root-sum-square of what each rounding and each float32 sum may
// add: with t and z rounded to the factor type (16-bit types) or kept in float32.
struct Expected {
  std::vector<int64_t> tokens;  // which tokens were computed
  std::vector<double> y, deviation;
};
Expected Reference(const Case& c, const std::vector<int64_t>& tokens);

struct Verdict {
  bool right;
  double worst;  // largest |error| / deviation
  double rms;    // root mean square of |error| / deviation
  std::string message;
};
// Right: every element within 6 deviations, all together within 1.5, nothing NaN.
Verdict Compare(const Case& c, const Expected& expected, const std::vector<double>& y);

}  // namespace blockrank::check
