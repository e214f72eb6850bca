#include "services/server/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace cairn::services {
namespace {

// Nobody knows when one of a tenant's requests will end.
constexpr absl::Duration kRetryForSlot = absl::Seconds(1);
// Seconds of a wait are cut here, so that they are a duration.
constexpr double kLongestWait = 1e9;
// Fewer tenants than this are not looked through.
constexpr size_t kFewTenants = 64;

struct Bucket {
  double rate = 0;  // 0: no limit.
  double capacity = 0;
  // What counts as a full unit, for the sums are not exact.
  double slack = 0;
};

struct Tenant {
  double requests = 0;
  double bytes = 0;  // Negative: owed.
  absl::Time counted;
  size_t running = 0;
};

absl::Duration TimeFor(double missing, double rate) {
  const double seconds = std::clamp(missing / rate, 0.0, kLongestWait);
  return std::max(absl::Ceil(absl::Seconds(seconds), absl::Milliseconds(1)), absl::Milliseconds(1));
}

}  // namespace

class TenantBuckets {
 public:
  TenantBuckets(const RateLimiter::Limits& limits, std::function<absl::Time()> now)
      : requests_{limits.requests_per_second,
                  std::max(limits.requests_per_second * limits.burst_seconds, 1.0), 1e-6},
        bytes_{limits.bytes_per_second, limits.bytes_per_second * limits.burst_seconds, 1},
        concurrent_(limits.concurrent),
        now_(std::move(now)) {}

  bool counts_running() const { return concurrent_ > 0; }

  // How long to wait, and why; nothing where admitted.
  std::optional<std::pair<absl::Duration, const char*>> Admit(std::string_view name,
                                                              bool with_slot) {
    if (requests_.rate == 0 && bytes_.rate == 0 && concurrent_ == 0) return std::nullopt;
    absl::MutexLock lock(&mutex_);
    const absl::Time now = now_();
    Tenant& tenant = Find(name, now);
    if (with_slot && concurrent_ > 0 && tenant.running >= concurrent_) {
      return std::pair(kRetryForSlot, "too many requests of this tenant at the same time");
    }
    if (bytes_.rate > 0 && tenant.bytes <= -bytes_.slack) {
      return std::pair(TimeFor(-tenant.bytes, bytes_.rate),
                       "the tenant has sent more bytes than it may");
    }
    if (requests_.rate > 0) {
      if (tenant.requests < 1 - requests_.slack) {
        return std::pair(TimeFor(1 - tenant.requests, requests_.rate),
                         "the tenant has sent more requests than it may");
      }
      tenant.requests = std::max(tenant.requests - 1, 0.0);
    }
    if (with_slot && concurrent_ > 0) ++tenant.running;
    return std::nullopt;
  }

  absl::Duration Owed(std::string_view name) {
    if (bytes_.rate == 0) return absl::ZeroDuration();
    absl::MutexLock lock(&mutex_);
    const absl::Time now = now_();
    const double bytes = Find(name, now).bytes;
    return bytes <= -bytes_.slack ? TimeFor(-bytes, bytes_.rate) : absl::ZeroDuration();
  }

  void Charge(std::string_view name, uint64_t bytes) {
    if (bytes_.rate == 0) return;
    absl::MutexLock lock(&mutex_);
    const absl::Time now = now_();
    Find(name, now).bytes -= static_cast<double>(bytes);
  }

  void Release(std::string_view name) {
    absl::MutexLock lock(&mutex_);
    const auto found = tenants_.find(name);
    if (found != tenants_.end() && found->second.running > 0) --found->second.running;
  }

  size_t tenants() {
    absl::MutexLock lock(&mutex_);
    Sweep(now_());
    return tenants_.size();
  }

 private:
  static double Refilled(const Bucket& bucket, double before, double seconds) {
    return std::min(bucket.capacity, before + seconds * bucket.rate);
  }

