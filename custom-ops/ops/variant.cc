#include "ops/variant.h"

namespace blockrank {

const std::vector<ActivationName>& ActivationNames() {
  static const std::vector<ActivationName> names = {{"none", "", Activation::kNone},
                                                    {"relu", "Relu", Activation::kRelu},
                                                    {"gelu", "Gelu", Activation::kGelu},
                                                    {"gelu_tanh", "GeluTanh", Activation::kGeluTanh},
                                                    {"silu", "Silu", Activation::kSilu}};
  return names;
}

const std::vector<Variant>& Variants() {
  static const std::vector<Variant> variants = [] {
    const Variant families[] = {
        {"LowRankMatMul", Structure::kLowRank, {}, OutputOrder::kContiguous},
        {"BlastMatMul", Structure::kBlast, {}, OutputOrder::kContiguous},
        {"MonarchMatMul", Structure::kMonarch, {}, {}},
        {"MonarchMatMulInterleaved", Structure::kMonarch, {}, OutputOrder::kInterleaved}};
    std::vector<Variant> all;
    for (const Variant& family : families) {
      for (const ActivationName& activation : ActivationNames()) {
        all.push_back(family);
        all.back().name += activation.suffix;
        if (activation.value != Activation::kNone) all.back().activation = activation.value;
      }
    }
    return all;
  }();
  return variants;
}

const char* InputLetters(Structure structure) { return structure == Structure::kBlast ? "XVSU" : "XVU"; }

}  // namespace blockrank
