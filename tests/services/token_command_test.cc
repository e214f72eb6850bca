// cairn token: create, list, revoke.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class TokenCommand : public CliTest {
 protected:
  ProcessResult Token(const std::string& command, const Strings& rest) const {
    Strings arguments = {"token", command, "--token-file", file_};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return Cairn(arguments);
  }
  std::string Text() const {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const std::string file_ = dir_.file("tokens");
};

TEST_F(TokenCommand, CreatePrintsTheSecretOnceAndNothingElse) {
  const ProcessResult created = Token("create", {"--name", "a", "--read", "*"});
  EXPECT_EQ(created.exit_code, kOk) << created.err;
  EXPECT_THAT(created.out, MatchesRegex("cairn_[-_A-Za-z0-9]+\n"));
  EXPECT_EQ(created.out.size(), 50u);
  EXPECT_THAT(created.err, IsEmpty());
  EXPECT_THAT(Text(), StartsWith("cairn-tokens 1\na - sha256:"));
  EXPECT_THAT(Text(), Not(HasSubstr("cairn_")));
  struct stat info;
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(TokenCommand, ListShowsWhatCreateWasTold) {
  EXPECT_EQ(
      Token("create", {"--name", "all", "--read", "*", "--write", "*", "--admin", "*"}).exit_code,
      kOk);
  EXPECT_EQ(Token("create", {"--name", "importer", "--tenant", "acme", "--read", "docs", "--read",
                             "notes-*", "--write", "notes-*", "--expires", "2999-12-31"})
                .exit_code,
            kOk);
  const ProcessResult listed = Token("list", {});
  EXPECT_EQ(listed.exit_code, kOk) << listed.err;
  EXPECT_EQ(listed.out,
            "all\t-\tnever\tread=* write=* admin=*\n"
            "importer\tacme\t2999-12-31\tread=docs,notes-* write=notes-*\n");
  const Json json = ParseJson(Token("list", {"--json"}));
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["tenant"], "");
  EXPECT_EQ(json[0]["expires"], nullptr);
  EXPECT_EQ(json[0]["grants"],
            Json::parse(R"([{"collections":"*","read":true,"write":true,"admin":true}])"));
  EXPECT_EQ(json[1]["name"], "importer");
  EXPECT_EQ(json[1]["tenant"], "acme");
  EXPECT_EQ(json[1]["expires"], "2999-12-31");
  EXPECT_EQ(json[1]["expired"], false);
  EXPECT_EQ(json[1]["grants"].size(), 2u);
}

TEST_F(TokenCommand, ExpiredTokensAreMarked) {
  dir_.Write("tokens",
             "cairn-tokens 1\nold - sha256:" + std::string(64, '0') + " 1999-12-31 read=docs\n");
  EXPECT_EQ(Token("list", {}).out, "old\t-\t1999-12-31 (expired)\tread=docs\n");
  EXPECT_EQ(ParseJson(Token("list", {"--json"}))[0]["expired"], true);
}

TEST_F(TokenCommand, RevokeTakesTheTokenOut) {
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(Token("create", {"--name", name, "--read", "*"}).exit_code, kOk);
  }
  const ProcessResult revoked = Token("revoke", {"a"});
  EXPECT_EQ(revoked.exit_code, kOk) << revoked.err;
  EXPECT_THAT(revoked.out, IsEmpty());
  EXPECT_EQ(Token("list", {}).out, "b\t-\tnever\tread=*\n");
  const ProcessResult again = Token("revoke", {"a"});
  EXPECT_EQ(again.exit_code, kNothingFound);
  EXPECT_THAT(again.err, HasSubstr("has no token \"a\""));
  EXPECT_EQ(Token("revoke", {"b"}).exit_code, kOk);
  EXPECT_EQ(Token("list", {}).exit_code, kNothingFound);
}

