// Whatever arrives, the server answers the next call.
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "tests/services/server/fault_fixture.h"
#include "tests/support/http2_connection.h"

namespace cairn::services {
namespace {

using testing::Http2Connection;

class MalformedTest : public FaultTest {
 protected:
  void Begin() {
    ASSERT_NO_FATAL_FAILURE(StartAndOpen());
    Connect().Ingest("docs", {"a cat"});
  }
  std::string socket() const { return dir_.file("socket"); }
  void ExpectServing() const {
    ExpectIdle();
    EXPECT_TRUE(SearchNow(Connect()).ok());
  }
  // While whoever sent what is wrong is still there.
  void ExpectServingOthers() const { EXPECT_TRUE(SearchNow(Connect()).ok()); }
  // Of this process, and so of the server.
  static int64_t ResidentBytes() {
    std::ifstream in("/proc/self/statm");
    int64_t all = 0;
    int64_t resident = 0;
    in >> all >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
  }
  // The status of a unary call with these bytes as its message.
  static grpc::Status CallRaw(const TestClient& client, const std::string& method,
                              const std::string& bytes) {
    grpc::GenericStub stub(client.channel);
    grpc::CompletionQueue queue;
    const std::unique_ptr<grpc::ClientContext> context = client.Context();
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    const auto call = stub.PrepareUnaryCall(context.get(), method, request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status;
  }
};

TEST_F(MalformedTest, GarbageInsteadOfAConnectionIsHungUpOn) {
  Begin();
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    Http2Connection connection(socket());
    ASSERT_TRUE(connection.connected());
    std::string garbage(4096, 0);
    for (char& c : garbage) c = static_cast<char>(random());
    connection.Send(garbage);
    EXPECT_TRUE(connection.AwaitEnd(1));
  }
  ExpectServing();
}

TEST_F(MalformedTest, GarbageAfterAValidBeginningIsHungUpOn) {
  Begin();
  std::mt19937 random(8);
  for (int round = 0; round < 20; ++round) {
    Http2Connection connection(socket());
    ASSERT_TRUE(connection.connected());
    ASSERT_TRUE(connection.SendPreface());
    // A frame longer than the server said it takes, and what comes of reading on.
    std::string garbage(64, '\xff');
    for (int i = 0; i < 4096; ++i) garbage.push_back(static_cast<char>(random()));
    connection.Send(garbage);
    EXPECT_TRUE(connection.AwaitEnd(1));
  }
  ExpectServing();
}

TEST_F(MalformedTest, AMessageOfFourGibibytesIsNotKept) {
  options_.limits.buffer_bytes = 64 << 20;
  Begin();
  const int64_t before = ResidentBytes();
  Http2Connection connection(socket());
  ASSERT_TRUE(connection.SendPreface());
  ASSERT_TRUE(connection.SendHeaders(1, "/cairn.v1.Search/Search"));
  ASSERT_TRUE(
      connection.SendFrame(Http2Connection::kData, 0, 1, std::string("\0\xff\xff\xff\xff", 5)));
  const uint64_t sent = connection.SendData(1, (uint64_t{4} << 30) - 1);
  EXPECT_LT(sent, uint64_t{1} << 30);
  EXPECT_LT(ResidentBytes() - before, int64_t{512} << 20) << sent << " bytes were taken";
  ExpectServingOthers();
}

TEST_F(MalformedTest, AStreamThatSendsWithoutEndIsNotKept) {
  Begin();
  const int64_t before = ResidentBytes();
  Http2Connection connection(socket());
  ASSERT_TRUE(connection.SendPreface());
  ASSERT_TRUE(connection.SendHeaders(1, "/cairn.v1.Documents/Ingest"));
  // The first message is none, which ends the stream; what comes after it is nobody's.
  const uint64_t sent = connection.SendData(1, uint64_t{5} << 30);
  EXPECT_LT(ResidentBytes() - before, int64_t{256} << 20) << sent << " bytes were taken";
  ExpectServingOthers();
}

TEST_F(MalformedTest, ABodyThatIsNoMessageIsAnError) {
  Begin();
  const TestClient client = Connect();
  const grpc::Status s =
      CallRaw(client, "/cairn.v1.Search/Search", "\x0a\xff\xff\xff\xff\x0fnot a message");
  EXPECT_FALSE(s.ok());
  EXPECT_NE(s.error_code(), grpc::StatusCode::UNKNOWN) << s.error_message();
  EXPECT_NE(s.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectServing();
}

TEST_F(MalformedTest, TextThatIsNotUtf8IsAnError) {
  Begin();
  const grpc::Status s = CallRaw(Connect(), "/cairn.v1.Search/Search",
                                 "\x0a\x10"
                                 "collections/docs"
                                 "\x12\x02\xc3\x28");
  EXPECT_FALSE(s.ok());
  ExpectServing();
}

TEST_F(MalformedTest, AMethodOrServiceThatIsNotThereIsUnimplemented) {
  Begin();
  const TestClient client = Connect();
  for (const char* method : {"/cairn.v1.Search/Guess", "/cairn.v2.Search/Search", "/x", "/"}) {
    EXPECT_EQ(CallRaw(client, method, "").error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
  }
  ExpectServing();
}

TEST_F(MalformedTest, AnotherContentTypeIsNotACall) {
  Begin();
  Http2Connection connection(socket());
  ASSERT_TRUE(connection.SendPreface());
  ASSERT_TRUE(connection.SendHeaders(1, "/cairn.v1.Search/Search", "text/plain"));
  ASSERT_TRUE(connection.SendFrame(Http2Connection::kData, Http2Connection::kEndStream, 1,
                                   std::string("\0\0\0\0\0", 5)));
  EXPECT_TRUE(connection.AwaitEnd(1));
  ExpectServing();
}

TEST_F(MalformedTest, ConnectionsThatAreCutOffInMidCallLeaveNothing) {
  Begin();
  for (int round = 0; round < 20; ++round) {
    Http2Connection connection(socket());
    ASSERT_TRUE(connection.SendPreface());
    ASSERT_TRUE(connection.SendHeaders(1, "/cairn.v1.Documents/Ingest"));
    ASSERT_TRUE(connection.SendHeaders(3, "/cairn.v1.Search/Search"));
    ASSERT_TRUE(connection.SendFrame(Http2Connection::kData, 0, 3, std::string("\0\0\0\1\0", 5)));
  }
  ExpectServing();
}

TEST_F(MalformedTest, StreamsThatAreOpenedAndResetAtOnceLeaveNothing) {
  Begin();
  Http2Connection connection(socket());
  ASSERT_TRUE(connection.SendPreface());
  for (uint32_t stream = 1; stream < 20'000; stream += 2) {
    if (!connection.SendHeaders(stream, "/cairn.v1.Documents/Ingest") ||
        !connection.SendFrame(Http2Connection::kReset, 0, stream, std::string("\0\0\0\x08", 4))) {
      break;  // The server has had enough.
    }
  }
  ExpectServing();
}

}  // namespace
}  // namespace cairn::services