  void Refill(Tenant& tenant, absl::Time now) const {
    if (now <= tenant.counted) return;  // Also where the clock was set back.
    const double seconds = absl::ToDoubleSeconds(now - tenant.counted);
    tenant.requests = Refilled(requests_, tenant.requests, seconds);
    tenant.bytes = Refilled(bytes_, tenant.bytes, seconds);
    tenant.counted = now;
  }

  Tenant& Find(std::string_view name, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto found = tenants_.find(name);
    if (found == tenants_.end()) {
      if (tenants_.size() >= sweep_at_) {
        Sweep(now);
        // So many more must come before the next look: the looks cost each of them little.
        sweep_at_ = std::max(kFewTenants, 2 * tenants_.size());
      }
      found = tenants_.emplace(name, Tenant{requests_.capacity, bytes_.capacity, now, 0}).first;
    }
    Refill(found->second, now);
    return found->second;
  }

  void Sweep(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto it = tenants_.begin(); it != tenants_.end();) {
      Tenant& tenant = it->second;
      Refill(tenant, now);
      const bool idle = tenant.running == 0 && tenant.requests >= requests_.capacity &&
                        tenant.bytes >= bytes_.capacity;
      it = idle ? tenants_.erase(it) : std::next(it);
    }
  }

  const Bucket requests_;
  const Bucket bytes_;
  const size_t concurrent_;
  const std::function<absl::Time()> now_;
  absl::Mutex mutex_;
  std::map<std::string, Tenant, std::less<>> tenants_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = kFewTenants;
};

RateLimiter::Slot::Slot(std::shared_ptr<TenantBuckets> buckets, std::string_view tenant)
    : buckets_(std::move(buckets)), tenant_(tenant) {}

RateLimiter::Slot::Slot(Slot&& other) noexcept
    : buckets_(std::exchange(other.buckets_, nullptr)), tenant_(std::move(other.tenant_)) {}

RateLimiter::Slot& RateLimiter::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  Release();
  buckets_ = std::exchange(other.buckets_, nullptr);
  tenant_ = std::move(other.tenant_);
  return *this;
}

void RateLimiter::Slot::Release() {
  if (buckets_ == nullptr) return;
  buckets_->Release(tenant_);
  buckets_ = nullptr;
}

absl::Status RateLimiter::Check(const Limits& limits) {
  const auto is_rate = [](double value) { return std::isfinite(value) && value >= 0; };
  if (!is_rate(limits.requests_per_second)) {
    return absl::InvalidArgumentError("requests per second must be a number from 0 on");
  }
  if (!is_rate(limits.bytes_per_second)) {
    return absl::InvalidArgumentError("bytes per second must be a number from 0 on");
  }
  if (!is_rate(limits.burst_seconds) || limits.burst_seconds == 0) {
    return absl::InvalidArgumentError("seconds of a burst must be a number above 0");
  }
  return absl::OkStatus();
}

RateLimiter::RateLimiter(const Limits& limits, std::function<absl::Time()> now)
    : buckets_(std::make_shared<TenantBuckets>(limits, std::move(now))) {}

RateLimiter::Admission RateLimiter::AdmitOne(std::string_view tenant, bool with_slot) {
  Admission admission;
  if (const auto refused = buckets_->Admit(tenant, with_slot)) {
    admission.retry_after = refused->first;
    admission.status = absl::ResourceExhaustedError(
        absl::StrCat(refused->second, "; try again in ", absl::FormatDuration(refused->first)));
  } else if (with_slot && buckets_->counts_running()) {
    admission.slot = Slot(buckets_, tenant);
  }
  return admission;
}

RateLimiter::Admission RateLimiter::Admit(std::string_view tenant) {
  return AdmitOne(tenant, true);
}

RateLimiter::Admission RateLimiter::AdmitPart(std::string_view tenant) {
  return AdmitOne(tenant, false);
}

absl::Duration RateLimiter::Owed(std::string_view tenant) { return buckets_->Owed(tenant); }

void RateLimiter::ChargeBytes(std::string_view tenant, uint64_t bytes) {
  buckets_->Charge(tenant, bytes);
}

size_t RateLimiter::tenants() const { return buckets_->tenants(); }

}  // namespace cairn::services
