#include "api_need.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

namespace blockrank {
namespace {

// The runtimes watched so far. Kept for good: a library may hold on to the base that it was given.
struct Watched {
  Runtime runtime;
  std::atomic<CustomOpDomainAdd::Function> add_op{nullptr};
};
auto& g_watched = *new std::array<Watched, kMaxRuntimes>;
size_t g_watched_count = 0;
std::atomic<const Watched*> g_current{nullptr};

thread_local ApiNeed* t_need = nullptr;  // set on the thread that runs the trial, while it does

void Note(uint32_t version, const char* op) {
  if (t_need && version > t_need->version) *t_need = {version, op};
}

// A library that asks for a newer API than there is gets null, and the official C++ wrapper dereferences it.
// Here it gets a stand-in: the entries that every runtime has, then functions that only report a failure. All
// that matters is the version. A library that would have tried an older version next is refused too: it
// cannot be told from one that would have crashed.
constexpr size_t kStandInSlots = 1024;
std::array<void*, kStandInSlots> g_stand_in;

OrtStatus* NotInThisRuntime() {
  return CreateStatus::In(g_stand_in.data())(kOrtFail,
                                             "ONNX Runtime is older than the API that was asked for");
}

void FillStandIn(ApiTable* table) {
  for (size_t i = 0; i < kStandInSlots; ++i)
    g_stand_in[i] = i < kSlotsOfOldestApi ? LoadEntry(table, i) : reinterpret_cast<void*>(NotInThisRuntime);
}

ApiTable* WatchedGetApi(uint32_t version) {
  const Runtime& runtime = g_current.load()->runtime;
  if (version <= runtime.api) return runtime.base->GetApi(version);
  Note(version, "");
  return g_stand_in.data();
}

const char* WatchedGetVersionString() { return g_current.load()->runtime.version.c_str(); }

constexpr OrtApiBase kWatchedBase = {WatchedGetApi, WatchedGetVersionString};

// ONNX Runtime looks at an operator's stamp only when a model uses the operator; this sees it when it is
// added.
template <size_t Index>
OrtStatus* AddWatchedOp(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  const Watched& watched = g_watched[Index];
  if (op && op->version > watched.runtime.api) Note(op->version, op->GetName(op));
  return watched.add_op.load()(domain, op);
}

template <size_t... Index>
constexpr std::array<CustomOpDomainAdd::Function, sizeof...(Index)> MakeAdders(
    std::index_sequence<Index...>) {
  return {AddWatchedOp<Index>...};
}

constexpr auto kAdders = MakeAdders(std::make_index_sequence<kMaxRuntimes>());

Watched* FindOrAdd(const Runtime& runtime) {
  const auto end = g_watched.begin() + g_watched_count;
  const auto found = std::find_if(g_watched.begin(), end,
                                  [&](const Watched& w) { return w.runtime.table == runtime.table; });
  if (found != end) return &*found;
  if (g_watched_count == kMaxRuntimes) return nullptr;
  g_watched[g_watched_count].runtime = runtime;
  return &g_watched[g_watched_count++];
}

// Stands in the table's CustomOpDomain_Add entry while it lives.
class AddWatch {
 public:
  explicit AddWatch(Watched& watched)
      : slot_(watched.runtime.table + CustomOpDomainAdd::kPosition),
        ours_(reinterpret_cast<void*>(kAdders[&watched - g_watched.data()])) {
    const auto add_op = CustomOpDomainAdd::In(watched.runtime.table);
    watched.add_op = add_op;
    before_ = reinterpret_cast<void*>(add_op);
    failure = WritePointer(slot_, ours_);
  }
  ~AddWatch() {
    t_need = nullptr;
    if (__atomic_load_n(slot_, __ATOMIC_ACQUIRE) == ours_) WritePointer(slot_, before_);
  }
  AddWatch(const AddWatch&) = delete;
  AddWatch& operator=(const AddWatch&) = delete;

  std::optional<std::string> failure;

 private:
  ApiTable* slot_;
  void* ours_;
  void* before_;
};

}  // namespace

std::variant<ApiNeed, Problem> WatchApiNeed(const Runtime& runtime,
                                            const std::function<void(const OrtApiBase*)>& body) {
  Watched* watched = FindOrAdd(runtime);
  if (!watched) return TooManyRuntimes();
  const AddWatch watch(*watched);
  if (watch.failure) return NotPatchable(runtime, *watch.failure);
  g_current = watched;
  FillStandIn(runtime.table);
  ApiNeed need;
  t_need = &need;
  body(&kWatchedBase);
  return need;
}

}  // namespace blockrank
