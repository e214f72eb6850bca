#include "services/server/stream_output.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A stream whose writes are done when the test says so.
class StreamOutputTest : public ::testing::Test {
 protected:
  void Send(const std::string& text) {
    auto message = std::make_unique<google::protobuf::StringValue>();
    message->set_value(text);
    output_.Send(std::move(message));
  }

  std::vector<std::string> written_;
  std::vector<absl::Status> finished_;
  StreamOutput output_{
      {.write =
           [this](const google::protobuf::Message& message) {
             EXPECT_THAT(finished_, IsEmpty()) << "a write after the end";
             written_.push_back(static_cast<const google::protobuf::StringValue&>(message).value());
           },
       .finish = [this](const absl::Status& status) { finished_.push_back(status); }}};
};

TEST_F(StreamOutputTest, WritesOneMessageAfterTheOtherAndThenTheStatus) {
  Send("a");
  Send("b");
  output_.End(absl::NotFoundError("x"));
  EXPECT_THAT(written_, ElementsAre("a"));
  output_.OnWriteDone(true);
  EXPECT_THAT(written_, ElementsAre("a", "b"));
  EXPECT_THAT(finished_, IsEmpty());
  output_.OnWriteDone(true);
  EXPECT_THAT(finished_, ElementsAre(absl::NotFoundError("x")));
}

TEST_F(StreamOutputTest, EndsAtOnceWhereNothingIsToBeSent) {
  output_.End(absl::OkStatus());
  EXPECT_THAT(finished_, ElementsAre(absl::OkStatus()));
  EXPECT_FALSE(output_.writing());
}

TEST_F(StreamOutputTest, TheFirstEndCountsAndWhatComesAfterItIsDropped) {
  Send("a");
  output_.End(absl::NotFoundError("first"));
  output_.End(absl::OkStatus());
  Send("b");
  output_.OnWriteDone(true);
  output_.Abort(absl::CancelledError("late"));
  EXPECT_THAT(written_, ElementsAre("a"));
  EXPECT_THAT(finished_, ElementsAre(absl::NotFoundError("first")));
}

TEST_F(StreamOutputTest, AnAbortDropsWhatWaitsAndWaitsForTheWriteAtWork) {
  Send("a");
  Send("b");
  Send("c");
  output_.End(absl::OkStatus());
  output_.Abort(absl::CancelledError("gone"));
  EXPECT_TRUE(output_.writing());
  EXPECT_THAT(finished_, IsEmpty());
  output_.OnWriteDone(true);
  EXPECT_THAT(written_, ElementsAre("a"));
  EXPECT_THAT(finished_, ElementsAre(absl::CancelledError("gone")));
}

TEST_F(StreamOutputTest, AnAbortDoesNotChangeAnEndThatOnlyWaitsForItsLastWrite) {
  Send("a");
  output_.End(absl::OkStatus());
  output_.Abort(absl::CancelledError("gone"));
  output_.OnWriteDone(true);
  EXPECT_THAT(finished_, ElementsAre(absl::OkStatus()));
}

TEST_F(StreamOutputTest, AWriteThatFailsEndsTheStreamAndDropsTheRest) {
  Send("a");
  Send("b");
  output_.OnWriteDone(false);
  EXPECT_THAT(written_, ElementsAre("a"));
  ASSERT_EQ(finished_.size(), 1u);
  EXPECT_EQ(finished_[0].code(), absl::StatusCode::kCancelled);
  Send("c");
  EXPECT_THAT(written_, ElementsAre("a"));
}

TEST_F(StreamOutputTest, CountsWhatWasSentAndWhatWaits) {
  Send("abc");
  Send("d");
  EXPECT_EQ(output_.waiting(), 2u) << "the one being written is one of them";
  EXPECT_EQ(output_.sent_bytes(), 0u);
  output_.OnWriteDone(true);
  EXPECT_EQ(output_.waiting(), 1u);
  EXPECT_EQ(output_.sent_bytes(), 5u);
  output_.OnWriteDone(false);
  EXPECT_EQ(output_.sent_bytes(), 5u);
}

TEST_F(StreamOutputTest, NothingIsBegunOnceTheStreamIsFinished) {
  int begun = 0;
  EXPECT_TRUE(output_.WhileOpen([&] { ++begun; }));
  Send("a");
  output_.End(absl::OkStatus());
  EXPECT_TRUE(output_.WhileOpen([&] { ++begun; })) << "the last write is at work";
  output_.OnWriteDone(true);
  EXPECT_FALSE(output_.WhileOpen([&] { ++begun; }));
  EXPECT_EQ(begun, 2);
}

TEST_F(StreamOutputTest, ManySendersLoseNothingAndFinishOnce) {
  std::atomic<int> writes{0};
  std::atomic<int> ends{0};
  std::atomic<bool> at_work{false};
  StreamOutput output({.write =
                           [&](const google::protobuf::Message&) {
                             ++writes;
                             EXPECT_FALSE(at_work.exchange(true)) << "one at a time";
                           },
                       .finish = [&](const absl::Status&) { ++ends; }});
  std::thread wire([&] {
    while (ends == 0) {
      if (at_work.exchange(false)) output.OnWriteDone(true);
    }
  });
  constexpr int kThreads = 4;
  constexpr int kEach = 250;
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        output.Send(std::make_unique<google::protobuf::StringValue>());
      }
    });
  }
  for (std::thread& t : senders) t.join();
  output.End(absl::OkStatus());
  wire.join();
  EXPECT_EQ(writes, kThreads * kEach);
  EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace cairn::services
