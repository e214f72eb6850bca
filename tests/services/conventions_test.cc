// Exit codes, streams, help, JSON: what a script may rely on.
#include <algorithm>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const std::vector<std::string> kCommands = {"ingest", "search", "ask",       "eval",
                                            "get",    "delete", "list",      "stats",
                                            "verify", "kv",     "completion"};

class Conventions : public CliTest {
 protected:
  void IngestTwoDocuments() const {
    dir_.Write("in/a.txt", "The quokka lives on Rottnest Island.");
    dir_.Write("in/b.txt", "Glaciers carve valleys.");
    ASSERT_EQ(Ingest({dir_.file("in")}).exit_code, kOk);
  }
};

TEST_F(Conventions, SuccessIsZero) {
  IngestTwoDocuments();
  for (const Strings& command :
       {OnStore("search", {"quokka"}), OnStore("ask", {"Where does the quokka live?"}),
        OnStore("list"), OnStore("stats"), OnStore("verify"),
        OnStore("get", {dir_.file("in/a.txt")}), Strings{"completion", "bash"},
        OnStore("delete", {dir_.file("in/a.txt")})}) {
    EXPECT_EQ(Cairn(command).exit_code, kOk) << command[0];
  }
}

TEST_F(Conventions, NothingFoundIsOneAndPrintsNoData) {
  IngestTwoDocuments();
  for (const Strings& command :
       {OnStore("search", {"--mode", "lexical", "xylophone"}),
        OnStore("search", {"--filter", "year = 3", "quokka"}),
        OnStore("ask", {"--filter", "year = 3", "quokka?"}),
        OnStore("list", {"--filter", "year = 3"}), OnStore("list", {"--after", "\x7f"}),
        OnStore("get", {"nowhere"}), OnStore("delete", {"nowhere"})}) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kNothingFound) << command[0] << result.err;
    EXPECT_THAT(result.out, IsEmpty()) << command[0];
  }
}

TEST_F(Conventions, WrongUseIsTwoAndSaysWhyOnStandardError) {
  IngestTwoDocuments();
  const std::vector<std::pair<Strings, std::string>> cases = {
      {{}, "command is required"},
      {{"frobnicate"}, "frobnicate"},
      {{"list"}, "no store named"},
      {{"ingest", "--store", store_}, "PATH"},
      {OnStore("search"), "no query"},
      {OnStore("search", {"--mode", "psychic", "quokka"}), "psychic"},
      {OnStore("search", {"--no-such-flag", "quokka"}), "--no-such-flag"},
      {OnStore("search", {"--filter", "year =", "quokka"}), "expected a value"},
      {OnStore("search", {"--topics", "t.tsv"}), "--run"},
      {OnStore("search", {"--topics", "t.tsv", "--run", "r", "quokka"}), "exclude"},
      {OnStore("ask"), "QUESTION"},
      {OnStore("get"), "ID"},
      {OnStore("get", {"--end", "100000", dir_.file("in/a.txt")}), "bytes 0 to"},
      {OnStore("delete"), "--whole-collection"},
      {OnStore("list", {"--filter", "(year"}), "filter"},
      {OnStore("ingest", {"--metadata", "year", dir_.file("in")}), "NAME=VALUE"},
      {OnStore("ingest", {"--chunker", "blender", dir_.file("in")}), "blender"},
      {OnStore("ingest", {"--analyzer", "klingon", dir_.file("in"), "--collection", "other"}),
       "klingon"},
      {OnStore("ingest", {"--chunker", "fixed", "--overlap-tokens", "600", "--collection", "other",
                          dir_.file("in")}),
       "overlap"},
      {OnStore("ingest", {"--collection", "no spaces", dir_.file("in")}), "no spaces"},
      {{"completion", "tcsh"}, "tcsh"},
      {{"eval", "qrels"}, "RUN"},
      {{"eval", "qrels", "run", "-m", "happiness"}, "happiness"},
  };
  for (const auto& [command, reason] : cases) {
    const ProcessResult result = Cairn(command);
    const std::string name = ::testing::PrintToString(command);
    EXPECT_EQ(result.exit_code, kUsage) << name << result.err;
    EXPECT_THAT(result.out, IsEmpty()) << name;
    EXPECT_THAT(result.err, HasSubstr(reason)) << name;
  }
}

TEST_F(Conventions, BadInputAndBadStoresAreThree) {
  IngestTwoDocuments();
  const std::string file = dir_.file("in/a.txt");
  const std::vector<std::pair<Strings, std::string>> cases = {
      {{"list", "--store", dir_.file("absent")}, "absent is not a cairn store"},
      {{"list", "--store", file}, "not a cairn store"},
      {{"ingest", "--store", file, file}, "a.txt"},
      {{"ingest", "--store", dir_.file("in"), file}, "not empty"},
      {OnStore("ingest", {dir_.file("absent.txt")}), "absent.txt"},
      {OnStore("search", {"--collection", "other", "quokka"}), "no collection \"other\""},
      {OnStore("search", {"--topics", dir_.file("absent.tsv"), "--run", "-"}), "absent.tsv"},
      {{"eval", dir_.file("absent.qrels"), dir_.file("absent.run")}, "absent.qrels"},
  };
  for (const auto& [command, reason] : cases) {
    const ProcessResult result = Cairn(command);
    const std::string name = ::testing::PrintToString(command);
    EXPECT_EQ(result.exit_code, kError) << name << result.err;
    EXPECT_THAT(result.out, IsEmpty()) << name;
    EXPECT_THAT(result.err, HasSubstr(reason)) << name;
  }
  EXPECT_EQ(ListedIds().size(), 2u);
}

