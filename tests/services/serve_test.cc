// `cairn serve` as a process, and the other commands as its clients: over each kind of connection
// they do, and print, what they do with a store of their own.
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>

#include "tests/services/cli_test.h"
#include "tests/support/certificates.h"
#include "tests/support/shared_data.h"

namespace cairn::services {
namespace {

using ::cairn::testing::CertificateAndKey;
using ::cairn::testing::TestAuthority;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ServeTest : public CliTest {
 protected:
  ~ServeTest() override { server_.reset(); }

  // Starts the server, and waits until it serves.
  void Serve(Strings flags) {
    Strings arguments = {"serve", "--store", dir_.file("served"), "--log", log_};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    ProcessOptions options = Options(arguments);
    options.timeout = std::chrono::minutes(10);
    server_ = std::make_unique<Process>(std::move(options));
    while (!LogHolds("\"serving\"")) {
      ASSERT_TRUE(server_->RunFor(std::chrono::milliseconds(20))) << server_->Wait().err;
    }
    for (const std::string& line : Lines(Log())) {
      const Json json = Json::parse(line);
      if (json.value("event", "") == "listening") address_ = json["address"];
    }
    ASSERT_NE(address_, "");
  }
  std::string Log() const {
    std::ifstream in(log_);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  bool LogHolds(const std::string& text) const { return Log().find(text) != std::string::npos; }

  Strings OnServer(std::string command, const Strings& rest = {}) const {
    Strings arguments = {std::move(command), "--server", address_};
    arguments.insert(arguments.end(), client_flags_.begin(), client_flags_.end());
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  }

  // A file that nobody else may read.
  std::string WriteSecret(const std::string& name, const std::string& text) const {
    const std::string path = dir_.Write(name, text);
    ::chmod(path.c_str(), 0600);
    return path;
  }
  // Flags of a server with a certificate of the authority.
  Strings TlsFlags() const {
    const CertificateAndKey identity = authority_.Issue("server");
    return {"--tls-cert", dir_.Write("cert.pem", identity.certificate), "--tls-key",
            WriteSecret("key.pem", identity.key)};
  }
  // Makes a token, which the client then presents; the server's flags.
  Strings MakeToken(const Strings& grants = {"--read", "*", "--write", "*", "--admin", "*"}) {
    const std::string tokens = dir_.file("tokens");
    Strings create = {"token", "create", "--token-file", tokens, "--name", "client"};
    create.insert(create.end(), grants.begin(), grants.end());
    const ProcessResult made = Cairn(create);
    EXPECT_EQ(made.exit_code, kOk) << made.err;
    secret_ = Lines(made.out).front();
    client_flags_.insert(client_flags_.end(), {"--token-file", WriteSecret("secret", made.out)});
    return {"--token-file", tokens};
  }
  void TrustAuthority() {
    client_flags_.insert(client_flags_.end(),
                         {"--tls-ca", dir_.Write("authority.pem", authority_.certificate())});
  }

  // How clients get in.
  void ServeOverUnixSocket() { Serve({"--listen", "unix:" + dir_.file("socket")}); }
  void ServeOverTcp() { Serve({"--listen", "127.0.0.1:0"}); }
  void ServeOverTls() {
    Strings flags = TlsFlags();
    TrustAuthority();
    flags.insert(flags.end(), {"--listen", "127.0.0.1:0"});
    Serve(flags);
  }
  void ServeOverMutualTls() {
    const TestAuthority clients("clients");
    const CertificateAndKey identity = clients.Issue("client");
    Strings flags = TlsFlags();
    TrustAuthority();
    client_flags_.insert(client_flags_.end(),
                         {"--tls-cert", dir_.Write("client.pem", identity.certificate), "--tls-key",
                          WriteSecret("client-key.pem", identity.key)});
    flags.insert(flags.end(), {"--client-ca", dir_.Write("clients.pem", clients.certificate()),
                               "--listen", "127.0.0.1:0"});
    Serve(flags);
  }
  void ServeWithToken() {
    Strings flags = MakeToken();
    flags.insert(flags.end(), {"--listen", "127.0.0.1:0"});
    Serve(flags);
  }

  const std::string log_ = dir_.file("log");
  const TestAuthority authority_{"authority"};
  std::unique_ptr<Process> server_;
  std::string address_;
  std::string secret_;
  Strings client_flags_;
};

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;  // Everything takes several times as long.
#else
constexpr bool kSanitized = false;
#endif

class ServeEverywhereTest : public ServeTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const std::string how = GetParam();
    MakeCorpus(/*all=*/how == "Unix" || !kSanitized);
    if (how == "Unix") ServeOverUnixSocket();
    if (how == "Tcp") ServeOverTcp();
    if (how == "Tls") ServeOverTls();
    if (how == "MutualTls") ServeOverMutualTls();
    if (how == "Token") ServeWithToken();
  }

