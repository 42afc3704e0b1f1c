#include <string>

#include "cpu/isa.h"
#include "micro.h"

namespace blockrank::bench {

Micro FloatPortable();
Micro FloatAvx2();
Micro FloatAvx512();
Micro Int8Avx512Vnni();
Micro BFloat16Avx512();

std::vector<Micro> SupportedMicros() {
  std::vector<Micro> all;
  const auto add = [&](const auto& tables, const char* name, Micro (*make)()) {
    for (const auto* table : tables)
      if (table->name == std::string(name)) all.push_back(make());
  };
#if defined(__x86_64__)
  add(SupportedKernels(), "avx512", FloatAvx512);
  add(SupportedPacked(Compute::kBFloat16), "avx512bf16", BFloat16Avx512);
  add(SupportedPacked(Compute::kInt8), "avx512vnni", Int8Avx512Vnni);
  add(SupportedKernels(), "avx2", FloatAvx2);
#endif
  add(SupportedKernels(), "portable", FloatPortable);
  return all;
}

}  // namespace blockrank::bench
