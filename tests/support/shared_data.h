// Finds the development collections and reference artefacts that are not part of the project.
#ifndef CAIRN_TESTS_SUPPORT_SHARED_DATA_H_
#define CAIRN_TESTS_SUPPORT_SHARED_DATA_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace cairn::testing {

// CAIRN_SHARED_DIR, or the folder "shared" beside the source tree.
inline std::string SharedDir() {
  const char* dir = std::getenv("CAIRN_SHARED_DIR");
  return dir != nullptr ? dir : CAIRN_SOURCE_DIR "/../shared";
}

inline std::string ReadFileOrDie(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) std::abort();
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace cairn::testing

// Skips the test, saying so, where `relative` is not there.
#define CAIRN_NEED_SHARED(relative)                                                  \
  do {                                                                               \
    if (!std::filesystem::exists(::cairn::testing::SharedDir() + "/" + (relative)))  \
      GTEST_SKIP() << "needs " << ::cairn::testing::SharedDir() << "/" << (relative) \
                   << " (set CAIRN_SHARED_DIR)";                                     \
  } while (false)

#endif  // CAIRN_TESTS_SUPPORT_SHARED_DATA_H_
