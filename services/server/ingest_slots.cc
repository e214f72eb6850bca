#include "services/server/ingest_slots.h"

#include "absl/strings/str_cat.h"

namespace cairn::services {

absl::Status IngestSlots::Take(std::string_view tenant) {
  absl::MutexLock lock(&mutex_);
  if (taken_ >= most_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the server has ", taken_, " ingestions at work, and takes no more"));
  }
  size_t& own = by_tenant_[std::string(tenant)];
  if (own >= most_per_tenant_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("you have ", own, " ingestions at work, and may have no more"));
  }
  ++own;
  ++taken_;
  return absl::OkStatus();
}

void IngestSlots::GiveBack(std::string_view tenant) {
  absl::MutexLock lock(&mutex_);
  const auto it = by_tenant_.find(std::string(tenant));
  if (--it->second == 0) by_tenant_.erase(it);
  --taken_;
}

size_t IngestSlots::taken() const {
  absl::MutexLock lock(&mutex_);
  return taken_;
}

void IngestSlots::AwaitNone() const {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &IngestSlots::None));
}

}  // namespace cairn::services
