// The hook: session options of a hooked ONNX Runtime are born with every registered custom-op library.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime.h"

namespace blockrank {

struct RuntimeState {
  std::string path;
  std::string version;                 // empty where the runtime is not usable
  std::vector<std::string> bindings;   // onnxruntime_binding.node files linked to it
  std::vector<std::string> libraries;  // registered with it, in order
  std::optional<Problem> problem;      // why it cannot be hooked
};

// All of this is safe to call from any thread; the state is one per process.
std::vector<RuntimeState> ListRuntimes();

// Registers `library` (an absolute path) with the runtime loaded from `runtime_path`, after a trial
// (trial.h). Registering it again does nothing. Whatever fails leaves no trace.
std::optional<Problem> RegisterLibrary(const std::string& runtime_path, const std::string& library);

// Takes `library` away from every runtime; where none is left, the runtime's own function is put back.
// Sessions that exist keep their ops. Returns whether it was registered anywhere.
bool UnregisterLibrary(const std::string& library);

}  // namespace blockrank
