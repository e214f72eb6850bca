// cairn serve: signals, and what it starts beside.
#include <filesystem>
#include <fstream>

#include "tests/services/server/serve_fixture.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

class ServeSignals : public ServeTest {};

TEST_F(ServeSignals, SigtermLetsACallEndAndThenTheServer) {
  Process server(Serve({"--drain-seconds", "300"}));
  ASSERT_TRUE(AwaitServing(&server)) << Log();
  const TestClient client = Connect();
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.documents->Ingest(context.get());
  v1::IngestRequest request;
  request.mutable_config()->set_parent("collections/docs");
  ASSERT_TRUE(stream->Write(request));
  request.mutable_document()->set_id("one");
  request.mutable_document()->set_text("a cat");
  ASSERT_TRUE(stream->Write(request));
  v1::IngestResponse response;
  ASSERT_TRUE(stream->Read(&response));
  server.Signal(SIGTERM);
  ASSERT_TRUE(AwaitLog(&server, "\"draining\"")) << Log();
  request.mutable_document()->set_id("two");
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.ack().document_id(), "two");
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
  const ProcessResult result = server.Wait();
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_FALSE(result.timed_out);
  EXPECT_FALSE(std::filesystem::exists(socket_)) << "it takes its socket with it";
  EXPECT_EQ(Cairn(OnStore("get", {"--collection", "docs", "two"})).exit_code, kOk);
}

TEST_F(ServeSignals, ASecondSigtermStopsTheCalls) {
  Process server(Serve({"--drain-seconds", "300"}));
  ASSERT_TRUE(AwaitServing(&server)) << Log();
  const TestClient client = Connect();
  const std::unique_ptr<grpc::ClientContext> context = client.Context();
  const auto stream = client.documents->Ingest(context.get());
  v1::IngestRequest request;
  request.mutable_config()->set_parent("collections/docs");
  ASSERT_TRUE(stream->Write(request));
  request.mutable_document()->set_id("one");
  request.mutable_document()->set_text("a cat");
  ASSERT_TRUE(stream->Write(request));
  v1::IngestResponse response;
  ASSERT_TRUE(stream->Read(&response));
  server.Signal(SIGTERM);
  ASSERT_TRUE(AwaitLog(&server, "\"draining\"")) << Log();
  server.Signal(SIGTERM);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.Wait().exit_code, kOk);
}

TEST_F(ServeSignals, SighupReadsTheTokensAgainAndKeepsThemWhereTheyAreBad) {
  const std::string tokens = dir_.file("tokens");
  const auto create = [&](const std::string& name) {
    const ProcessResult made =
        Cairn({"token", "create", "--token-file", tokens, "--name", name, "--admin", "*"});
    EXPECT_EQ(made.exit_code, kOk) << made.err;
    return Lines(made.out).front();
  };
  const std::string first = create("first");
  Process server(Serve({"--token-file", tokens}));
  ASSERT_TRUE(AwaitServing(&server)) << Log();
  EXPECT_TRUE(Ask(first).ok());
  EXPECT_EQ(Ask("cairn_nobody").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  const std::string second = create("second");
  server.Signal(SIGHUP);
  // The signal arrives when it does.
  grpc::Status s;
  do {
    s = Ask(second);
  } while (s.error_code() == grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(s.ok()) << s.error_message();
  std::ofstream(tokens) << "no tokens at all\n";
  server.Signal(SIGHUP);
  ASSERT_TRUE(AwaitLog(&server, "tokens not reloaded")) << Log();
  EXPECT_TRUE(Ask(first).ok()) << "those of before stay";
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait().exit_code, kOk);
}

TEST_F(ServeSignals, SighupDoesNotEndAServerWithoutTokens) {
  Process server(Serve());
  ASSERT_TRUE(AwaitLog(&server, "\"listening\"")) << Log();
  server.Signal(SIGHUP);
  ASSERT_TRUE(AwaitServing(&server)) << Log();
  server.Signal(SIGHUP);
  EXPECT_TRUE(Ask().ok());
  server.Signal(SIGINT);
  EXPECT_EQ(server.Wait().exit_code, kOk);
}

// Whatever it is doing at that moment.
TEST_F(ServeSignals, NoSignalIsLostOrKills) {
  for (int round = 1; round <= 10; ++round) {
    Process server(Serve());
    ASSERT_TRUE(AwaitLog(&server, "\"listening\"", round)) << Log();
    for (int i = 0; i < 100; ++i) server.Signal(SIGHUP);
    server.Signal(SIGTERM);
    for (int i = 0; i < 100; ++i) server.Signal(SIGTERM);
    const ProcessResult result = server.Wait();
    EXPECT_EQ(result.exit_code, kOk) << result.signal;
  }
}

TEST_F(ServeSignals, TwoServersDoNotShareAStore) {
  Process first(Serve());
  ASSERT_TRUE(AwaitServing(&first)) << Log();
  const ProcessResult second = Cairn(OnStore(
      "serve", {"--listen", "unix:" + dir_.file("other"), "--log", dir_.file("other.log")}));
  EXPECT_EQ(second.exit_code, kError);
  EXPECT_THAT(second.err, HasSubstr(store_));
  EXPECT_TRUE(Ask().ok()) << "the first goes on";
  first.Signal(SIGTERM);
  EXPECT_EQ(first.Wait().exit_code, kOk);
}

TEST_F(ServeSignals, APortInUseIsAnError) {
  Process first(Serve({"--listen", "127.0.0.1:0"}));
  ASSERT_TRUE(AwaitServing(&first)) << Log();
  const std::string log = Log();
  const size_t at = log.find("127.0.0.1:");
  ASSERT_NE(at, std::string::npos);
  const std::string address = log.substr(at, log.find('"', at) - at);
  const ProcessResult second = Cairn({"serve", "--store", dir_.file("other"), "--listen", address});
  EXPECT_EQ(second.exit_code, kError);
  EXPECT_THAT(second.err, HasSubstr("cannot listen on " + address));
  first.Signal(SIGTERM);
  EXPECT_EQ(first.Wait().exit_code, kOk);
}

TEST_F(ServeSignals, ASocketThatAKilledServerLeftIsTakenOver) {
  {
    Process server(Serve());
    ASSERT_TRUE(AwaitServing(&server)) << Log();
    server.Signal(SIGKILL);
    EXPECT_EQ(server.Wait().signal, SIGKILL);
  }
  ASSERT_TRUE(std::filesystem::exists(socket_));
  Process server(Serve());
  ASSERT_TRUE(AwaitServing(&server, 2)) << Log();
  EXPECT_TRUE(Ask().ok());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait().exit_code, kOk);
}

TEST_F(ServeSignals, ASocketThatAServerListensOnIsNotTakenFromIt) {
  Process first(Serve());
  ASSERT_TRUE(AwaitServing(&first)) << Log();
  const ProcessResult second =
      Cairn({"serve", "--store", dir_.file("other"), "--listen", "unix:" + socket_});
  EXPECT_EQ(second.exit_code, kError);
  EXPECT_THAT(second.err, HasSubstr("a server listens on it already"));
  EXPECT_TRUE(Ask().ok());
  first.Signal(SIGTERM);
  EXPECT_EQ(first.Wait().exit_code, kOk);
}

TEST_F(ServeSignals, AFileThatIsNoSocketIsLeftAlone) {
  dir_.Write("socket", "precious");
  const ProcessResult result = Run(Serve());
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr("is no socket"));
  std::ifstream in(socket_);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "precious");
}

}  // namespace
}  // namespace cairn::services
