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

TEST(BuildInfoNamesVersionIsaAndFeatures) {
  const std::string info = BuildInfo();
  CHECK(info.rfind("{\"version\":\"", 0) == 0) << info;
  CHECK(info.find("\"isa\":\"" + std::string(ChosenIsa().kernels->name) + "\"") != std::string::npos) << info;
  CHECK(info.find("\"features\":[") != std::string::npos && info.back() == '}') << info;
  CHECK(info.find("\"cuda\":{\"available\":") != std::string::npos) << info;
}

}  // namespace
}  // namespace blockrank
