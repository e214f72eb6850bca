#include "services/server/operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/services/server/fake_clock.h"
#include "tests/services/server/gate.h"
#include "tests/support/scarce_threads.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Operations::Options With(const FakeClock& clock) {
  Operations::Options options;
  options.now = clock.function();
  return options;
}

Operations::Work Returning(std::string result) {
  return [result](OperationControl&) -> absl::StatusOr<std::string> { return result; };
}

Operations::Work Passing(Gate& gate) {
  return [&gate](OperationControl&) -> absl::StatusOr<std::string> {
    gate.Pass();
    return "passed";
  };
}

std::string StartOf(Operations& operations, const std::string& tenant, Operations::Work work) {
  const auto state = operations.Start(tenant, "compact", "docs", std::move(work));
  EXPECT_TRUE(state.ok()) << state.status();
  return state.ok() ? state->id : "";
}

std::string Finished(Operations& operations, const std::string& tenant) {
  const std::string id = StartOf(operations, tenant, Returning("done"));
  EXPECT_TRUE(operations.Wait(tenant, id, absl::InfiniteDuration())->done);
  return id;
}

std::vector<std::string> Ids(const Operations::Page& page) {
  std::vector<std::string> ids;
  for (const OperationState& state : page.operations) ids.push_back(state.id);
  return ids;
}

TEST(Operations, RunsAndKeepsTheResult) {
  FakeClock clock;
  Operations operations(With(clock));
  const absl::Time start = clock.now();
  const auto started = operations.Start("a", "compact", "docs", [&](OperationControl& control) {
    control.SetProgress("merging", 3, 10);
    clock.Advance(absl::Minutes(2));
    return absl::StatusOr<std::string>("merged");
  });
  ASSERT_TRUE(started.ok());
  EXPECT_FALSE(started->done);
  const auto state = operations.Wait("a", started->id, absl::InfiniteDuration());
  ASSERT_TRUE(state.ok());
  EXPECT_TRUE(state->done);
  EXPECT_TRUE(state->status.ok());
  EXPECT_EQ(state->result, "merged");
  EXPECT_EQ(state->kind, "compact");
  EXPECT_EQ(state->target, "docs");
  EXPECT_EQ(state->stage, "merging");
  EXPECT_EQ(state->progress_done, 3U);
  EXPECT_EQ(state->progress_total, 10U);
  EXPECT_EQ(state->start, start);
  EXPECT_EQ(state->end, start + absl::Minutes(2));
}

TEST(Operations, KeepsTheError) {
  FakeClock clock;
  Operations operations(With(clock));
  const std::string id = StartOf(operations, "a", [](OperationControl&) {
    return absl::StatusOr<std::string>(absl::DataLossError("bad block"));
  });
  const auto state = operations.Wait("a", id, absl::InfiniteDuration());
  EXPECT_EQ(state->status, absl::DataLossError("bad block"));
  EXPECT_TRUE(state->result.empty());
}

TEST(Operations, ProgressIsSeenWhileItRuns) {
  FakeClock clock;
  Operations operations(With(clock));
  Gate gate;
  const std::string id = StartOf(operations, "a", [&](OperationControl& control) {
    control.SetProgress("reading", 1, 2);
    gate.Pass();
    return absl::StatusOr<std::string>("");
  });
  gate.AwaitArrivals(1);
  EXPECT_EQ(operations.Get("a", id)->stage, "reading");
  EXPECT_FALSE(operations.Get("a", id)->done);
  EXPECT_FALSE(operations.Wait("a", id, absl::ZeroDuration())->done);
  EXPECT_EQ(operations.running(), 1U);
  gate.Open();
}

TEST(Operations, IdsAreLongAndRandom) {
  FakeClock clock;
  Operations operations(With(clock));
  std::set<std::string> ids;
  for (int i = 0; i < 50; ++i) ids.insert(Finished(operations, "a"));
  EXPECT_THAT(ids, SizeIs(50));
  std::set<std::string> starts;
  for (const std::string& id : ids) {
    EXPECT_EQ(id.size(), 32U);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
    starts.insert(id.substr(0, 8));
  }
  EXPECT_THAT(starts, SizeIs(50));
}

