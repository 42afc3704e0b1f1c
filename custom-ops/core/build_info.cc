#include "core/build_info.h"

#include <cstdio>

#include "core/cuda_library.h"
#include "cpu/isa.h"

namespace blockrank {
namespace {

// As a JSON string. Paths and messages of the dynamic loader may hold anything.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      quoted += c;
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
    quoted += escape;
  }
  return quoted + "\"";
}

std::string PackedName(Compute compute) {
  const PackedTable* table = ChosenPacked(compute);
  return table == nullptr ? "null" : Quoted(table->name);
}

std::string MakeBuildInfo() {
  std::string features;
  for (const std::string& name : CpuFeatures()) features += (features.empty() ? "" : ",") + Quoted(name);
  const CudaLibrary& cuda = LoadCudaLibrary();
  const std::string kernels =
      cuda.error.empty() ? "true,\"library\":" + Quoted(cuda.path) : "false,\"reason\":" + Quoted(cuda.error);
  return "{\"version\":" + Quoted(BLOCKRANK_VERSION) + ",\"isa\":" + Quoted(ChosenIsa().kernels->name) +
         ",\"int8\":" + PackedName(Compute::kInt8) + ",\"bfloat16\":" + PackedName(Compute::kBFloat16) +
         ",\"features\":[" + features + "],\"cuda\":{\"available\":" + kernels + "}}";
}

}  // namespace

const char* BuildInfo() {
  static const std::string text = MakeBuildInfo();
  return text.c_str();
}

}  // namespace blockrank
