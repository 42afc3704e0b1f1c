// The library's entry points: RegisterCustomOps for ONNX Runtime, BlockrankBuildInfo for the package's
// doctor.
#include <deque>
#include <exception>
#include <map>
#include <mutex>

#include "core/build_info.h"
#include "cpu/isa.h"
#include "ops/custom_op.h"
#include "ops/ort_info.h"

namespace blockrank {
namespace {

constexpr char kDomain[] = "ai.blockrank";
constexpr uint32_t kMinimumApi = 20;

/// One domain with all registrations, for one copy of ONNX Runtime in the process.
struct Plugin {
  abi::OrtCustomOpDomain* domain = nullptr;
  std::deque<CustomOp> ops;  // a deque, because ONNX Runtime keeps their addresses
};

std::vector<DType> TypesOfX(const Backend& backend) {
  std::vector<DType> types = {DType::kFloat32, DType::kFloat16};
  if (backend.takes_bfloat16) types.push_back(DType::kBFloat16);
  return types;
}

// Every operator name × every backend × every type of X. An operator for a provider that a session does not
// use is passed over there.
std::string AddOps(const abi::Functions& ort, Plugin* plugin) {
  for (const Backend* backend : {&CpuBackend(), CudaBackend()}) {
    if (backend == nullptr) continue;
    for (const Variant& variant : Variants()) {
      if (variant.quantized && !backend->takes_int8) continue;
      for (const DType x_type : TypesOfX(*backend)) {
        plugin->ops.emplace_back(ort, variant, x_type, *backend);
        const abi::OrtCustomOp* op = &plugin->ops.back();
        const std::string error = TakeError(ort, ort.CustomOpDomain_Add(plugin->domain, op));
        if (!error.empty()) return error;
      }
    }
  }
  return "";
}

// Sessions keep pointers to the domain's ops and may outlive the options that they were made from, and each
// other: the domain is made once for each copy of ONNX Runtime, and never freed (the library is linked to
// stay loaded).
std::string FindPlugin(const abi::Functions& ort, Plugin** found) {
  static std::mutex mutex;
  static auto& plugins = *new std::map<const abi::OrtApi*, Plugin>;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = plugins.find(ort.api());
  if (known != plugins.end()) {
    *found = &known->second;
    return "";
  }
  Plugin& plugin = plugins[ort.api()];
  std::string error = TakeError(ort, ort.CreateCustomOpDomain(kDomain, &plugin.domain));
  if (error.empty()) error = AddOps(ort, &plugin);
  if (!error.empty()) {
    if (plugin.domain != nullptr) ort.ReleaseCustomOpDomain(plugin.domain);
    plugins.erase(ort.api());
    return error;
  }
  *found = &plugin;
  return "";
}

abi::OrtStatus* Register(const abi::Functions& ort, abi::OrtSessionOptions* options) {
  if (!ChosenIsa().error.empty()) return ort.CreateStatus(abi::kInvalidArgument, ChosenIsa().error.c_str());
  Plugin* plugin = nullptr;
  const std::string error = FindPlugin(ort, &plugin);
  if (!error.empty()) return ort.CreateStatus(abi::kFail, error.c_str());
  return ort.AddCustomOpDomain(options, plugin->domain);
}

}  // namespace
}  // namespace blockrank

#define BLOCKRANK_EXPORT extern "C" __attribute__((visibility("default")))

BLOCKRANK_EXPORT blockrank::abi::OrtStatus* RegisterCustomOps(blockrank::abi::OrtSessionOptions* options,
                                                              const blockrank::abi::OrtApiBase* base) {
  using namespace blockrank;
  const abi::OrtApi* api = base->GetApi(kMinimumApi);
  if (api == nullptr) {
    // Version 1 of the table has what it takes to say so.
    return abi::Functions(base->GetApi(1))
        .CreateStatus(
            abi::kNotImplemented,
            (std::string("blockrank: expected ONNX Runtime 1.20 or newer, found ") + base->GetVersionString())
                .c_str());
  }
  const abi::Functions ort(api);
  try {
    return Register(ort, options);
  } catch (const std::exception& e) {
    return ort.CreateStatus(abi::kRuntimeException, e.what());
  }
}

BLOCKRANK_EXPORT const char* BlockrankBuildInfo(void) { return blockrank::BuildInfo(); }
