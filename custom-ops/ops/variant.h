// The operator names of docs/operators.md, and what each fixes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/params.h"

namespace blockrank {

struct Variant {
  std::string name;
  Structure structure;
  std::optional<Activation> activation;  // absent: the attribute decides
  std::optional<OutputOrder> order;      // absent: the attribute decides, where the operator has one
  bool quantized = false;                // V and U are int8, with scales
};

/// All forty names.
const std::vector<Variant>& Variants();

/// Inputs in order, without the optional B: "XVU", "XVSU", "XVvUu" or "XVvSUu".
const char* InputLetters(Structure structure, bool quantized);
inline const char* InputLetters(const Variant& variant) {
  return InputLetters(variant.structure, variant.quantized);
}

/// What docs/operators.md calls the input of a letter: v is VScale, u is UScale.
std::string InputName(char letter);

/// The values that the attributes may have, by their spelling.
struct ActivationName {
  const char* text;
  const char* suffix;
  Activation value;
};
const std::vector<ActivationName>& ActivationNames();

/// "float", "bfloat16" or "int8".
const char* ComputeText(Compute compute);

}  // namespace blockrank
