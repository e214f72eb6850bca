#include "services/server/rate_limiter.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/services/server/fake_clock.h"

namespace cairn::services {
namespace {

RateLimiter::Limits Requests(double per_second, double burst_seconds = 1) {
  RateLimiter::Limits limits;
  limits.requests_per_second = per_second;
  limits.burst_seconds = burst_seconds;
  return limits;
}

TEST(RateLimiter, AdmitsABurstAndThenAtTheRate) {
  FakeClock clock;
  RateLimiter limiter(Requests(10, 0.3), clock.function());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Admit("a").status.ok()) << i;
  const RateLimiter::Admission refused = limiter.Admit("a");
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.retry_after, absl::Milliseconds(100));
  // A refusal costs nothing.
  for (int i = 0; i < 50; ++i) {
    clock.Advance(absl::Milliseconds(100));
    EXPECT_TRUE(limiter.Admit("a").status.ok()) << i;
    EXPECT_FALSE(limiter.Admit("a").status.ok()) << i;
  }
}

TEST(RateLimiter, WhoWaitsAsLongAsToldIsAdmitted) {
  FakeClock clock;
  for (const double rate : {0.001, 0.3, 1.0, 7.0, 333.0, 12345.6}) {
    RateLimiter limiter(Requests(rate), clock.function());
    for (int i = 0; i < 1000; ++i) {
      const RateLimiter::Admission admission = limiter.Admit("a");
      if (admission.status.ok()) continue;
      ASSERT_GT(admission.retry_after, absl::ZeroDuration());
      clock.Advance(admission.retry_after);
      ASSERT_TRUE(limiter.Admit("a").status.ok()) << rate << " " << i;
    }
  }
}

TEST(RateLimiter, OneRequestIsAlwaysPossible) {
  FakeClock clock;
  RateLimiter limiter(Requests(0.01, 1), clock.function());
  EXPECT_TRUE(limiter.Admit("a").status.ok());
  EXPECT_EQ(limiter.Admit("a").retry_after, absl::Seconds(100));
}

TEST(RateLimiter, TenantsDoNotShareAnAllowance) {
  FakeClock clock;
  RateLimiter limiter(Requests(1), clock.function());
  EXPECT_TRUE(limiter.Admit("a").status.ok());
  EXPECT_FALSE(limiter.Admit("a").status.ok());
  EXPECT_TRUE(limiter.Admit("b").status.ok());
}

TEST(RateLimiter, ADebtOfBytesIsPaidBeforeTheNextRequest) {
  FakeClock clock;
  RateLimiter::Limits limits;
  limits.bytes_per_second = 1000;
  RateLimiter limiter(limits, clock.function());
  EXPECT_TRUE(limiter.Admit("a").status.ok());
  limiter.ChargeBytes("a", 1000);
  EXPECT_TRUE(limiter.Admit("a").status.ok());  // Nothing is owed.
  limiter.ChargeBytes("a", 5000);
  EXPECT_EQ(limiter.Admit("a").retry_after, absl::Seconds(5));
  clock.Advance(absl::Seconds(4));
  EXPECT_EQ(limiter.Admit("a").retry_after, absl::Seconds(1));
  EXPECT_TRUE(limiter.Admit("b").status.ok());
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(limiter.Admit("a").status.ok());
}

TEST(RateLimiter, NoChargeIsTooBigToBeReckonedWith) {
  FakeClock clock;
  RateLimiter::Limits limits;
  limits.bytes_per_second = 1e-300;
  RateLimiter limiter(limits, clock.function());
  limiter.ChargeBytes("a", std::numeric_limits<uint64_t>::max());
  const RateLimiter::Admission refused = limiter.Admit("a");
  EXPECT_FALSE(refused.status.ok());
  EXPECT_LT(refused.retry_after, absl::InfiniteDuration());
  EXPECT_GT(refused.retry_after, absl::Hours(24));
}

