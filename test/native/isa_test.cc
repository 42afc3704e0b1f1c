// The choice of an instruction set, and what the library says about itself.
#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#include "check.h"
#include "core/build_info.h"

namespace blockrank {
namespace {

TEST(PortableIsAlwaysSupportedAndLast) {
  CHECK(std::string(SupportedKernels().back()->name) == "portable");
  for (const KernelTable* kernels : SupportedKernels()) {
    CHECK(kernels->panel_rows > 0 && kernels->panel_rows <= kMaxPanelRows) << kernels->name;
  }
}

TEST(TheChoiceFollowsTheEnvironment) {
  const char* wanted = std::getenv("BLOCKRANK_ISA");
  const KernelTable* widest = SupportedKernels().front();
  const std::string expected = wanted == nullptr || ChosenIsa().error.size() ? widest->name : wanted;
  CHECK(ChosenIsa().kernels->name == expected) << ChosenIsa().kernels->name;
}

TEST(PackedTablesKeepToTheChosenVectors) {
  const std::string isa = ChosenIsa().kernels->name;
  const PackedTable* int8 = ChosenPacked(Compute::kInt8);
  CHECK(int8 != nullptr && std::string(SupportedPacked(Compute::kInt8).back()->name) == "portable");
  CHECK(isa != "portable" || std::string(int8->name) == "portable") << int8->name;
  CHECK(isa == "avx512" || std::string(int8->name).find("512") == std::string::npos) << int8->name;
  CHECK(isa == "avx512" || ChosenPacked(Compute::kBFloat16) == nullptr);
}

TEST(BuildInfoNamesVersionIsaAndFeatures) {
  const std::string info = BuildInfo();
  CHECK(info.rfind("{\"version\":\"", 0) == 0) << info;
  CHECK(info.find("\"isa\":\"" + std::string(ChosenIsa().kernels->name) + "\"") != std::string::npos) << info;
  const PackedTable* bfloat16 = ChosenPacked(Compute::kBFloat16);
  const std::string name = bfloat16 == nullptr ? "null" : "\"" + std::string(bfloat16->name) + "\"";
  CHECK(info.find(",\"int8\":\"" + std::string(ChosenPacked(Compute::kInt8)->name)) != std::string::npos)
      << info;
  CHECK(info.find(",\"bfloat16\":" + name + ",") != std::string::npos) << info;
  CHECK(info.find("\"features\":[") != std::string::npos && info.back() == '}') << info;
  CHECK(info.find("\"cuda\":{\"available\":") != std::string::npos) << info;
}

}  // namespace
}  // namespace blockrank
