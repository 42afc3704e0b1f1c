// A test harness in a page: TEST(name) { CHECK(condition) << "details"; }, run by main.cc.
#pragma once

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

namespace blockrank::test {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

struct Tally {
  long checks = 0;
  long failures = 0;
};

inline Tally& Count() {
  static Tally tally;
  return tally;
}

/// Prints its message when it dies, if the check failed.
class Check {
 public:
  Check(bool passed, const char* text, const char* file, int line) : passed_(passed) {
    ++Count().checks;
    if (!passed) message_ << file << ":" << line << ": " << text << " ";
  }
  ~Check() {
    if (!passed_ && ++Count().failures <= 20) std::fprintf(stderr, "  %s\n", message_.str().c_str());
  }
  template <class T>
  Check& operator<<(const T& value) {
    if (!passed_) message_ << value;
    return *this;
  }

 private:
  const bool passed_;
  std::ostringstream message_;
};

}  // namespace blockrank::test

#define CHECK(condition) ::blockrank::test::Check((condition), #condition, __FILE__, __LINE__)

#define TEST(name)                                                        \
  static void Test_##name();                                              \
  [[maybe_unused]] static const bool registered_##name =                  \
      (::blockrank::test::Cases().push_back({#name, Test_##name}), true); \
  static void Test_##name()
