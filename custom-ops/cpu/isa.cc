#include "cpu/isa.h"

#include <cstdlib>
#include <utility>

namespace blockrank {
namespace {

#if defined(__x86_64__)
bool HasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool HasAvx512() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

std::string Names() {
  std::string names;
  for (const KernelTable* table : SupportedKernels())
    names += (names.empty() ? "" : ", ") + std::string(table->name);
  return names;
}

IsaChoice Choose() {
  const char* wanted = std::getenv("BLOCKRANK_ISA");
  const KernelTable* widest = SupportedKernels().front();
  if (wanted == nullptr || *wanted == '\0') return {widest, ""};
  for (const KernelTable* table : SupportedKernels()) {
    if (table->name == std::string(wanted)) return {table, ""};
  }
  return {widest, "BLOCKRANK_ISA: expected one of " + Names() + " (what this processor runs), found '" +
                      std::string(wanted) + "'; unset it to choose automatically"};
}

}  // namespace

const std::vector<const KernelTable*>& SupportedKernels() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> found;
#if defined(__x86_64__)
    if (HasAvx512()) found.push_back(&Avx512Kernels());
    if (HasAvx2()) found.push_back(&Avx2Kernels());
#endif
    found.push_back(&PortableKernels());
    return found;
  }();
  return tables;
}

const IsaChoice& ChosenIsa() {
  static const IsaChoice choice = Choose();
  return choice;
}

std::vector<std::string> CpuFeatures() {
  std::vector<std::string> found;
#if defined(__x86_64__)
#define BLOCKRANK_FEATURE(name) \
  if (__builtin_cpu_supports(name)) found.push_back(name);
  BLOCKRANK_FEATURE("avx2")
  BLOCKRANK_FEATURE("fma")
  BLOCKRANK_FEATURE("f16c")
  BLOCKRANK_FEATURE("avx512f")
  BLOCKRANK_FEATURE("avx512bw")
  BLOCKRANK_FEATURE("avx512vl")
  BLOCKRANK_FEATURE("avx512dq")
  BLOCKRANK_FEATURE("avx512vnni")
  BLOCKRANK_FEATURE("avx512bf16")
#undef BLOCKRANK_FEATURE
#endif
  return found;
}

}  // namespace blockrank
