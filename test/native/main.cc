// Runs every test, or those whose name contains the first argument. A test without a check fails.
#include <cstring>

#include "check.h"

int main(int argc, char** argv) {
  using namespace blockrank::test;
  const char* filter = argc > 1 ? argv[1] : "";
  int failed = 0;
  int run = 0;
  for (const Case& test : Cases()) {
    if (std::strstr(test.name, filter) == nullptr) continue;
    const Tally before = Count();
    test.run();
    const bool passed = Count().failures == before.failures && Count().checks > before.checks;
    std::printf("%s %s (%ld checks)\n", passed ? "ok  " : "FAIL", test.name, Count().checks - before.checks);
    failed += !passed;
    ++run;
  }
  std::printf("%d tests, %d failed\n", run, failed);
  return failed > 0 || run == 0;
}