  // scifact where it is there, or its first documents; else a collection of made-up words.
  void MakeCorpus(bool all) {
    const std::string scifact = ::cairn::testing::SharedDir() + "/data/scifact/";
    corpus_ = scifact + "corpus.jsonl";
    topics_ = scifact + "topics.tsv";
    qrels_ = scifact + "qrels.txt";
    if (std::filesystem::exists(corpus_)) {
      if (!all) corpus_ = dir_.Write("corpus.jsonl", Beginning(corpus_, 500));
      return;
    }
    std::mt19937 random(1);
    const auto words = [&](size_t count) {
      std::string text;
      for (; count > 0; --count) {
        // Few words are frequent, many are rare.
        text += "w" + std::to_string(random() % (1 + random() % 500)) + (count > 1 ? " " : ".");
      }
      return text;
    };
    std::string corpus, topics, qrels;
    for (int i = 0; i < 500; ++i) {
      const Json document = {{"_id", "d" + std::to_string(i)},
                             {"title", words(3)},
                             {"text", words(20 + random() % 200)}};
      corpus += document.dump() + "\n";
    }
    for (int i = 0; i < 50; ++i) {
      topics += std::to_string(i) + "\t" + words(4) + "\n";
      qrels += std::to_string(i) + " 0 d" + std::to_string(random() % 500) + " 1\n";
    }
    corpus_ = dir_.Write("corpus.jsonl", corpus);
    topics_ = dir_.Write("topics.tsv", topics);
    qrels_ = dir_.Write("qrels.txt", qrels);
  }

  static std::string Beginning(const std::string& file, size_t lines) {
    const std::string text = ::cairn::testing::ReadFileOrDie(file);
    size_t end = 0;
    for (; lines > 0 && end < text.size(); --lines) {
      end = std::min(text.find('\n', end), text.size() - 1) + 1;
    }
    return text.substr(0, end);
  }

  // Runs a command on the server and on the store; what both print.
  std::pair<ProcessResult, ProcessResult> Both(const std::string& command,
                                               const Strings& rest) const {
    const ProcessResult remote = Cairn(OnServer(command, rest));
    const ProcessResult local = Cairn(OnStore(command, rest));
    EXPECT_EQ(remote.exit_code, local.exit_code) << remote.err << local.err;
    return {remote, local};
  }
  // JSON without what takes another time in each run.
  static std::string WithoutTimings(const ProcessResult& result) {
    Json json = ParseJson(result);
    if (json.is_object()) json.erase("microseconds");
    return json.dump(1);
  }
  std::string Evaluated(const std::string& run) const {
    const ProcessResult result = Cairn({"eval", qrels_, run});
    EXPECT_EQ(result.exit_code, kOk) << result.err;
    return result.out;
  }
  std::string Question() const {
    const std::string first = Lines(::cairn::testing::ReadFileOrDie(topics_)).front();
    return first.substr(first.find('\t') + 1);
  }

