// Element types of the operators, and the two 16-bit formats as storage structs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace blockrank {

/// int8 is a type of factors alone, with scales beside it.
enum class DType : int { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2, kInt8 = 3 };
constexpr int kDTypeCount = 4;

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

constexpr size_t SizeOf(DType type) { return type == DType::kFloat32 ? 4 : type == DType::kInt8 ? 1 : 2; }

inline const char* NameOf(DType type) {
  constexpr const char* names[kDTypeCount] = {"float32", "float16", "bfloat16", "int8"};
  return names[static_cast<int>(type)];
}

}  // namespace blockrank
