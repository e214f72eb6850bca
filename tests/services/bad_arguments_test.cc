// Numbers and queries out of all bounds.
#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;

class BadArguments : public CliTest {
 protected:
  void SetUp() override {
    path_ = dir_.Write("a.txt", "The quokka lives on Rottnest Island.");
    ASSERT_EQ(Ingest({path_}).exit_code, kOk);
  }
  void TearDown() override {
    EXPECT_EQ(ListedIds(), Strings({path_}));
    ExpectSound();
  }
  std::string path_;
};

TEST_F(BadArguments, NumbersOutOfRangeAreRefusedByName) {
  const Strings bad = {"0",
                       "-1",
                       "-9223372036854775808",
                       "9223372036854775808",
                       "18446744073709551616",
                       "1e3",
                       "0x10",
                       "",
                       "1.5",
                       "ten",
                       "1000001"};
  for (const std::string& number : bad) {
    for (const Strings& command : {OnStore("search", {"-k", number, "quokka"}),
                                   OnStore("ask", {"--passages", number, "quokka?"}),
                                   OnStore("ask", {"--sentences", number, "quokka?"}),
                                   OnStore("ingest", {"--chunk-tokens", number, path_})}) {
      const ProcessResult result = Cairn(command);
      // Hexadecimal is a number too; so sixteen is.
      if (number == "0x10" && result.exit_code == kOk) continue;
      if (number == "0x10" && command[0] == "ingest" && result.exit_code == kError) continue;
      EXPECT_EQ(result.exit_code, kUsage) << command[0] << " " << number << result.err;
      EXPECT_THAT(result.err, HasSubstr(command[3])) << number;
    }
  }
}

TEST_F(BadArguments, TheLargestKIsFine) {
  const ProcessResult result = Cairn(OnStore("search", {"--json", "-k", "1000000", "quokka"}));
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_EQ(ParseJson(result)["hits"].size(), 1u);
}

TEST_F(BadArguments, ThreadsAreBounded) {
  for (const char* number : {"-1", "1025", "2147483648", "9223372036854775808", "many"}) {
    EXPECT_EQ(Ingest({"--threads", number, path_}).exit_code, kUsage) << number;
    EXPECT_EQ(
        Cairn(OnStore("search", {"--topics", path_, "--run", "-", "--threads", number})).exit_code,
        kUsage);
  }
  EXPECT_EQ(Ingest({"--threads", "1024", path_}).exit_code, kOk);
}

TEST_F(BadArguments, WeightsAreBounded) {
  for (const Strings& flag : std::vector<Strings>{{"--alpha", "1.5"},
                                                  {"--alpha", "-0.1"},
                                                  {"--alpha", "nan"},
                                                  {"--k1", "-1"},
                                                  {"--k1", "inf"},
                                                  {"--k1", "nan"},
                                                  {"--b", "2"},
                                                  {"--b", "nan"}}) {
    const ProcessResult result = Cairn(OnStore("search", {flag[0], flag[1], "quokka"}));
    EXPECT_EQ(result.exit_code, kUsage) << flag[0] << flag[1] << result.out;
  }
}

TEST_F(BadArguments, SpansOutsideTheTextAreRefused) {
  for (const Strings& span : std::vector<Strings>{{"--begin", "37"},
                                                  {"--end", "37"},
                                                  {"--begin", "-1"},
                                                  {"--end", "9223372036854775808"},
                                                  {"--begin", "18446744073709551616"}}) {
    const ProcessResult result = Cairn(OnStore("get", {span[0], span[1], path_}));
    EXPECT_EQ(result.exit_code, kUsage) << span[0] << " " << span[1] << result.out;
  }
  EXPECT_EQ(Cairn(OnStore("get", {"--begin", "9", "--end", "4", path_})).exit_code, kUsage);
}

TEST_F(BadArguments, QueriesWithoutAWordToSearchForDoNoHarm) {
  for (const char* query : {"the of and", "??? !!! ...", "\xFF\xFE\xC3", "", " \t\n", "\x01\x02"}) {
    const ProcessResult lexical = Cairn(OnStore("search", {"--mode", "lexical", "--json", query}));
    EXPECT_THAT(lexical.exit_code, AnyOf(Eq(kNothingFound), Eq(kUsage))) << query << lexical.err;
    for (const char* mode : {"hybrid", "vector"}) {
      const ProcessResult result = Cairn(OnStore("search", {"--mode", mode, "--json", query}));
      EXPECT_LE(result.exit_code, kUsage) << query << result.err;
      if (result.exit_code != kUsage) ParseJson(result);
    }
    const ProcessResult asked = Cairn(OnStore("ask", {"--json", query}));
    EXPECT_LE(asked.exit_code, kUsage) << query << asked.err;
  }
}

TEST_F(BadArguments, LongQueriesAreAnsweredUpToALimitThatIsNamed) {
  // One argument holds at most 128 KiB, so a long query is several.
  const std::string part = [] {
    std::string words;
    while (words.size() < 100'000) words += "quokka island ";
    words.pop_back();
    return words;
  }();
  const ProcessResult fine = Cairn(OnStore("search", Strings(10, part)));
  EXPECT_EQ(fine.exit_code, kOk) << fine.err;
  const ProcessResult word = Cairn(OnStore("search", {std::string(100'000, 'q')}));
  EXPECT_LE(word.exit_code, kNothingFound) << word.err;
  const ProcessResult refused = Cairn(OnStore("search", Strings(12, part)));
  EXPECT_EQ(refused.exit_code, kUsage);
  EXPECT_THAT(refused.err, HasSubstr("1 MiB"));
  EXPECT_EQ(Cairn(OnStore("ask", Strings(12, part))).exit_code, kUsage);
}

TEST_F(BadArguments, HugeFiltersAndIdsAreRefused) {
  std::string nested;
  for (int i = 0; i < 50'000; ++i) nested += "(";
  const ProcessResult deep = Cairn(OnStore("list", {"--filter", nested}));
  EXPECT_EQ(deep.exit_code, kUsage);
  EXPECT_THAT(deep.err, HasSubstr("filter"));
  EXPECT_EQ(Cairn(OnStore("list", {"--filter", std::string(120'000, 'x')})).exit_code, kUsage);
  EXPECT_EQ(Cairn(OnStore("get", {std::string(100'000, 'x')})).exit_code, kNothingFound);
  EXPECT_LE(Cairn(OnStore("get", {"\xFF"})).exit_code, kUsage);
}

}  // namespace
}  // namespace cairn::services
