#include "trial.h"

#include <exception>
#include <memory>

#include "api_need.h"

namespace blockrank {
namespace {

// The smallest model that every supported runtime accepts: y = Identity(x), float[1], opset 13, IR 8
// (protobuf wire format).
constexpr unsigned char kIdentityModel[] = {
    0x08, 0x08, 0x42, 0x02, 0x10, 0x0d, 0x3a, 0x37,  // versions, graph
    0x0a, 0x10, 0x0a, 0x01, 'x',  0x12, 0x01, 'y',  0x22,
    0x08, 'I',  'd',  'e',  'n',  't',  'i',  't',  'y',  // node
    0x12, 0x01, 'g',                                      // graph name
    0x5a, 0x0f, 0x0a, 0x01, 'x',  0x12, 0x0a, 0x0a, 0x08,
    0x08, 0x01, 0x12, 0x04, 0x0a, 0x02, 0x08, 0x01,  // input
    0x62, 0x0f, 0x0a, 0x01, 'y',  0x12, 0x0a, 0x0a, 0x08,
    0x08, 0x01, 0x12, 0x04, 0x0a, 0x02, 0x08, 0x01,  // output
};

// Calls the library's entry point; an exception that escapes it is a failure like any other.
std::optional<std::string> CallEntry(RegisterCustomOpsFn entry, OrtSessionOptions* options,
                                     const OrtApiBase* base, ApiTable* table) {
  try {
    OrtStatus* status = entry(options, base);
    if (status) return TakeMessage(table, status);
    return std::nullopt;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

// An Env is shared by the whole process and counted; with onnxruntime-node's own settings it does not matter
// who was first.
std::optional<std::string> CreateOneSession(ApiTable* table, const OrtSessionOptions* options) {
  OrtEnv* raw_env = nullptr;
  if (OrtStatus* status = CreateEnv::In(table)(kOrtLogWarning, "onnxruntime-node", &raw_env)) {
    return TakeMessage(table, status);
  }
  Owned<OrtEnv> env(raw_env, ReleaseEnv::In(table));
  OrtSession* session = nullptr;
  if (OrtStatus* status = CreateSessionFromArray::In(table)(env.get(), kIdentityModel, sizeof kIdentityModel,
                                                            options, &session)) {
    return TakeMessage(table, status);
  }
  ReleaseSession::In(table)(session);
  return std::nullopt;
}

Problem Incompatible(const std::string& why) { return {kLibraryIncompatible, why}; }

constexpr char kTakenHint[] =
    ". Its operators seem to be registered from another file: unregister that one first, or, if this is "
    "blockrank's own "
    "library, let `npm dedupe` leave one copy of blockrank";

std::string Release(uint32_t api) { return "ONNX Runtime 1." + std::to_string(api); }

Problem NeedsNewer(const ApiNeed& need, const Runtime& runtime) {
  return Incompatible((need.op.empty() ? "it" : "its operator " + need.op) + " was built for " +
                      Release(need.version) + ", but ONNX Runtime " + runtime.version +
                      " is loaded. Update onnxruntime-node, or use a build of the library for " +
                      Release(runtime.api) + " or older");
}

std::optional<Problem> TryEntry(const Runtime& runtime, RegisterCustomOpsFn entry,
                                OrtSessionOptions* options) {
  std::optional<std::string> refusal;
  const auto watched = WatchApiNeed(
      runtime, [&](const OrtApiBase* base) { refusal = CallEntry(entry, options, base, runtime.table); });
  if (const Problem* problem = std::get_if<Problem>(&watched)) return *problem;
  const ApiNeed& need = std::get<ApiNeed>(watched);
  if (need.version) return NeedsNewer(need, runtime);
  if (refusal) return Incompatible("its RegisterCustomOps failed: " + *refusal);
  if (const auto failure = CreateOneSession(runtime.table, options)) {
    const bool taken = failure->find("already") != std::string::npos;
    return Incompatible("no session can be created with it: " + *failure + (taken ? kTakenHint : ""));
  }
  return std::nullopt;
}

}  // namespace

std::optional<Problem> TryLibrary(const Runtime& runtime, CreateSessionOptionsFn create_options,
                                  const std::vector<std::string>& before, const std::string& library) {
  ApiTable* table = runtime.table;
  OrtSessionOptions* raw_options = nullptr;
  if (OrtStatus* status = create_options(&raw_options))
    return Problem{kHookFailed, TakeMessage(table, status)};
  // Declared before the options, hence unloaded after them: they may hold objects of the library.
  SharedLibrary opened(library);
  Owned<OrtSessionOptions> options(raw_options, ReleaseSessionOptions::In(table));
  if (!opened.error().empty())
    return Incompatible("it cannot be loaded: " + opened.error() + ". `ldd " + library +
                        "` lists what it needs");
  const auto entry = reinterpret_cast<RegisterCustomOpsFn>(opened.Symbol("RegisterCustomOps"));
  if (!entry) return Problem{kLibraryInvalid, "it exports no function RegisterCustomOps"};

  if (OrtStatus* status = SetIntraOpNumThreads::In(table)(options.get(), 1)) {
    return Problem{kHookFailed, TakeMessage(table, status)};
  }
  for (const std::string& path : before) {
    if (OrtStatus* status = RegisterCustomOpsLibrary::In(table)(options.get(), path.c_str())) {
      return Problem{kHookFailed, TakeMessage(table, status)};
    }
  }
  std::optional<Problem> problem = TryEntry(runtime, entry, options.get());
  if (!problem) opened.Keep();
  return problem;
}

}  // namespace blockrank
