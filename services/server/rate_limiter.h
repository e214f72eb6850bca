// How much each tenant may ask for.
#ifndef CAIRN_SERVICES_SERVER_RATE_LIMITER_H_
#define CAIRN_SERVICES_SERVER_RATE_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace cairn::services {

class TenantBuckets;

// Token buckets for requests and bytes, and a bound on requests at the same time, for each tenant
// alike. Forgets, in time, tenants that are idle and have their full allowance. Thread-safe.
class RateLimiter {
 public:
  // A rate or bound of 0 is no limit.
  struct Limits {
    double requests_per_second = 0;
    double bytes_per_second = 0;
    // An idle tenant saves up this much of its rates, and at least one request.
    double burst_seconds = 1;
    size_t concurrent = 0;
  };

  // One of a tenant's requests at the same time; over when destroyed. May outlive the limiter.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept;
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { Release(); }
    void Release();

   private:
    friend class RateLimiter;
    Slot(std::shared_ptr<TenantBuckets> buckets, std::string_view tenant);
    std::shared_ptr<TenantBuckets> buckets_;
    std::string tenant_;
  };

  struct Admission {
    absl::Status status;         // ResourceExhausted where refused.
    absl::Duration retry_after;  // Where refused: not worth asking again before. Whole ms.
    Slot slot;                   // Where admitted: to be kept while the request runs.
  };

  // InvalidArgument where a limit is negative, no number or not finite, or burst_seconds is 0.
  static absl::Status Check(const Limits& limits);

  // `limits` must pass Check. `now` is called under a lock and must be thread-safe; a clock that is
  // set back only delays.
  RateLimiter(const Limits& limits, std::function<absl::Time()> now);

  // Takes one request from the tenant's allowance. Refused while none is left, while bytes charged
  // beyond the allowance are not paid for, and while too many of its requests run.
  Admission Admit(std::string_view tenant);

  // The same for a request that is part of one that has its slot: a topic of a stream.
  Admission AdmitPart(std::string_view tenant);
  // How long the tenant has to wait until it has paid for its bytes; 0: it has.
  absl::Duration Owed(std::string_view tenant);
  // Takes bytes of a request that was admitted, also more than are there: the tenant is then in
  // debt, and admitted again when it is paid.
  void ChargeBytes(std::string_view tenant, uint64_t bytes);

  // Tenants that are not idle with their full allowance.
  size_t tenants() const;

 private:
  Admission AdmitOne(std::string_view tenant, bool with_slot);

  std::shared_ptr<TenantBuckets> buckets_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_RATE_LIMITER_H_
