// --server, as far as it needs no server that is there.
#include <sys/stat.h>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ServerFlagsTest : public CliTest {
 protected:
  Strings OnServer(std::string command, const Strings& rest = {}) const {
    Strings arguments = {std::move(command), "--server", nowhere_};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  }
  // "search" with the environment's say.
  ProcessResult SearchWith(const Strings& environment, const Strings& flags) const {
    Strings arguments = {"search", "quokka"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    ProcessOptions options = Options(arguments);
    options.environment.insert(options.environment.end(), environment.begin(), environment.end());
    return Run(std::move(options));
  }
  void MakeStore() const {
    ASSERT_EQ(Ingest({dir_.Write("a.txt", "The quokka lives on Rottnest Island.")}).exit_code, kOk);
  }

  const std::string nowhere_ = "unix:" + dir_.file("none");
};

TEST_F(ServerFlagsTest, AServerThatIsNotThereIsAnErrorThatNamesIt) {
  const std::string file = dir_.Write("a.txt", "Text.");
  for (const Strings& command :
       {OnServer("search", {"quokka"}), OnServer("ask", {"Where?"}), OnServer("stats"),
        OnServer("ask", {"--kv-reuse", "fast", "Where?"}), OnServer("ingest", {file}),
        OnServer("ingest", {"--chunker", "fixed", file})}) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kError) << command[0];
    EXPECT_THAT(result.err, HasSubstr(nowhere_));
    EXPECT_THAT(result.out, IsEmpty());
    // One line, and none of a library's own.
    EXPECT_EQ(Lines(result.err).size(), 1u) << result.err;
  }
}

TEST_F(ServerFlagsTest, AStoreAndAServerExcludeEachOther) {
  const ProcessResult result = Cairn(OnServer("search", {"--store", store_, "quokka"}));
  EXPECT_EQ(result.exit_code, kUsage);
  EXPECT_THAT(result.err, HasSubstr("exclude each other"));
  EXPECT_EQ(SearchWith({"CAIRN_STORE=" + store_, "CAIRN_SERVER=" + nowhere_}, {}).exit_code,
            kUsage);
}

TEST_F(ServerFlagsTest, AFlagComesBeforeTheEnvironmentsOther) {
  MakeStore();
  EXPECT_EQ(SearchWith({"CAIRN_SERVER=" + nowhere_}, {"--store", store_}).exit_code, kOk);
  EXPECT_THAT(SearchWith({"CAIRN_STORE=" + store_}, {"--server", nowhere_}).err,
              HasSubstr(nowhere_));
  EXPECT_THAT(SearchWith({"CAIRN_SERVER=" + nowhere_}, {}).err, HasSubstr(nowhere_));
}

TEST_F(ServerFlagsTest, AFlagComesBeforeTheFilesOther) {
  MakeStore();
  const std::string server = dir_.Write("server.toml", "server = \"" + nowhere_ + "\"\n");
  const std::string store = dir_.Write(
      "store.toml", "store = \"" + store_ + "\"\nembedder = \"none\"\nkv-encoding = \"int8\"\n");
  EXPECT_EQ(SearchWith({"CAIRN_CONFIG=" + server}, {"--store", store_}).exit_code, kOk);
  EXPECT_THAT(SearchWith({"CAIRN_CONFIG=" + server}, {}).err, HasSubstr(nowhere_));
  EXPECT_THAT(SearchWith({"CAIRN_CONFIG=" + store}, {"--server", nowhere_}).err,
              HasSubstr(nowhere_));
  EXPECT_THAT(Cairn({"--config", store, "ask", "--server", nowhere_, "q"}).err,
              HasSubstr(nowhere_));
}

TEST_F(ServerFlagsTest, WhatTheServerDecidesIsNoFlagOfItsClients) {
  const std::string file = dir_.Write("a.txt", "Text.");
  for (const Strings& command :
       {OnServer("ingest", {"--bulk", file}), OnServer("ingest", {"--threads", "2", file}),
        OnServer("ingest", {"--seal-chunks", "10", file}),
        OnServer("ingest", {"--embedder", dir_.path(), file}),
        OnServer("search", {"--reranker", dir_.path(), "q"}),
        OnServer("search", {"--embedder", dir_.path(), "q"}),
        OnServer("ask", {"--model", file, "q"}), OnServer("ask", {"--threads", "2", "q"}),
        OnServer("ask", {"--max-context", "100", "q"}),
        OnServer("ask", {"--kv-encoding", "int8", "q"}),
        OnServer("ask", {"--kv-source", "isolated", "q"}),
        OnServer("ask", {"--kv-disk-bytes", "100", "q"}),
        OnServer("ask", {"--kv-memory-bytes", "100", "q"}),
        OnServer("stats", {"--embedder", dir_.path()})}) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kUsage) << command[0] << command[3];
    EXPECT_THAT(result.err, HasSubstr(command[3]));
  }
}

TEST_F(ServerFlagsTest, AnEnvironmentForStoresIsNoHindrance) {
  EXPECT_EQ(SearchWith({"CAIRN_EMBEDDER=" + dir_.path(), "CAIRN_RERANKER=" + dir_.path()},
                       {"--server", nowhere_})
                .exit_code,
            kError);
}

TEST_F(ServerFlagsTest, AnAddressThatIsNoneIsAWrongUse) {
  for (const std::string bad : {"localhost", "http://localhost:7700", "localhost:0", "unix:"}) {
    const ProcessResult result = Cairn({"stats", "--server", bad});
    EXPECT_EQ(result.exit_code, kUsage) << bad;
    EXPECT_THAT(result.err, HasSubstr("HOST:PORT"));
  }
}

TEST_F(ServerFlagsTest, ATokenIsNeitherSentInTheClearNorTakenFromAnOpenFile) {
  const std::string token = dir_.Write("token", "s3cret\n");
  ASSERT_EQ(::chmod(token.c_str(), 0644), 0);
  const ProcessResult open = Cairn(OnServer("stats", {"--token-file", token}));
  EXPECT_EQ(open.exit_code, kError);
  EXPECT_THAT(open.err, HasSubstr("others"));
  ASSERT_EQ(::chmod(token.c_str(), 0600), 0);
  const ProcessResult clear =
      Cairn({"stats", "--server", "example.invalid:7700", "--token-file", token});
  EXPECT_EQ(clear.exit_code, kUsage);
  EXPECT_THAT(clear.err, HasSubstr("--tls"));
  EXPECT_THAT(open.err + clear.err, Not(HasSubstr("s3cret")));
}

TEST_F(ServerFlagsTest, ACertificateGoesWithItsKey) {
  const ProcessResult result =
      Cairn({"stats", "--server", "localhost:7700", "--tls-cert", dir_.Write("c.pem", "x")});
  EXPECT_EQ(result.exit_code, kUsage);
  EXPECT_THAT(result.err, HasSubstr("--tls-key"));
}

}  // namespace
}  // namespace cairn::services