TEST(RateLimiter, ASlotIsTakenUntilItIsDestroyed) {
  FakeClock clock;
  RateLimiter::Limits limits;
  limits.concurrent = 2;
  auto limiter = std::make_unique<RateLimiter>(limits, clock.function());
  RateLimiter::Admission first = limiter->Admit("a");
  RateLimiter::Slot moved;
  {
    RateLimiter::Admission second = limiter->Admit("a");
    EXPECT_TRUE(second.status.ok());
    const RateLimiter::Admission third = limiter->Admit("a");
    EXPECT_EQ(third.status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_GT(third.retry_after, absl::ZeroDuration());
    EXPECT_TRUE(limiter->Admit("b").status.ok());
    moved = std::move(second.slot);
  }
  EXPECT_FALSE(limiter->Admit("a").status.ok());
  moved = RateLimiter::Slot();
  moved.Release();  // Twice is once.
  EXPECT_TRUE(limiter->Admit("a").status.ok());
  EXPECT_EQ(limiter->tenants(), 1U);
  limiter.reset();
  first.slot.Release();  // It may outlive the limiter.
}

TEST(RateLimiter, ARefusalForConcurrencyTakesNoRequest) {
  FakeClock clock;
  RateLimiter::Limits limits = Requests(2);
  limits.concurrent = 1;
  RateLimiter limiter(limits, clock.function());
  {
    const RateLimiter::Admission first = limiter.Admit("a");
    ASSERT_TRUE(first.status.ok());
    EXPECT_FALSE(limiter.Admit("a").status.ok());
  }
  EXPECT_TRUE(limiter.Admit("a").status.ok());
  EXPECT_FALSE(limiter.Admit("a").status.ok());
}

TEST(RateLimiter, ForgetsTenantsThatHaveTheirAllowanceBack) {
  FakeClock clock;
  RateLimiter::Limits limits = Requests(10);
  limits.bytes_per_second = 10;
  RateLimiter limiter(limits, clock.function());
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limiter.Admit(std::to_string(i)).status.ok());
  EXPECT_EQ(limiter.tenants(), 1000U);
  limiter.ChargeBytes("7", 1000);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(limiter.tenants(), 1U);
  EXPECT_FALSE(limiter.Admit("7").status.ok());
}

TEST(RateLimiter, WithoutLimitsAdmitsAllAndKeepsNothing) {
  FakeClock clock;
  RateLimiter limiter(RateLimiter::Limits(), clock.function());
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(limiter.Admit("a").status.ok());
    limiter.ChargeBytes("a", 1 << 30);
  }
  EXPECT_EQ(limiter.tenants(), 0U);
}

TEST(RateLimiter, AClockThatIsSetBackOnlyDelays) {
  FakeClock clock;
  RateLimiter limiter(Requests(1), clock.function());
  EXPECT_TRUE(limiter.Admit("a").status.ok());
  clock.Advance(-absl::Hours(1));
  EXPECT_EQ(limiter.Admit("a").retry_after, absl::Seconds(1));
  clock.Advance(absl::Hours(1) + absl::Seconds(1));
  EXPECT_TRUE(limiter.Admit("a").status.ok());
  EXPECT_FALSE(limiter.Admit("a").status.ok());
}

TEST(RateLimiter, LimitsThatAreNoNumbersAreErrors) {
  EXPECT_TRUE(RateLimiter::Check(RateLimiter::Limits()).ok());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {-1.0, nan, infinite}) {
    RateLimiter::Limits limits;
    limits.requests_per_second = bad;
    EXPECT_EQ(RateLimiter::Check(limits).code(), absl::StatusCode::kInvalidArgument) << bad;
    limits = {};
    limits.bytes_per_second = bad;
    EXPECT_EQ(RateLimiter::Check(limits).code(), absl::StatusCode::kInvalidArgument) << bad;
    limits = {};
    limits.burst_seconds = bad;
    EXPECT_EQ(RateLimiter::Check(limits).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(RateLimiter::Check(Requests(1, 0)).ok());
}

}  // namespace
}  // namespace cairn::services
