// The Node-API face of the loader; src/loader/addon.ts describes it to TypeScript. Every function is
// synchronous. A problem is thrown as an Error whose `code` is one of the package's error codes.
#include <node_api.h>

#include <exception>

#include "cuda_driver.h"
#include "hook.h"
#include "linalg/exports.h"
#include "napi_values.h"

namespace blockrank {
namespace {

napi_value StateToJs(napi_env env, const RuntimeState& state) {
  napi_value object = NewObject(env);
  Set(env, object, "path", ToJs(env, state.path));
  Set(env, object, "version", ToJs(env, state.version));
  Set(env, object, "bindings", ToJs(env, state.bindings));
  Set(env, object, "libraries", ToJs(env, state.libraries));
  if (state.problem) {
    Set(env, object, "code", ToJs(env, std::string(state.problem->code)));
    Set(env, object, "problem", ToJs(env, state.problem->message));
  }
  return object;
}

// runtimes(): every loaded ONNX Runtime.
napi_value Runtimes(napi_env env, napi_callback_info) {
  const std::vector<RuntimeState> states = ListRuntimes();
  napi_value array = nullptr;
  napi_create_array_with_length(env, states.size(), &array);
  for (size_t i = 0; i < states.size(); ++i)
    napi_set_element(env, array, static_cast<uint32_t>(i), StateToJs(env, states[i]));
  return array;
}

// register(runtimePath, library) and choose(runtimePath, library)
template <Scope scope>
napi_value Register(napi_env env, napi_callback_info info) {
  const auto [runtime, library] = StringArguments<2>(env, info);
  if (const auto problem = RegisterLibrary(runtime, library, scope)) {
    napi_throw_error(env, problem->code, problem->message.c_str());
  }
  return nullptr;
}

// unregister(library) → was it registered?
napi_value Unregister(napi_env env, napi_callback_info info) {
  const auto [library] = StringArguments<1>(env, info);
  napi_value result = nullptr;
  napi_get_boolean(env, UnregisterLibrary(library), &result);
  return result;
}

// exclude(library)
napi_value Exclude(napi_env env, napi_callback_info info) {
  const auto [library] = StringArguments<1>(env, info);
  ExcludeLibrary(library);
  return nullptr;
}

// endChoice()
napi_value EndThreadsChoice(napi_env, napi_callback_info) {
  EndChoice();
  return nullptr;
}

// buildInfo(library) → the text that its BlockrankBuildInfo() returns, null where it has none.
napi_value BuildInfo(napi_env env, napi_callback_info info) {
  const auto [path] = StringArguments<1>(env, info);
  SharedLibrary library(path);
  if (!library.error().empty()) {
    napi_throw_error(env, kLibraryIncompatible, library.error().c_str());
    return nullptr;
  }
  const auto build_info = reinterpret_cast<const char* (*)()>(library.Symbol("BlockrankBuildInfo"));
  const char* text = build_info ? build_info() : nullptr;
  return text ? ToJs(env, std::string(text)) : Null(env);
}

// loadError(name) → why the dynamic loader does not find or open that library, null where it does.
napi_value LoadError(napi_env env, napi_callback_info info) {
  const auto [name] = StringArguments<1>(env, info);
  const SharedLibrary library(name);
  return library.error().empty() ? Null(env) : ToJs(env, library.error());
}

// cudaDriver() → { error, version, devices }
napi_value Driver(napi_env env, napi_callback_info) {
  const CudaDriver driver = AskCudaDriver();
  napi_value object = NewObject(env);
  napi_value version = nullptr;
  napi_create_int32(env, driver.version, &version);
  Set(env, object, "error", ToJs(env, driver.error));
  Set(env, object, "version", version);
  Set(env, object, "devices", ToJs(env, driver.devices));
  return object;
}

// No C++ exception may cross into Node.
template <napi_callback Function>
napi_value Guarded(napi_env env, napi_callback_info info) {
  try {
    return Function(env, info);
  } catch (const std::exception& e) {
    napi_throw_error(env, kHookFailed, e.what());
  } catch (...) {
    napi_throw_error(env, kHookFailed, "an exception of unknown type");
  }
  return nullptr;
}

template <napi_callback Function>
void Export(napi_env env, napi_value exports, const char* name) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, Guarded<Function>, nullptr, &function);
  Set(env, exports, name, function);
}

}  // namespace
}  // namespace blockrank

NAPI_MODULE_INIT() {
  using namespace blockrank;
  Export<Runtimes>(env, exports, "runtimes");
  Export<Register<Scope::kProcess>>(env, exports, "register");
  Export<Register<Scope::kThread>>(env, exports, "choose");
  Export<Exclude>(env, exports, "exclude");
  Export<EndThreadsChoice>(env, exports, "endChoice");
  Export<Unregister>(env, exports, "unregister");
  Export<BuildInfo>(env, exports, "buildInfo");
  Export<LoadError>(env, exports, "loadError");
  Export<Driver>(env, exports, "cudaDriver");
  Set(env, exports, "linearAlgebra", linalg::Exports(env));
  return exports;
}
