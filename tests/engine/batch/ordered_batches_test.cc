#include "engine/batch/ordered_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace cairn::engine {
namespace {

struct Number {
  int in = 0;
  int out = -1;
};

// Doubles the numbers 0 .. count - 1, with what is to go wrong on the way.
class Doubling {
 public:
  int count = 0;
  int bad_read = -1;  // Instead of this item there is an error.
  int bad_work = -1;  // The batch of this item fails.
  int bad_write = -1;
  std::atomic<bool>* cancel = nullptr;
  int cancel_at = -1;  // *cancel is set when this item is read.

  absl::Status Run(const OrderedBatchesOptions& options) {
    OrderedBatches<Number> batches(
        options, [](const Number& n) { return static_cast<size_t>(n.in * 7919 % 101); },
        [](const Number&) { return size_t{10}; });
    int next = 0;
    return batches.Run(
        [&]() -> absl::StatusOr<std::optional<Number>> {
          if (next == cancel_at) *cancel = true;
          if (next == bad_read) return absl::InvalidArgumentError("read");
          if (next == count) return std::nullopt;
          most_held = std::max(most_held, static_cast<size_t>(next) - written.size());
          return Number{next++};
        },
        [&](absl::Span<Number* const> batch) -> absl::Status {
          ++calls;
          for (Number* n : batch) {
            if (n->in == bad_work) return absl::InternalError("work");
            n->out = 2 * n->in;
          }
          return absl::OkStatus();
        },
        [&](Number& n) -> absl::Status {
          if (n.in == bad_write) return absl::DataLossError("write");
          EXPECT_EQ(n.out, 2 * n.in);
          written.push_back(n.in);
          return absl::OkStatus();
        },
        cancel);
  }

  std::vector<int> written;
  size_t most_held = 0;
  std::atomic<int> calls{0};
};

OrderedBatchesOptions Options(int threads, size_t window) {
  OrderedBatchesOptions options;
  options.threads = threads;
  options.window_items = window;
  return options;
}

void ExpectPrefix(const std::vector<int>& written) {
  for (size_t i = 0; i < written.size(); ++i) ASSERT_EQ(written[i], static_cast<int>(i));
}

TEST(OrderedBatches, WhatComesOutIsInTheOrderOfWhatCameIn) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 150; ++trial) {
    Doubling run;
    run.count = static_cast<int>(random() % 300);
    OrderedBatchesOptions options = Options(1 + random() % 5, 1 + random() % 64);
    options.batch = {1 + random() % 9, 1 + random() % 400};
    options.window_bytes = 10 + random() % 1000;
    ASSERT_TRUE(run.Run(options).ok());
    ASSERT_EQ(run.written.size(), static_cast<size_t>(run.count));
    ExpectPrefix(run.written);
    EXPECT_LE(run.most_held, 2 * options.window_items);
  }
}

TEST(OrderedBatches, WhatWasReadBeforeAnErrorIsStillWritten) {
  for (const int bad : {0, 1, 9, 10, 11, 57}) {
    Doubling run;
    run.count = 100;
    run.bad_read = bad;
    const absl::Status s = run.Run(Options(3, 10));
    EXPECT_EQ(s.message(), "read");
    EXPECT_EQ(run.written.size(), static_cast<size_t>(bad));
    ExpectPrefix(run.written);
  }
}

TEST(OrderedBatches, AFailingBatchEndsTheRunAfterTheWindowsBefore) {
  for (const int bad : {0, 25, 99}) {
    Doubling run;
    run.count = 100;
    run.bad_work = bad;
    EXPECT_EQ(run.Run(Options(3, 10)).message(), "work");
    EXPECT_EQ(run.written.size(), static_cast<size_t>(bad / 10 * 10));
    ExpectPrefix(run.written);
  }
}

TEST(OrderedBatches, AnErrorOfTheWriterEndsTheRun) {
  Doubling run;
  run.count = 100;
  run.bad_write = 42;
  EXPECT_EQ(run.Run(Options(2, 8)).message(), "write");
  EXPECT_EQ(run.written.size(), 42u);
}

TEST(OrderedBatches, CancellingStopsReadingAndWriting) {
  std::atomic<bool> cancel{false};
  Doubling run;
  run.count = 1'000'000;
  run.cancel = &cancel;
  run.cancel_at = 1000;
  EXPECT_TRUE(absl::IsCancelled(run.Run(Options(2, 16))));
  EXPECT_LE(run.written.size(), 1000u);
  ExpectPrefix(run.written);
}

TEST(OrderedBatches, ASmallInputIsSharedBetweenTheThreads) {
  Doubling run;
  run.count = 8;
  ASSERT_TRUE(run.Run(Options(4, 100)).ok());
  EXPECT_EQ(run.calls, 4);
}

}  // namespace
}  // namespace cairn::engine
