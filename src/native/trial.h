// The trial run of a custom-op library: everything that could fail in a later session fails here instead.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime.h"

namespace blockrank {

using CreateSessionOptionsFn = OrtStatus* (*)(OrtSessionOptions** out);

// Loads `library`, lets it register its ops beside the libraries in `before`, and creates a one-node session
// with them in `runtime`. Returns the first problem; where there is none the library stays loaded for the
// life of the process. Not thread-safe: one trial at a time.
std::optional<Problem> TryLibrary(const Runtime& runtime, CreateSessionOptionsFn create_options,
                                  const std::vector<std::string>& before, const std::string& library);

}  // namespace blockrank