TEST_F(TokenCommand, ANameIsGivenOnce) {
  EXPECT_EQ(Token("create", {"--name", "a", "--read", "*"}).exit_code, kOk);
  const std::string before = Text();
  const ProcessResult again = Token("create", {"--name", "a", "--write", "*"});
  EXPECT_EQ(again.exit_code, kError);
  EXPECT_THAT(again.out, IsEmpty());
  EXPECT_THAT(again.err, HasSubstr("has a token \"a\" already"));
  EXPECT_EQ(Text(), before);
}

TEST_F(TokenCommand, WrongUseIsTwoAndMakesNoFile) {
  const std::vector<std::pair<Strings, std::string>> cases = {
      {{"token"}, "token needs a command"},
      {{"token", "frobnicate"}, "frobnicate"},
      {{"token", "list"}, "--token-file"},
      {{"token", "create", "--token-file", file_}, "--name"},
      {{"token", "revoke", "--token-file", file_}, "NAME"},
      {{"token", "create", "--token-file", file_, "--name", "a"}, "needs --read"},
      {{"token", "create", "--token-file", file_, "--name", "a b", "--read", "*"}, "token name"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", "a..b"}, "bad pattern"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--admin", "*x"}, "bad pattern"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", "*", "--tenant", "A"},
       "bad tenant"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", "*", "--tenant", ""},
       "bad tenant"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", "*", "--expires", ""},
       "YYYY-MM-DD"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", ""}, "bad pattern"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", "*", "--expires",
        "2026-02-30"},
       "YYYY-MM-DD"},
      {{"token", "create", "--token-file", file_, "--name", "a", "--read", "*", "--expires",
        "2001-01-01"},
       "in the past"},
  };
  for (const auto& [command, reason] : cases) {
    const ProcessResult result = Cairn(command);
    const std::string name = ::testing::PrintToString(command);
    EXPECT_EQ(result.exit_code, kUsage) << name << result.err;
    EXPECT_THAT(result.out, IsEmpty()) << name;
    EXPECT_THAT(result.err, HasSubstr(reason)) << name;
  }
  EXPECT_THAT(Text(), IsEmpty());
}

TEST_F(TokenCommand, BadFilesAreThreeAndStayAsTheyAre) {
  for (const char* command : {"list", "revoke"}) {
    const ProcessResult absent =
        Token(command, command == std::string("list") ? Strings{} : Strings{"a"});
    EXPECT_EQ(absent.exit_code, kError) << command;
    EXPECT_THAT(absent.err, HasSubstr(file_ + ": ")) << command;
  }
  const std::string bad = "cairn-tokens 1\n# fine\na - nonsense\n";
  dir_.Write("tokens", bad);
  for (const ProcessResult& result : {Token("list", {}), Token("revoke", {"a"}),
                                      Token("create", {"--name", "b", "--read", "*"})}) {
    EXPECT_EQ(result.exit_code, kError);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr(file_ + ": line 3, column 5: "));
  }
  EXPECT_EQ(Text(), bad);
  dir_.Write("tokens", "cairn-tokens 1\n");
  ASSERT_EQ(::chmod(file_.c_str(), 0666), 0);
  for (const ProcessResult& result :
       {Token("list", {}), Token("create", {"--name", "b", "--read", "*"})}) {
    EXPECT_EQ(result.exit_code, kError);
    EXPECT_THAT(result.err, HasSubstr("may write"));
  }
}

TEST_F(TokenCommand, ASecretThatNobodySawIsToBeRevoked) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  ProcessOptions options =
      Options({"token", "create", "--token-file", file_, "--name", "a", "--read", "*"});
  options.before_exec = [] { return ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO) >= 0; };
  const ProcessResult result = Run(std::move(options));
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr("revoke a and make another"));
}

TEST_F(TokenCommand, TokensThatAreCreatedAtTheSameTimeAreAllThere) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      EXPECT_EQ(Token("create", {"--name", "t" + std::to_string(i), "--read", "*"}).exit_code, kOk);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Lines(Token("list", {}).out).size(), 8u);
}

}  // namespace
}  // namespace cairn::services
