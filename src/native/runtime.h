// A loaded ONNX Runtime whose API table has been checked.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "platform.h"

namespace blockrank {

// A problem as JavaScript sees it: `code` is one of the package's error codes.
struct Problem {
  const char* code;
  std::string message;
};

inline constexpr char kOrtUnsupported[] = "ORT_UNSUPPORTED";
inline constexpr char kHookFailed[] = "HOOK_FAILED";
inline constexpr char kLibraryInvalid[] = "LIBRARY_INVALID";
inline constexpr char kLibraryIncompatible[] = "LIBRARY_INCOMPATIBLE";

// Each hooked runtime needs functions of its own (hook.cc says why), so their number is fixed.
constexpr size_t kMaxRuntimes = 8;

struct Runtime {
  std::string path;
  std::string version;  // such as 1.29.0
  uint32_t api;         // newest API version that it offers: the minor number
  const OrtApiBase* base;
  ApiTable* table;
};

// "1.29.0" → 29; 0 for anything that is not 1.x.
uint32_t ApiVersionOf(const std::string& version);

// Checks that the table is the one that ort_abi.h describes, so that patching and calling it is safe.
std::variant<Runtime, Problem> InspectRuntime(const RuntimeImage& image);

Problem TooManyRuntimes();
Problem NotPatchable(const Runtime& runtime, const std::string& reason);

// The status' text; releases the status.
std::string TakeMessage(ApiTable* table, OrtStatus* status);

}  // namespace blockrank