TEST_F(Conventions, DataGoesToStandardOutputAndMessagesToStandardError) {
  dir_.Write("in/a.txt", "The quokka lives on Rottnest Island.");
  dir_.Write("in/empty.txt", "");
  const ProcessResult ingested = Ingest({dir_.file("in")});
  EXPECT_THAT(ingested.out, IsEmpty());
  EXPECT_THAT(ingested.err, HasSubstr("1 new"));
  EXPECT_THAT(ingested.err, HasSubstr("empty.txt"));
  const ProcessResult found = Cairn(OnStore("search", {"quokka"}));
  EXPECT_THAT(found.out, HasSubstr("Rottnest"));
  EXPECT_THAT(found.err, IsEmpty());
  const ProcessResult got = Cairn(OnStore("get", {dir_.file("in/a.txt")}));
  EXPECT_EQ(got.out, "The quokka lives on Rottnest Island.\n");
  EXPECT_THAT(got.err, IsEmpty());
  const ProcessResult verified = Cairn(OnStore("verify"));
  EXPECT_THAT(verified.out, IsEmpty());
  EXPECT_THAT(verified.err, HasSubstr("sound"));
}

TEST_F(Conventions, JsonOfEveryCommandIsOneValue) {
  dir_.Write("in/a.txt", "The quokka lives on Rottnest Island.");
  const std::string a = dir_.Write("in/b \"quoted\" \\.md", "# T\n\nA \"quoted\" tab\there.");
  dir_.Write("qrels", "1 0 d1 1\n");
  dir_.Write("run", "1 Q0 d1 1 2.5 tag\n");
  const std::string qrels = dir_.file("qrels"), run = dir_.file("run");
  const std::vector<Strings> commands = {
      OnStore("ingest", {"--json", dir_.file("in")}),
      OnStore("search", {"--json", "quokka"}),
      OnStore("search", {"--json", "--explain", "--mode", "lexical", "quokka"}),
      OnStore("search", {"--json", "--mode", "vector", "tab"}),
      OnStore("search", {"--json", "--mode", "lexical", "xylophone"}),
      OnStore("ask", {"--json", "Where does the quokka live?"}),
      OnStore("get", {"--json", a}),
      OnStore("list", {"--json"}),
      OnStore("list", {"--json", "--filter", "year = 3"}),
      OnStore("list", {"--json", "--collections"}),
      OnStore("stats", {"--json"}),
      OnStore("verify", {"--json"}),
      OnStore("delete", {"--json", a, "nowhere"}),
      {"eval", "--json", "-q", qrels, run},
      {"eval", "--json", qrels, run, "--compare", run},
  };
  for (const Strings& command : commands) {
    const ProcessResult result = Cairn(command);
    EXPECT_LE(result.exit_code, kNothingFound) << command[0] << result.err;
    const Json json = ParseJson(result);
    EXPECT_TRUE(json.is_object() || json.is_array()) << command[0];
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\0'), 0);
  }
}

TEST_F(Conventions, VersionIsPrinted) {
  const ProcessResult result = Cairn({"--version"});
  EXPECT_EQ(result.exit_code, kOk);
  EXPECT_THAT(result.out, ::testing::MatchesRegex("cairn [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(Conventions, HelpOfEveryCommandHasAnExample) {
  const ProcessResult root = Cairn({"--help"});
  EXPECT_EQ(root.exit_code, kOk);
  EXPECT_THAT(root.err, IsEmpty());
  EXPECT_THAT(root.out, HasSubstr("Exit codes"));
  for (const std::string& command : kCommands) {
    EXPECT_THAT(root.out, HasSubstr("\n  " + command));
    const ProcessResult help = Cairn({command, "--help"});
    EXPECT_EQ(help.exit_code, kOk) << command;
    EXPECT_THAT(help.out, HasSubstr("Example")) << command;
    EXPECT_THAT(help.out, HasSubstr("cairn " + command)) << command;
    EXPECT_THAT(help.err, IsEmpty()) << command;
  }
}

TEST_F(Conventions, ReadingCommandsCreateNothing) {
  for (const char* command : {"list", "stats", "verify"}) {
    EXPECT_EQ(Cairn(OnStore(command)).exit_code, kError) << command;
  }
  EXPECT_EQ(Cairn(OnStore("delete", {"x"})).exit_code, kError);
  EXPECT_EQ(Cairn(OnStore("search", {"x"})).exit_code, kError);
  EXPECT_FALSE(std::filesystem::exists(store_));
}

TEST_F(Conventions, MessagesNameTheProgram) {
  const ProcessResult result = Cairn(OnStore("list"));
  EXPECT_THAT(result.err, StartsWith("cairn: "));
  EXPECT_THAT(result.err, Not(HasSubstr("NOT_FOUND")));
}

}  // namespace
}  // namespace cairn::services
