#include "services/server/request_replays.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_format.h"
#include "tests/services/server/fake_clock.h"

namespace cairn::services {
namespace {

using Outcome = RequestReplays::Outcome;
using Key = RequestReplays::Key;

std::string Uuid(int number) {
  return absl::StrFormat("123e4567-e89b-42d3-a456-%012x", static_cast<unsigned>(number));
}

Key KeyOf(int number, const std::string& tenant = "a", const std::string& method = "Delete") {
  return {tenant, method, Uuid(number)};
}

RequestReplays::Options ReplaysWith(const FakeClock& clock) {
  RequestReplays::Options options;
  options.now = clock.function();
  return options;
}

TEST(RequestReplays, TheFirstRunsAndOthersGetItsResponse) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kRun);
  replays.Finish(KeyOf(1), "response");
  for (int i = 0; i < 2; ++i) {
    const RequestReplays::Begun again = replays.Begin(KeyOf(1), 5);
    EXPECT_EQ(again.outcome, Outcome::kReplay);
    EXPECT_EQ(again.response, "response");
    EXPECT_TRUE(again.status.ok());
  }
}

TEST(RequestReplays, WhileTheFirstRunsOthersAreTurnedAway) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kRun);
  const RequestReplays::Begun second = replays.Begin(KeyOf(1), 5);
  EXPECT_EQ(second.outcome, Outcome::kInProgress);
  EXPECT_EQ(second.status.code(), absl::StatusCode::kAborted);
}

TEST(RequestReplays, OneThatFailedMayRunAgain) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kRun);
  replays.Abandon(KeyOf(1));
  EXPECT_EQ(replays.entries(), 0U);
  EXPECT_EQ(replays.bytes(), 0U);
  EXPECT_EQ(replays.Begin(KeyOf(1), 6).outcome, Outcome::kRun);
  replays.Finish(KeyOf(1), "response");
  replays.Abandon(KeyOf(1));  // Too late.
  EXPECT_EQ(replays.Begin(KeyOf(1), 6).outcome, Outcome::kReplay);
}

TEST(RequestReplays, TheSameIdWithAnotherRequestIsAnError) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kRun);
  EXPECT_EQ(replays.Begin(KeyOf(1), 6).outcome, Outcome::kConflict);
  replays.Finish(KeyOf(1), "response");
  const RequestReplays::Begun conflict = replays.Begin(KeyOf(1), 6);
  EXPECT_EQ(conflict.outcome, Outcome::kConflict);
  EXPECT_EQ(conflict.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(conflict.response.empty());
}

TEST(RequestReplays, TenantsAndMethodsHaveIdsOfTheirOwn) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  for (const Key& key : {KeyOf(1), KeyOf(1, "b"), KeyOf(1, "a", "Create"), KeyOf(2)}) {
    EXPECT_EQ(replays.Begin(key, 5).outcome, Outcome::kRun);
    replays.Finish(key, "response");
  }
}

TEST(RequestReplays, CaseDoesNotTellUuidsApart) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  EXPECT_EQ(replays.Begin({"a", "m", "123E4567-E89B-42D3-A456-00000000000F"}, 5).outcome,
            Outcome::kRun);
  replays.Finish({"a", "m", "123e4567-e89b-42d3-a456-00000000000f"}, "response");
  EXPECT_EQ(replays.Begin({"a", "m", "123E4567-e89b-42d3-a456-00000000000f"}, 5).outcome,
            Outcome::kReplay);
}

TEST(RequestReplays, ResponsesAreForgottenInTime) {
  FakeClock clock;
  RequestReplays replays(ReplaysWith(clock));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kRun);
  EXPECT_EQ(replays.Begin(KeyOf(2), 5).outcome, Outcome::kRun);
  clock.Advance(absl::Hours(1));  // One that runs is kept however long.
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kInProgress);
  replays.Finish(KeyOf(1), "response");
  clock.Advance(absl::Minutes(10) - absl::Seconds(1));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kReplay);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(replays.Begin(KeyOf(1), 5).outcome, Outcome::kRun);
  EXPECT_EQ(replays.Begin(KeyOf(2), 5).outcome, Outcome::kInProgress);
}

TEST(RequestReplays, TheOldestGoWhereThereAreTooMany) {
  FakeClock clock;
  RequestReplays::Options options = ReplaysWith(clock);
  options.max_entries = 3;
  RequestReplays replays(options);
  EXPECT_EQ(replays.Begin(KeyOf(0), 5).outcome, Outcome::kRun);
  for (int i = 1; i <= 5; ++i) {
    EXPECT_EQ(replays.Begin(KeyOf(i), 5).outcome, Outcome::kRun);
    replays.Finish(KeyOf(i), "response");
  }
  EXPECT_EQ(replays.entries(), 3U);
  EXPECT_EQ(replays.Begin(KeyOf(0), 5).outcome, Outcome::kInProgress);
  EXPECT_EQ(replays.Begin(KeyOf(5), 5).outcome, Outcome::kReplay);
  EXPECT_EQ(replays.Begin(KeyOf(4), 5).outcome, Outcome::kReplay);
  EXPECT_EQ(replays.Begin(KeyOf(3), 5).outcome, Outcome::kRun);
}

TEST(RequestReplays, ResponsesDoNotTakeMoreThanTheBound) {
  FakeClock clock;
  RequestReplays::Options options = ReplaysWith(clock);
  options.max_bytes = 10'000;
  RequestReplays replays(options);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(replays.Begin(KeyOf(i), 5).outcome, Outcome::kRun);
    replays.Finish(KeyOf(i), std::string(1000, 'x'));
    EXPECT_LE(replays.bytes(), options.max_bytes);
  }
  EXPECT_GT(replays.entries(), 4U);
  const size_t before = replays.entries();
  EXPECT_EQ(replays.Begin(KeyOf(1000), 5).outcome, Outcome::kRun);
  replays.Finish(KeyOf(1000), std::string(20'000, 'x'));  // Nothing else goes for it,
  EXPECT_GE(replays.entries(), before - 1);
  EXPECT_EQ(replays.Begin(KeyOf(1000), 5).outcome, Outcome::kRun);  // and it is not kept.
}

TEST(RequestReplays, IdsMustBeUuids) {
  EXPECT_TRUE(RequestReplays::CheckRequestId("123e4567-e89b-42d3-a456-426614174000").ok());
  for (const std::string& id :
       {std::string(), std::string("1"), std::string("123e4567e89b42d3a456426614174000"),
        std::string("123e4567-e89b-42d3-a456-42661417400g"),
        std::string("123e4567-e89b-42d3-a456-4266141740000"),
        std::string("{123e4567-e89b-42d3-a456-426614174}"),
        std::string("123e4567-e89b-42d3-a4564-26614174000"),
        std::string("00000000-0000-0000-0000-000000000000"), std::string(36, '\0')}) {
    EXPECT_EQ(RequestReplays::CheckRequestId(id).code(), absl::StatusCode::kInvalidArgument) << id;
    FakeClock clock;
    RequestReplays replays(ReplaysWith(clock));
    EXPECT_EQ(replays.Begin({"a", "m", id}, 1).outcome, Outcome::kConflict);
    EXPECT_EQ(replays.entries(), 0U);
  }
}

}  // namespace
}  // namespace cairn::services
