// The definition of compute = int8 in plain loops: exact integers, and the float steps one by one in the
// order of docs/operators.md.
#pragma once

#include <string>
#include <vector>

#include "problem.h"

namespace blockrank::test {

/// Y before the activation, [token][out], of a problem with int8 factors.
std::vector<float> DefineInt8(const TestProblem& problem);

/// Compares Y with DefineInt8: the same bits before the activation, within 4e-7 of the activation's argument
/// after one that is not exact. NaN is NaN whatever its bits. Returns "" or the first difference.
std::string CompareInt8(const TestProblem& problem);

/// ‖Y − X·Ŵᵀ − B‖ / ‖X·Ŵᵀ + B‖ with the factors in float64; no activation.
double RelativeError(const TestProblem& problem);

}  // namespace blockrank::test
