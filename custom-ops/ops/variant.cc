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
    for (const bool quantized : {false, true}) {
      for (const Variant& family : families) {
        for (const ActivationName& activation : ActivationNames()) {
          Variant variant = family;
          variant.name = (quantized ? "Q" : "") + family.name + activation.suffix;
          if (activation.value != Activation::kNone) variant.activation = activation.value;
          variant.quantized = quantized;
          all.push_back(variant);
        }
      }
    }
    return all;
  }();
  return variants;
}

const char* InputLetters(Structure structure, bool quantized) {
  const bool blast = structure == Structure::kBlast;
  if (quantized) return blast ? "XVvSUu" : "XVvUu";
  return blast ? "XVSU" : "XVU";
}

std::string InputName(char letter) {
  return letter == 'v' ? "VScale" : letter == 'u' ? "UScale" : std::string(1, letter);
}

const char* ComputeText(Compute compute) {
  return compute == Compute::kFloat ? "float" : compute == Compute::kInt8 ? "int8" : "bfloat16";
}

}  // namespace blockrank
