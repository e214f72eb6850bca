// What the tests of the command line tool share: each has a folder and a store of its own, and
// runs the built program in an environment that nothing leaks into.
#ifndef CAIRN_TESTS_SERVICES_CLI_TEST_H_
#define CAIRN_TESTS_SERVICES_CLI_TEST_H_

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {

inline constexpr int kOk = 0;
inline constexpr int kNothingFound = 1;
inline constexpr int kUsage = 2;
inline constexpr int kError = 3;

class CliTest : public ::testing::Test {
 protected:
  using Json = nlohmann::json;
  using Process = ::cairn::testing::Process;
  using ProcessOptions = ::cairn::testing::ProcessOptions;
  using ProcessResult = ::cairn::testing::ProcessResult;
  using Strings = std::vector<std::string>;

  // For runs that need more than arguments and input.
  ProcessOptions Options(Strings arguments, std::string input = "") const {
    ProcessOptions options;
    options.argv = std::move(arguments);
    options.argv.insert(options.argv.begin(), CAIRN_BINARY);
    options.environment = {"PATH=/usr/bin:/bin", "HOME=" + dir_.path()};
    for (const char* name : {"ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
      if (const char* value = std::getenv(name)) {
        options.environment.push_back(std::string(name) + "=" + value);
      }
    }
    options.input = std::move(input);
    return options;
  }

  static ProcessResult Run(ProcessOptions options) {
    const ProcessResult result = Process(std::move(options)).Wait();
    EXPECT_FALSE(result.timed_out) << result.err;
    EXPECT_EQ(result.signal, 0) << result.err;
    return result;
  }
  ProcessResult Cairn(Strings arguments, std::string input = "") const {
    return Run(Options(std::move(arguments), std::move(input)));
  }

  // File permissions hold for the run even where root runs the tests: it acts as nobody, whom the
  // test's folder is opened to.
  void DropPrivileges(ProcessOptions* options) const {
    if (::geteuid() != 0) return;
    const auto all = std::filesystem::perms::all;
    std::filesystem::permissions(dir_.path(), all);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      if (entry.is_directory() || entry.is_regular_file()) {
        std::filesystem::permissions(entry.path(), all, std::filesystem::perm_options::add);
      }
    }
    options->before_exec = [] {
      constexpr id_t kNobody = 65534;
      return ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
    };
  }

  // "cairn COMMAND --store STORE ...".
  Strings OnStore(std::string command, const Strings& rest = {}) const {
    Strings arguments = {std::move(command), "--store", store_};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  }
  ProcessResult Ingest(const Strings& rest, std::string input = "") const {
    return Cairn(OnStore("ingest", rest), std::move(input));
  }

  // Standard output as JSON; a failure where it is none.
  static Json ParseJson(const ProcessResult& result) {
    Json json = Json::parse(result.out, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << result.out << result.err;
    return json;
  }
  static Strings Lines(std::string_view text) {
    Strings lines;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      lines.emplace_back(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
  }

  Strings ListedIds() const { return Lines(Cairn(OnStore("list")).out); }
  std::string StoredText(const std::string& id) const {
    const Json document = ParseJson(Cairn(OnStore("get", {"--json", id})));
    return document.is_object() ? document.value("text", "") : "";
  }
  void ExpectSound() const {
    const ProcessResult verified = Cairn(OnStore("verify", {"--deep", "--json"}));
    EXPECT_EQ(verified.exit_code, kOk) << verified.err;
    EXPECT_EQ(ParseJson(verified)["sound"], true) << verified.out;
  }

  ::cairn::testing::TempDir dir_;
  const std::string store_ = dir_.file("store");
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_CLI_TEST_H_
