// Linear algebra for JavaScript: graph-rewriter/factorize/loops.ts describes the functions.
#pragma once

#include <node_api.h>

namespace blockrank::linalg {

/// An object with a function for each of the loops.
napi_value Exports(napi_env env);

}  // namespace blockrank::linalg
