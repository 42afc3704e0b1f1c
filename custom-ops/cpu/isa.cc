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

std::vector<const PackedTable*> FindInt8() {
  std::vector<const PackedTable*> found;
#if defined(__x86_64__)
  if (HasAvx512() && __builtin_cpu_supports("avx512vnni")) found.push_back(&Int8Avx512VnniTable());
  if (HasAvx2() && __builtin_cpu_supports("avxvnni")) found.push_back(&Int8AvxVnniTable());
  if (HasAvx2()) found.push_back(&Int8Avx2Table());
#endif
  found.push_back(&Int8PortableTable());
  return found;
}

std::vector<const PackedTable*> FindBFloat16() {
  std::vector<const PackedTable*> found;
#if defined(__x86_64__)
  if (HasAvx512() && __builtin_cpu_supports("avx512bf16")) found.push_back(&BFloat16Avx512Table());
#endif
  return found;
}

// Whether a table keeps to the vectors of the chosen instruction set.
bool Within(const PackedTable& table, const IsaChoice& choice) {
  const std::string isa = choice.kernels->name, name = table.name;
  return isa == "avx512" || name == "portable" || (isa == "avx2" && name.rfind("avx512", 0) != 0);
}

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

const std::vector<const PackedTable*>& SupportedPacked(Compute compute) {
  static const std::vector<const PackedTable*> int8 = FindInt8(), bfloat16 = FindBFloat16();
  return compute == Compute::kInt8 ? int8 : bfloat16;
}

const PackedTable* ChosenPacked(Compute compute) {
  for (const PackedTable* table : SupportedPacked(compute))
    if (Within(*table, ChosenIsa())) return table;
  return nullptr;
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
  BLOCKRANK_FEATURE("avxvnni")
#undef BLOCKRANK_FEATURE
#endif
  return found;
}

}  // namespace blockrank
