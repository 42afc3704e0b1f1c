// blockrank_cpu_bench micro
// blockrank_cpu_bench phases IN OUT BLOCKS RANK TOKENS float32|float16|bfloat16|int8 float|bfloat16|int8
// blockrank_cpu_bench calls (the same) CALLS: nothing but calls, for perf or callgrind
//
// One thread. Prints JSON; rates are multiply-adds a nanosecond.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "micro.h"
#include "phases.h"

namespace blockrank::bench {
namespace {

// The fastest of some rounds of about 2 ms.
template <class Run>
double Rate(Run&& run) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  int64_t rounds = 1000;
  for (int round = 0; round < 60; ++round) {
    const auto start = Clock::now();
    const int64_t done = run(rounds);
    const double nanoseconds = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(done) / nanoseconds);
    if (round == 0) rounds = static_cast<int64_t>(std::max(1.0, 2e6 / nanoseconds * 1000));
  }
  return best;
}

// Peak and kernel take turns, since the clock of a shared machine drifts.
void PrintMicros() {
  const char* separator = "[";
  for (const Micro& micro : SupportedMicros()) {
    std::printf("%s\n {\"isa\":\"%s\",\"type\":\"%s\",\"peak\":%.1f", separator, micro.isa, micro.type,
                Rate(micro.peak));
    for (const int64_t depth : {128, 256})
      std::printf(",\"depth%d\":%.1f", static_cast<int>(depth),
                  Rate([&](int64_t rounds) { return micro.kernel(depth, rounds); }));
    std::printf("}");
    separator = ",";
  }
  std::printf("\n]\n");
}

DType TypeOf(const std::string& name) {
  for (int type = 0; type < kDTypeCount; ++type)
    if (name == NameOf(static_cast<DType>(type))) return static_cast<DType>(type);
  return DType::kFloat32;
}

Compute ComputeOf(const std::string& name) {
  return name == "int8" ? Compute::kInt8 : name == "bfloat16" ? Compute::kBFloat16 : Compute::kFloat;
}

// The layer of IN OUT BLOCKS RANK TOKENS TYPE COMPUTE: its phases, or CALLS of it for a profiler.
void MeasureLayer(char** arguments, int calls) {
  const auto number = [&](int index) { return std::strtoll(arguments[index], nullptr, 10); };
  const Dims d{number(0), number(1), number(2), number(2), number(3)};
  const int64_t tokens = number(4);
  const DType type = TypeOf(arguments[5]);
  if (calls > 0) return RunCalls(d, tokens, type, ComputeOf(arguments[6]), calls);
  const Phases t = MeasurePhases(d, tokens, type, ComputeOf(arguments[6]), 40);
  const double work = static_cast<double>((d.rank * (d.in + d.out) + d.b_in * d.b_out * d.rank) * tokens);
  std::printf(
      "{\"rate\":%.1f,\"total\":%.0f,\"products\":%.0f,\"transpose\":%.0f,\"coupling\":%.0f,\"store\":%.0f,"
      "\"widen\":%.0f}\n",
      work / t.total, t.total, t.products, t.transpose, t.coupling, t.store, t.widen);
}

}  // namespace
}  // namespace blockrank::bench

int main(int count, char** arguments) {
  // Memory that was given back stays the process's, as in ONNX Runtime's arena: no page faults in later
  // calls.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const std::string command = count > 1 ? arguments[1] : "";
  if (command == "micro") return blockrank::bench::PrintMicros(), 0;
  if (command == "phases" && count == 9) return blockrank::bench::MeasureLayer(arguments + 2, 0), 0;
  if (command == "calls" && count == 10)
    return blockrank::bench::MeasureLayer(arguments + 2, std::atoi(arguments[9])), 0;
  std::fprintf(
      stderr,
      "blockrank_cpu_bench micro\nblockrank_cpu_bench phases IN OUT BLOCKS RANK TOKENS TYPE COMPUTE\n");
  return 2;
}
