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

// Whose sessions get a library: every thread's until UnregisterLibrary, or the calling thread's until
// EndChoice.
enum class Scope { kProcess, kThread };

// Registers `library` (an absolute path) with the runtime loaded from `runtime_path`, after a trial
// (trial.h). Registering it again does nothing. Whatever fails leaves no trace, but for a thread's choice,
// which is to be ended.
std::optional<Problem> RegisterLibrary(const std::string& runtime_path, const std::string& library,
                                       Scope scope);

// Sessions that the calling thread creates do not get `library`, although it is registered, until EndChoice.
// A thread has one choice at a time. What others register, unregister or choose meanwhile does not matter to
// it, nor its choice to them.
void ExcludeLibrary(const std::string& library);
void EndChoice();

// Takes `library` away from every runtime; where none is left, the runtime's own function is put back.
// Sessions that exist keep their ops. Returns whether it was registered anywhere.
bool UnregisterLibrary(const std::string& library);

}  // namespace blockrank
