// Several threads at once on what all requests share.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/server/operations.h"
#include "services/server/rate_limiter.h"
#include "services/server/request_replays.h"
#include "services/server/work_queue.h"
#include "tests/services/server/fake_clock.h"

namespace cairn::services {
namespace {

constexpr int kThreads = 4;

void InThreads(const std::function<void(int)>& run) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(run, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(ServingConcurrency, EveryWorkThatWasTakenRunsOnce) {
  WorkQueue::Options options;
  options.threads = 3;
  options.max_waiting = 50;
  options.max_waiting_per_tenant = 20;
  WorkQueue queue(options);
  std::atomic<int> taken{0};
  std::atomic<int> refused{0};
  std::vector<std::atomic<int>> runs(kThreads * 1000);
  InThreads([&](int thread) {
    for (int i = 0; i < 1000; ++i) {
      const int number = thread * 1000 + i;
      const absl::Status status =
          queue.Submit(absl::StrCat("tenant", i % 3), [&runs, number] { ++runs[number]; });
      ++(status.ok() ? taken : refused);
      if (status.ok()) continue;
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      runs[number] = -1;  // Nobody else touches it, unless it runs all the same.
    }
  });
  queue.Stop();
  int ran = 0;
  for (const auto& count : runs) {
    EXPECT_TRUE(count == 1 || count == -1) << count;
    ran += count == 1 ? 1 : 0;
  }
  EXPECT_EQ(ran, taken);
  EXPECT_EQ(taken + refused, kThreads * 1000);
}

TEST(ServingConcurrency, WorkTakenWhileTheQueueStopsRunsAndTheRestIsRefused) {
  for (int round = 0; round < 20; ++round) {
    WorkQueue::Options options;
    options.threads = 2;
    options.max_waiting = 100'000;
    options.max_waiting_per_tenant = 100'000;
    WorkQueue queue(options);
    std::atomic<int> taken{0};
    std::atomic<int> ran{0};
    InThreads([&](int thread) {
      if (thread == 0) {
        queue.Stop();
        return;
      }
      for (int i = 0; i < 200; ++i) {
        if (queue.Submit("a", [&] { ++ran; }).ok()) ++taken;
      }
    });
    queue.Stop();
    EXPECT_EQ(ran, taken);
  }
}

TEST(ServingConcurrency, EveryOperationEndsOnceWhoeverCancelsAndLooks) {
  FakeClock clock;
  Operations::Options options;
  options.threads = 2;
  options.max_waiting = 1000;
  options.max_waiting_per_tenant = 1000;
  options.max_kept = 10'000;
  options.now = clock.function();
  Operations operations(options);
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
  InThreads([&](int thread) {
    const std::string tenant = absl::StrCat("tenant", thread % 2);
    for (int i = 0; i < 100; ++i) {
      const auto state = operations.Start(tenant, "k", "t", [](OperationControl& control) {
        for (uint64_t step = 0; step < 5; ++step) control.SetProgress("stage", step, 5);
        if (control.cancelled()) return absl::StatusOr<std::string>(absl::CancelledError("asked"));
        return absl::StatusOr<std::string>("result");
      });
      ASSERT_TRUE(state.ok()) << state.status();
      ++started;
      ASSERT_TRUE(operations
                      .OnDone(tenant, state->id,
                              [&](const OperationState& done) {
                                EXPECT_TRUE(done.done);
                                ++ended;
                              })
                      .ok());
      if (i % 3 == 0) {
        EXPECT_TRUE(operations.Cancel(tenant, state->id).ok());
      }
      if (i % 7 == 0) {
        EXPECT_TRUE(operations.Wait(tenant, state->id, absl::InfiniteDuration())->done);
      }
      if (i % 11 == 0) {
        EXPECT_TRUE(operations.List(tenant, "", 50).ok());
      }
    }
  });
  operations.Stop();
  EXPECT_EQ(started, kThreads * 100);
  EXPECT_EQ(ended, started);
}

TEST(ServingConcurrency, NoMoreRequestsRunThanATenantHasSlots) {
  FakeClock clock;
  RateLimiter::Limits limits;
  limits.concurrent = 2;
  limits.bytes_per_second = 1e12;
  RateLimiter limiter(limits, clock.function());
  std::atomic<int> running{0};
  std::atomic<int> admitted{0};
  InThreads([&](int) {
    for (int i = 0; i < 1000; ++i) {
      RateLimiter::Admission admission = limiter.Admit("a");
      if (!admission.status.ok()) continue;
      ++admitted;
      EXPECT_LE(++running, 2);
      limiter.ChargeBytes("a", 1);
      --running;
    }
  });
  EXPECT_GE(admitted, 1);
  EXPECT_TRUE(limiter.Admit("a").status.ok());
}

TEST(ServingConcurrency, TheRateHoldsForAllThreadsTogether) {
  FakeClock clock;
  RateLimiter::Limits limits;
  limits.requests_per_second = 100;
  RateLimiter limiter(limits, clock.function());
  std::atomic<int> admitted{0};
  InThreads([&](int) {
    for (int i = 0; i < 500; ++i) admitted += limiter.Admit("a").status.ok() ? 1 : 0;
  });
  EXPECT_EQ(admitted, 100);
}

TEST(ServingConcurrency, OneOfManyWithTheSameRequestIdRuns) {
  FakeClock clock;
  RequestReplays::Options options;
  options.now = clock.function();
  RequestReplays replays(options);
  std::atomic<int> ran{0};
  InThreads([&](int) {
    for (int i = 0; i < 200; ++i) {
      const RequestReplays::Key key{"a", "m",
                                    absl::StrCat("123e4567-e89b-42d3-a456-426614174", 100 + i)};
      const RequestReplays::Begun begun = replays.Begin(key, 1);
      if (begun.outcome == RequestReplays::Outcome::kRun) {
        ++ran;
        replays.Finish(key, "response");
      } else if (begun.outcome == RequestReplays::Outcome::kReplay) {
        EXPECT_EQ(begun.response, "response");
      }
    }
  });
  EXPECT_EQ(ran, 200);
}

}  // namespace
}  // namespace cairn::services
