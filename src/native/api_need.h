// Finds out which version of ONNX Runtime's API a custom-op library needs, by watching what it does while it
// registers.
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "runtime.h"

namespace blockrank {

struct ApiNeed {
  uint32_t version = 0;  // newest version asked for that the runtime does not offer; 0 where there is none
  std::string op;        // the operator that is stamped with it; empty where the library itself asked
};

// Runs `body`, which lets a library register its ops through the base that it is given. Whatever version the
// library asks for, it gets a table that is safe to call. Not thread-safe: one at a time.
std::variant<ApiNeed, Problem> WatchApiNeed(const Runtime& runtime,
                                            const std::function<void(const OrtApiBase*)>& body);

}  // namespace blockrank