TEST(Operations, AnothersOperationIsNotThere) {
  FakeClock clock;
  Operations operations(With(clock));
  const std::string id = Finished(operations, "a");
  for (const std::string& of : {id, std::string("unknown"), std::string()}) {
    EXPECT_EQ(operations.Get("b", of).status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(operations.Cancel("b", of).code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(operations.Delete("b", of).code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(operations.Wait("b", of, absl::InfiniteDuration()).status().code(),
              absl::StatusCode::kNotFound);
    EXPECT_EQ(operations.OnDone("b", of, [](const OperationState&) {}).status().code(),
              absl::StatusCode::kNotFound);
  }
  EXPECT_THAT(operations.List("b", "", 10)->operations, IsEmpty());
  EXPECT_TRUE(operations.Get("a", id).ok());
}

TEST(Operations, ListsInTheOrderOfStartsPageByPageAlsoWhereSomeWereDropped) {
  FakeClock clock;
  Operations operations(With(clock));
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(Finished(operations, "a"));
  Finished(operations, "b");
  const auto first = operations.List("a", "", 2);
  EXPECT_THAT(Ids(*first), ElementsAre(ids[0], ids[1]));
  ASSERT_FALSE(first->next_after.empty());
  ASSERT_TRUE(operations.Delete("a", ids[1]).ok());
  ASSERT_TRUE(operations.Delete("a", ids[2]).ok());
  const auto second = operations.List("a", first->next_after, 2);
  EXPECT_THAT(Ids(*second), ElementsAre(ids[3], ids[4]));
  EXPECT_TRUE(second->next_after.empty());
}

TEST(Operations, APageThatIsNoneIsAnError) {
  FakeClock clock;
  const Operations operations(With(clock));
  EXPECT_EQ(operations.List("a", "x", 2).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(operations.List("a", "", 0).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Operations, OneThatWaitsEndsAtOnceWhenCancelled) {
  FakeClock clock;
  Operations::Options options = With(clock);
  options.max_waiting = 1;
  Operations operations(options);
  Gate gate;
  StartOf(operations, "a", Passing(gate));
  gate.AwaitArrivals(1);
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> seen = held;
  bool ran = false;
  const std::string id =
      StartOf(operations, "a", [&ran, held = std::move(held)](OperationControl&) {
        ran = true;
        return absl::StatusOr<std::string>("");
      });
  EXPECT_EQ(operations.Start("a", "k", "t", Returning("")).status().code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(operations.Cancel("a", id).ok());
  ASSERT_TRUE(operations.Cancel("a", id).ok());
  const auto state = operations.Get("a", id);
  EXPECT_TRUE(state->done);
  EXPECT_TRUE(state->cancel_requested);
  EXPECT_EQ(state->status.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(seen.expired());
  EXPECT_EQ(operations.waiting(), 0U);
  StartOf(operations, "a", Returning(""));  // Its place is free.
  gate.Open();
  operations.Stop();
  EXPECT_FALSE(ran);
}

TEST(Operations, NoTenantTakesAllThePlaces) {
  FakeClock clock;
  Operations::Options options = With(clock);
  options.max_waiting = 3;
  options.max_waiting_per_tenant = 2;
  Operations operations(options);
  Gate gate;
  StartOf(operations, "a", Passing(gate));
  gate.AwaitArrivals(1);
  StartOf(operations, "a", Returning(""));
  StartOf(operations, "a", Returning(""));
  const absl::Status refused = operations.Start("a", "k", "t", Returning("")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("of this tenant"));
  StartOf(operations, "b", Returning(""));
  EXPECT_EQ(operations.Start("c", "k", "t", Returning("")).status().code(),
            absl::StatusCode::kResourceExhausted);
  gate.Open();
}

TEST(Operations, OneThatRunsIsAskedToEnd) {
  FakeClock clock;
  Operations operations(With(clock));
  Gate gate;
  const std::string id = StartOf(operations, "a", [&](OperationControl& control) {
    gate.Pass();
    EXPECT_TRUE(control.cancelled());
    EXPECT_TRUE(control.cancel_flag()->load());
    return absl::StatusOr<std::string>(absl::CancelledError("stopped midway"));
  });
  gate.AwaitArrivals(1);
  ASSERT_TRUE(operations.Cancel("a", id).ok());
  EXPECT_FALSE(operations.Get("a", id)->done);
  EXPECT_TRUE(operations.Get("a", id)->cancel_requested);
  EXPECT_EQ(operations.Delete("a", id).code(), absl::StatusCode::kFailedPrecondition);
  gate.Open();
  EXPECT_EQ(operations.Wait("a", id, absl::InfiniteDuration())->status,
            absl::CancelledError("stopped midway"));
}

TEST(Operations, WhatIsDoneIsNotCancelled) {
  FakeClock clock;
  Operations operations(With(clock));
  const std::string id = Finished(operations, "a");
  EXPECT_TRUE(operations.Cancel("a", id).ok());
  EXPECT_FALSE(operations.Get("a", id)->cancel_requested);
  EXPECT_EQ(operations.Get("a", id)->result, "done");
}

TEST(Operations, WatchesAreCalledOnceEach) {
  FakeClock clock;
  Operations operations(With(clock));
  Gate gate;
  const std::string id = StartOf(operations, "a", Passing(gate));
  gate.AwaitArrivals(1);
  std::vector<std::string> calls;
  const auto watch = [&](const std::string& name) {
    return operations.OnDone("a", id, [&calls, name](const OperationState& state) {
      calls.push_back(name + " " + state.result);
    });
  };
  ASSERT_TRUE(watch("first").ok());
  const auto removed = watch("removed");
  ASSERT_TRUE(removed.ok());
  ASSERT_TRUE(watch("second").ok());
  EXPECT_TRUE(operations.RemoveWatch("a", id, *removed));
  EXPECT_FALSE(operations.RemoveWatch("a", id, *removed));
  gate.Open();
  operations.Stop();
  EXPECT_THAT(calls, ElementsAre("first passed", "second passed"));
  const auto late = watch("late");  // Done already: called before it returns.
  EXPECT_THAT(calls, ElementsAre("first passed", "second passed", "late passed"));
  EXPECT_FALSE(operations.RemoveWatch("a", id, *late));
}

TEST(Operations, AWatchMayAskForTheOperation) {
  FakeClock clock;
  Operations operations(With(clock));
  Gate gate;
  StartOf(operations, "a", Passing(gate));
  gate.AwaitArrivals(1);
  const std::string id = StartOf(operations, "a", Returning(""));
  absl::Status deleted = absl::UnknownError("not called");
  ASSERT_TRUE(
      operations
          .OnDone("a", id,
                  [&](const OperationState& state) { deleted = operations.Delete("a", state.id); })
          .ok());
  ASSERT_TRUE(operations.Cancel("a", id).ok());
  EXPECT_TRUE(deleted.ok()) << deleted;
  gate.Open();
}

TEST(Operations, FinishedOnesAreDroppedInTimeAndRunningOnesNever) {
  FakeClock clock;
  Operations::Options options = With(clock);
  options.keep = absl::Hours(1);
  Operations operations(options);
  const std::string old = Finished(operations, "a");
  Gate gate;
  const std::string running = StartOf(operations, "a", Passing(gate));
  gate.AwaitArrivals(1);
  clock.Advance(absl::Hours(1) - absl::Seconds(1));
  EXPECT_TRUE(operations.Get("a", old).ok());
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(operations.Get("a", old).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Ids(*operations.List("a", "", 10)), ElementsAre(running));
  gate.Open();
}

TEST(Operations, OfTooManyTheOldestOfTheTenantWithMostIsDropped) {
  FakeClock clock;
  Operations::Options options = With(clock);
  options.max_kept = 3;
  Operations operations(options);
  const std::string of_b = Finished(operations, "b");
  std::vector<std::string> of_a;
  for (int i = 0; i < 5; ++i) of_a.push_back(Finished(operations, "a"));
  EXPECT_THAT(Ids(*operations.List("a", "", 10)), ElementsAre(of_a[3], of_a[4]));
  EXPECT_TRUE(operations.Get("b", of_b).ok());
}

TEST(Operations, StopCancelsWhatWaitsAndWaitsForWhatRuns) {
  FakeClock clock;
  Operations operations(With(clock));
  Gate started;
  started.Open();
  const std::string running = StartOf(operations, "a", [&](OperationControl& control) {
    started.Pass();
    while (!control.cancelled()) std::this_thread::yield();
    return absl::StatusOr<std::string>("ended well");
  });
  started.AwaitArrivals(1);
  const std::string waiting = StartOf(operations, "a", Returning(""));
  int calls = 0;
  ASSERT_TRUE(operations.OnDone("a", waiting, [&](const OperationState&) { ++calls; }).ok());
  operations.Stop();
  operations.Stop();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(operations.Get("a", running)->result, "ended well");
  EXPECT_EQ(operations.Get("a", waiting)->status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(operations.Start("a", "k", "t", Returning("")).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(Operations, WithoutASingleThreadItSaysSo) {
  FakeClock clock;
  std::unique_ptr<Operations> operations;
  {
    const testing::ScarceThreads scarce(0.5);
    if (!scarce.ok()) GTEST_SKIP() << "the address space cannot be limited here";
    operations = std::make_unique<Operations>(With(clock));
  }
  EXPECT_EQ(operations->Start("a", "k", "t", Returning("")).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(operations->List("a", "", 10)->operations, IsEmpty());
}

TEST(Operations, TenantsTakeTurns) {
  FakeClock clock;
  Operations operations(With(clock));
  Gate gate;
  StartOf(operations, "a", Passing(gate));
  gate.AwaitArrivals(1);
  std::vector<std::string> order;
  for (const std::string tenant : {"a", "a", "b"}) {
    StartOf(operations, tenant, [&order, tenant](OperationControl&) {
      order.push_back(tenant);
      return absl::StatusOr<std::string>("");
    });
  }
  ASSERT_EQ(operations.waiting(), 3U);
  const std::string last = Ids(*operations.List("a", "", 10)).back();
  gate.Open();
  EXPECT_TRUE(operations.Wait("a", last, absl::InfiniteDuration())->done);
  operations.Stop();
  EXPECT_THAT(order, ElementsAre("a", "b", "a"));
}

}  // namespace
}  // namespace cairn::services
