// Element types of the operators, and the two 16-bit formats as storage structs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace blockrank {

enum class DType : int { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2 };
constexpr int kDTypeCount = 3;

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

constexpr size_t SizeOf(DType type) { return type == DType::kFloat32 ? 4 : 2; }

constexpr const char* NameOf(DType type) {
  return type == DType::kFloat32 ? "float32" : type == DType::kFloat16 ? "float16" : "bfloat16";
}

}  // namespace blockrank