  std::string corpus_, topics_, qrels_;
};

TEST_P(ServeEverywhereTest, ClientsGetWhatTheStoreGives) {
  const auto [ingested, stored] = Both("ingest", {"--json", corpus_});
  ASSERT_EQ(ingested.exit_code, kOk) << ingested.err;
  for (const char* figure : {"created", "replaced", "unchanged", "issues", "chunks"}) {
    EXPECT_EQ(ParseJson(ingested)[figure], ParseJson(stored)[figure]) << figure;
  }
  EXPECT_GT(ParseJson(ingested)["created"], 0);

  const std::string remote_run = dir_.file("remote.run"), local_run = dir_.file("local.run");
  ASSERT_EQ(Cairn(OnServer("search", {"--topics", topics_, "--run", remote_run})).exit_code, kOk);
  ASSERT_EQ(Cairn(OnStore("search", {"--topics", topics_, "--run", local_run})).exit_code, kOk);
  EXPECT_TRUE(::cairn::testing::ReadFileOrDie(remote_run) ==
              ::cairn::testing::ReadFileOrDie(local_run));
  EXPECT_EQ(Evaluated(remote_run), Evaluated(local_run));

  for (const Strings& search :
       {Strings{}, Strings{"--json"}, Strings{"--full", "-k", "20"},
        Strings{"--mode", "lexical", "--json"}, Strings{"--mode", "vector", "--json"},
        Strings{"--fusion", "rrf", "--granularity", "document"}}) {
    Strings arguments = search;
    arguments.push_back(Question());
    const auto [remote, local] = Both("search", arguments);
    EXPECT_EQ(remote.out, local.out) << ::testing::PrintToString(search);
    EXPECT_THAT(remote.out, Not(IsEmpty()));
  }
  const auto [answer, local_answer] = Both("ask", {Question()});
  EXPECT_EQ(answer.out, local_answer.out);
  const auto [answer_json, local_answer_json] = Both("ask", {"--json", Question()});
  EXPECT_EQ(WithoutTimings(answer_json), WithoutTimings(local_answer_json));
}

TEST_P(ServeEverywhereTest, StatisticsAreTheStores) {
  const auto [ingested, stored] = Both("ingest", {corpus_});
  ASSERT_EQ(ingested.exit_code, kOk) << ingested.err;
  const auto [remote, local] = Both("stats", {"--json"});
  Json there = ParseJson(remote), here = ParseJson(local);
  for (Json* stats : {&there, &here}) {
    // Two stores, one of them open for longer.
    EXPECT_NE((*stats)["uuid"], "");
    EXPECT_GT((*stats)["disk_bytes"], 0);
    stats->erase("uuid");
    stats->erase("disk_bytes");
    for (Json& collection : (*stats)["collections"]) collection.erase("memory_bytes");
  }
  EXPECT_EQ(there.dump(1), here.dump(1));
}

INSTANTIATE_TEST_SUITE_P(Connections, ServeEverywhereTest,
                         ::testing::Values("Unix", "Tcp", "Tls", "MutualTls", "Token"),
                         [](const auto& test) { return std::string(test.param); });

TEST_F(ServeTest, WhoMayNotIsToldSo) {
  const Strings tokens = MakeToken({"--read", "*"});
  Serve({tokens[0], tokens[1], "--listen", "127.0.0.1:0"});
  const std::string file = dir_.Write("a.txt", "The quokka lives on Rottnest Island.");
  const ProcessResult ingested = Cairn(OnServer("ingest", {file}));
  EXPECT_EQ(ingested.exit_code, kError);
  EXPECT_THAT(ingested.err, HasSubstr("permission"));
  client_flags_.clear();
  const ProcessResult without = Cairn(OnServer("stats"));
  EXPECT_EQ(without.exit_code, kError);
  EXPECT_THAT(without.err, HasSubstr("token"));
  // The secret is in no output of either side.
  server_->Signal(SIGTERM);
  const ProcessResult served = server_->Wait();
  EXPECT_EQ(served.exit_code, kOk);
  ASSERT_GT(secret_.size(), 20u);
  for (const std::string& text : {ingested.err, without.err, served.err, served.out, Log()}) {
    EXPECT_THAT(text, Not(HasSubstr(secret_.substr(6))));
  }
  EXPECT_TRUE(LogHolds("\"client\"")) << "but the token's name is";
}

TEST_F(ServeTest, AClientThatTrustsAnotherAuthorityDoesNotSpeak) {
  ServeOverTls();
  client_flags_ = {"--tls-ca", dir_.Write("other.pem", TestAuthority("other").certificate())};
  const ProcessResult result = Cairn(OnServer("stats"));
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr(address_));
}

TEST_F(ServeTest, WhatWasStoredIsThereAfterARestart) {
  ServeOverUnixSocket();
  const std::string file = dir_.Write("a.txt", "The quokka lives on Rottnest Island.");
  ASSERT_EQ(Cairn(OnServer("ingest", {file})).exit_code, kOk);
  const std::string found = Cairn(OnServer("search", {"quokka"})).out;
  EXPECT_THAT(found, HasSubstr("Rottnest"));
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait().exit_code, kOk);
  EXPECT_TRUE(LogHolds("\"stopped\""));
  std::filesystem::remove(log_);
  ServeOverUnixSocket();
  EXPECT_EQ(Cairn(OnServer("search", {"quokka"})).out, found);
}

TEST_F(ServeTest, AnAddressThatOthersReachTakesTlsAndAuthentication) {
  for (const char* address : {"0.0.0.0:0", "127.evil.example:1"}) {
    const ProcessResult result =
        Cairn({"serve", "--store", dir_.file("served"), "--listen", address});
    EXPECT_EQ(result.exit_code, kUsage) << address;
    EXPECT_THAT(result.err, HasSubstr("can be reached from other machines"));
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.file("served")));
}

TEST_F(ServeTest, TwoServersDoNotShareAnAddress) {
  ServeOverUnixSocket();
  const ProcessResult second =
      Cairn({"serve", "--store", dir_.file("other"), "--listen", address_});
  EXPECT_EQ(second.exit_code, kError);
  EXPECT_THAT(second.err, HasSubstr("listens on it already"));
  EXPECT_EQ(Cairn(OnServer("stats")).exit_code, kOk) << "the first one goes on";
}

}  // namespace
}  // namespace cairn::services
