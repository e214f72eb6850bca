#include "services/server/work_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/services/server/gate.h"
#include "tests/support/scarce_threads.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

WorkQueue::Options OneThread() {
  WorkQueue::Options options;
  options.threads = 1;
  return options;
}

TEST(WorkQueue, RunsAllThatWasTakenBeforeStopReturns) {
  WorkQueue queue(OneThread());
  int runs = 0;  // One thread, and joined before it is read.
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue.Submit("a", [&] { ++runs; }).ok());
  queue.Stop();
  EXPECT_EQ(runs, 100);
  EXPECT_EQ(queue.waiting(), 0U);
  EXPECT_EQ(queue.running(), 0U);
}

TEST(WorkQueue, TakesNothingAfterStop) {
  WorkQueue queue(OneThread());
  queue.Stop();
  queue.Stop();
  bool ran = false;
  EXPECT_EQ(queue.Submit("a", [&] { ran = true; }).code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(ran);
}

TEST(WorkQueue, TenantsTakeTurns) {
  WorkQueue queue(OneThread());
  Gate gate;
  ASSERT_TRUE(queue.Submit("first", [&] { gate.Pass(); }).ok());
  gate.AwaitArrivals(1);
  std::vector<std::string> order;
  for (const std::string tenant : {"a", "a", "a", "b", "c", "b"}) {
    ASSERT_TRUE(queue.Submit(tenant, [&order, tenant] { order.push_back(tenant); }).ok());
  }
  EXPECT_EQ(queue.waiting(), 6U);
  EXPECT_EQ(queue.running(), 1U);
  gate.Open();
  queue.Stop();
  EXPECT_THAT(order, ElementsAre("a", "b", "c", "a", "b", "a"));
}

TEST(WorkQueue, RefusesWhatIsTooMuchForATenantAndForAll) {
  WorkQueue::Options options = OneThread();
  options.max_waiting = 3;
  options.max_waiting_per_tenant = 2;
  WorkQueue queue(options);
  Gate gate;
  ASSERT_TRUE(queue.Submit("a", [&] { gate.Pass(); }).ok());
  gate.AwaitArrivals(1);
  ASSERT_TRUE(queue.Submit("a", [] {}).ok());
  ASSERT_TRUE(queue.Submit("a", [] {}).ok());
  const absl::Status of_tenant = queue.Submit("a", [] {});
  EXPECT_EQ(of_tenant.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(of_tenant.message()), HasSubstr("2 requests of this tenant"));
  ASSERT_TRUE(queue.Submit("b", [] {}).ok());
  const absl::Status of_all = queue.Submit("c", [] {});
  EXPECT_EQ(of_all.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(of_all.message()), HasSubstr("server is busy"));
  gate.Open();
}

TEST(WorkQueue, WhatWorkHoldsIsGoneWhenItIsOver) {
  WorkQueue queue(OneThread());
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  ASSERT_TRUE(queue.Submit("a", [held = std::move(held)] {}).ok());
  queue.Stop();
  EXPECT_TRUE(seen.expired());
}

TEST(WorkQueue, ItsThreadsAreAsNiceAsAskedAndTheRestOfTheProcessIsNot) {
  const int before = ::getpriority(PRIO_PROCESS, 0);
  WorkQueue::Options options = OneThread();
  options.nice = 5;
  WorkQueue queue(options);
  int within = -100;
  ASSERT_TRUE(
      queue
          .Submit("a", [&] { within = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); })
          .ok());
  queue.Stop();
  EXPECT_EQ(within, std::min(before + 5, 19));
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);
}

TEST(WorkQueue, FewerThreadsThanAskedForDoTheWork) {
  WorkQueue::Options options;
  options.threads = 64;
  std::unique_ptr<WorkQueue> queue;
  {
    const testing::ScarceThreads scarce(2.5);
    if (!scarce.ok()) GTEST_SKIP() << "the address space cannot be limited here";
    queue = std::make_unique<WorkQueue>(options);
  }
  EXPECT_GE(queue->threads(), 1U);
  EXPECT_LT(queue->threads(), 64U);
  std::atomic<int> runs{0};
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue->Submit("a", [&] { ++runs; }).ok());
  queue->Stop();
  EXPECT_EQ(runs, 100);
}

TEST(WorkQueue, WithoutASingleThreadItSaysSo) {
  std::unique_ptr<WorkQueue> queue;
  {
    const testing::ScarceThreads scarce(0.5);
    if (!scarce.ok()) GTEST_SKIP() << "the address space cannot be limited here";
    queue = std::make_unique<WorkQueue>(WorkQueue::Options());
  }
  const absl::Status status = queue->Submit("a", [] { ADD_FAILURE(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no thread"));
  queue->Stop();
}

TEST(WorkQueue, RunsOnOneThreadPerCoreWhereNoneIsSaid) {
  EXPECT_EQ(WorkQueue(WorkQueue::Options()).threads(),
            std::max(std::thread::hardware_concurrency(), 1U));
}

}  // namespace
}  // namespace cairn::services
