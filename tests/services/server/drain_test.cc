// A server tells when it does not serve, and ends without breaking off what is at work.
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "tests/services/server/fault_fixture.h"

namespace cairn::services {
namespace {

using grpc::StatusCode;

// Numbers of grpc.health.v1.HealthCheckResponse.ServingStatus.
constexpr int kServing = 1;
constexpr int kNotServing = 2;

class DrainTest : public FaultTest {
 protected:
  static int StatusIn(const grpc::ByteBuffer& response) {
    grpc::Slice slice;
    if (!response.DumpToSingleSlice(&slice).ok()) return -1;
    // Field 1, a varint; left out where it is 0.
    return slice.size() == 2 && slice.begin()[0] == 8 ? slice.begin()[1] : 0;
  }
  // Of grpc.health.v1.Health/Check for the whole server; -1 where there is none.
  static int Health(const TestClient& client) {
    grpc::GenericStub stub(client.channel);
    grpc::CompletionQueue queue;
    const std::unique_ptr<grpc::ClientContext> context = client.Context();
    const grpc::Slice empty;
    const grpc::ByteBuffer request(&empty, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    const auto call =
        stub.PrepareUnaryCall(context.get(), "/grpc.health.v1.Health/Check", request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status.ok() ? StatusIn(response) : -1;
  }
  // A thread that drains the server, once it takes no more calls.
  std::thread BeginToDrain(const TestClient& client) {
    std::thread drain([this] { server_->Drain(); });
    while (Health(client) == kServing) absl::SleepFor(absl::Milliseconds(5));
    return drain;
  }
};

// A stream of grpc.health.v1.Health/Watch.
class HealthWatch {
 public:
  explicit HealthWatch(const TestClient& client)
      : context_(client.Context()), stub_(client.channel) {
    call_ = stub_.PrepareCall(context_.get(), "/grpc.health.v1.Health/Watch", &queue_);
    call_->StartCall(&queue_);
    Next();
    const grpc::Slice empty;
    call_->Write(grpc::ByteBuffer(&empty, 1), &queue_);
    Next();
  }
  // False at the stream's end.
  bool Read(grpc::ByteBuffer* response) {
    call_->Read(response, &queue_);
    return Next();
  }
  grpc::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, &queue_);
    Next();
    return status;
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    return ok;
  }
  const std::unique_ptr<grpc::ClientContext> context_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST_F(DrainTest, BeforeTheStoreIsOpenCallsAreToldToComeAgain) {
  Start();
  const TestClient client = Connect();
  EXPECT_EQ(Health(client), kNotServing);
  const grpc::Status search = SearchNow(client);
  EXPECT_EQ(search.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(search), "STORE_OPENING");
  EXPECT_TRUE(HasRetryInfo(search));
  IngestClient ingest(client);
  const grpc::Status ingested = ingest.Finish();
  EXPECT_EQ(ingested.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(HasRetryInfo(ingested));
  ASSERT_TRUE(server_->OpenStore().ok());
  EXPECT_EQ(Health(client), kServing);
  EXPECT_EQ(client.Ingest("docs", {"a cat"}).size(), 1u);
  EXPECT_TRUE(SearchNow(client).ok());
}

TEST_F(DrainTest, AServerWithoutAStoreCanBeDrained) {
  Start();
  server_->Drain();
  EXPECT_FALSE(SearchLater(Connect(), 1)->Await().ok());
}

TEST_F(DrainTest, CallsAtWorkEndAsTheyWouldAndNewOnesAreRefused) {
  options_.drain = absl::Minutes(5);
  StartAndOpen();
  const TestClient client = Connect();
  EXPECT_EQ(Health(client), kServing);
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  ASSERT_TRUE(ingest.Send("one", "a cat"));
  ASSERT_EQ(ingest.ReadAck(), "one");
  std::thread drain = BeginToDrain(client);
  EXPECT_EQ(Health(client), kNotServing);
  grpc::Status refused = SearchNow(client);
  // Health is the first thing that a drain changes.
  while (refused.ok()) refused = SearchNow(client);
  EXPECT_EQ(refused.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(refused), "SHUTTING_DOWN");
  ASSERT_TRUE(ingest.Send("two", "a dog"));
  EXPECT_EQ(ingest.ReadAck(), "two");
  EXPECT_TRUE(ingest.Close().ok());
  drain.join();
  EngineOptions reading;
  reading.read_only = true;
  const absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(options_.store, reading);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_TRUE((*engine)->Get("docs", "one").ok());
  EXPECT_TRUE((*engine)->Get("docs", "two").ok());
}

TEST_F(DrainTest, CallsThatDoNotEndAreStoppedWhenTheTimeIsUp) {
  options_.drain = absl::Milliseconds(200);
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  ASSERT_TRUE(ingest.Send("one", "a cat"));
  ASSERT_EQ(ingest.ReadAck(), "one");
  server_->Drain();
  const grpc::Status s = ingest.Finish();
  EXPECT_EQ(s.error_code(), StatusCode::UNAVAILABLE) << s.error_message();
  EXPECT_EQ(s.error_message(), "the server is shutting down");
}

TEST_F(DrainTest, StopCallsEndsADrainsWait) {
  UseOneThread();
  options_.drain = absl::Hours(1);
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  const std::unique_ptr<PendingCall> running = Occupy(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_running", 1));
  const std::unique_ptr<PendingCall> waiting = SearchLater(client);
  ASSERT_TRUE(AwaitGauge("cairn_requests_waiting", 1));
  std::thread drain = BeginToDrain(client);
  server_->StopCalls();
  drain.join();
  EXPECT_EQ(ingest.Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(running->Await().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(waiting->Await().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(DrainTest, WhoWatchesTheHealthIsToldAndHoldsNothingUp) {
  options_.drain = absl::Hours(1);
  StartAndOpen();
  const TestClient client = Connect();
  HealthWatch watch(client);
  grpc::ByteBuffer response;
  ASSERT_TRUE(watch.Read(&response));
  EXPECT_EQ(StatusIn(response), kServing);
  std::thread drain([this] { server_->Drain(); });
  ASSERT_TRUE(watch.Read(&response));
  EXPECT_EQ(StatusIn(response), kNotServing);
  drain.join();
  while (watch.Read(&response)) {
  }
  EXPECT_FALSE(watch.Finish().ok());
}

TEST_F(DrainTest, AServerThatIsDestroyedAtWorkStopsItsCalls) {
  options_.drain = absl::ZeroDuration();
  StartAndOpen();
  const TestClient client = Connect();
  IngestClient ingest(client);
  ASSERT_TRUE(ingest.Configure());
  std::thread writer([&] {
    for (int i = 0; ingest.Send("n" + std::to_string(i), "a cat"); ++i) {
    }
  });
  EXPECT_EQ(ingest.ReadAck(), "n0");
  server_.reset();
  EXPECT_EQ(ingest.Finish().error_code(), StatusCode::UNAVAILABLE);
  writer.join();
}

}  // namespace
}  // namespace cairn::services
