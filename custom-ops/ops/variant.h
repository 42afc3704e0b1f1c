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
};

/// All twenty names.
const std::vector<Variant>& Variants();

/// Inputs in order, without the optional B: "XVU" or "XVSU".
const char* InputLetters(Structure structure);

/// The values that the attributes may have, by their spelling.
struct ActivationName {
  const char* text;
  const char* suffix;
  Activation value;
};
const std::vector<ActivationName>& ActivationNames();

}  // namespace blockrank
