#include "runtime.h"

#include <cstdio>

namespace blockrank {
namespace {

template <typename... Slots>
bool AllInImage(ApiTable* table, const void* image) {
  return (InSameImage(LoadEntry(table, Slots::kPosition), image) && ...);
}

bool LooksLikeApiTable(ApiTable* table, const void* image) {
  // The two entries that get replaced may already lead to somebody else's function, in another image.
  return InSameImage(table, image) && InAnyImage(LoadEntry(table, CreateSessionOptions::kPosition)) &&
         InAnyImage(LoadEntry(table, CustomOpDomainAdd::kPosition)) &&
         AllInImage<CreateStatus, GetErrorMessage, CreateEnv, CreateSessionFromArray, SetIntraOpNumThreads,
                    ReleaseEnv, ReleaseStatus, ReleaseSession, ReleaseSessionOptions,
                    RegisterCustomOpsLibrary>(table, image);
}

// Every version of the API is a prefix of one static table in all runtimes so far; a runtime that keeps
// several cannot be hooked through one entry.
bool OneTableForAllVersions(const OrtApiBase* base, uint32_t newest) {
  ApiTable* table = base->GetApi(newest);
  for (uint32_t version = kOldestApi; version < newest; ++version) {
    if (base->GetApi(version) != table) return false;
  }
  return table != nullptr;
}

}  // namespace

uint32_t ApiVersionOf(const std::string& version) {
  unsigned minor = 0;
  return std::sscanf(version.c_str(), "1.%u.", &minor) == 1 ? minor : 0;
}

std::variant<Runtime, Problem> InspectRuntime(const RuntimeImage& image) {
  const void* code = reinterpret_cast<const void*>(image.get_api_base);
  const OrtApiBase* base = image.get_api_base();
  if (!base || !InSameImage(reinterpret_cast<const void*>(base->GetVersionString), code)) {
    return Problem{kHookFailed, "OrtGetApiBase of " + image.path + " returned no usable table"};
  }
  const char* version = base->GetVersionString();
  const uint32_t api = version ? ApiVersionOf(version) : 0;
  if (api < kOldestApi) {
    return Problem{kOrtUnsupported, "expected ONNX Runtime 1." + std::to_string(kOldestApi) +
                                        " or newer (1.x), found " + (version ? version : "no version") +
                                        " in " + image.path};
  }
  if (!OneTableForAllVersions(base, api) || !LooksLikeApiTable(base->GetApi(api), code)) {
    return Problem{kHookFailed, "the API table of ONNX Runtime " + std::string(version) + " in " +
                                    image.path + " has an unexpected layout"};
  }
  return Runtime{image.path, version, api, base, base->GetApi(api)};
}

Problem TooManyRuntimes() {
  return {kHookFailed, "more than " + std::to_string(kMaxRuntimes) + " copies of ONNX Runtime are loaded"};
}

Problem NotPatchable(const Runtime& runtime, const std::string& reason) {
  return {kHookFailed, "the API table of " + runtime.path + " could not be changed: " + reason};
}

std::string TakeMessage(ApiTable* table, OrtStatus* status) {
  const std::string message = GetErrorMessage::In(table)(status);
  ReleaseStatus::In(table)(status);
  return message;
}

}  // namespace blockrank
