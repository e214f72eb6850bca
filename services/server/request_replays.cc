#include "services/server/request_replays.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"

namespace cairn::services {
namespace {

// What the maps take for an entry, about.
constexpr size_t kEntryBytes = 256;

}  // namespace

RequestReplays::RequestReplays(Options options)
    : options_([&] {
        if (!options.now) options.now = [] { return absl::Now(); };
        return std::move(options);
      }()) {}

absl::Status RequestReplays::CheckRequestId(std::string_view request_id) {
  bool valid = request_id.size() == 36;
  bool nil = true;
  for (size_t i = 0; valid && i < request_id.size(); ++i) {
    const char c = request_id[i];
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    valid = dash ? c == '-' : absl::ascii_isxdigit(static_cast<unsigned char>(c)) != 0;
    nil = nil && (dash || c == '0');
  }
  if (!valid) {
    return absl::InvalidArgumentError(
        "request_id must be a UUID, such as 123e4567-e89b-42d3-a456-426614174000");
  }
  if (nil) return absl::InvalidArgumentError("request_id must not be the nil UUID");
  return absl::OkStatus();
}

RequestReplays::Begun RequestReplays::Begin(const Key& key, uint64_t request_hash) {
  Begun begun;
  begun.status = CheckRequestId(key.request_id);
  if (!begun.status.ok()) {
    begun.outcome = Outcome::kConflict;
    return begun;
  }
  absl::MutexLock lock(&mutex_);
  DropOld();
  const auto [entry, added] = entries_.try_emplace(Normalized(key));
  if (added) {
    entry->second.request_hash = request_hash;
    bytes_ += Bytes(*entry);
    DropOld();
  } else if (entry->second.request_hash != request_hash) {
    begun.outcome = Outcome::kConflict;
    begun.status = absl::InvalidArgumentError("another request has had this request_id");
  } else if (entry->second.finished) {
    begun.outcome = Outcome::kReplay;
    begun.response = entry->second.response;
  } else {
    begun.outcome = Outcome::kInProgress;
    begun.status = absl::AbortedError("the request with this request_id is under way");
  }
  return begun;
}

void RequestReplays::Finish(const Key& key, std::string response) {
  absl::MutexLock lock(&mutex_);
  const auto entry = entries_.find(Normalized(key));
  if (entry == entries_.end() || entry->second.finished) return;
  bytes_ -= Bytes(*entry);
  entry->second.response = std::move(response);
  bytes_ += Bytes(*entry);
  if (Bytes(*entry) > options_.max_bytes) {  // All others would have to go for it.
    Drop(entry);
    return;
  }
  entry->second.finished = true;
  entry->second.finish_time = options_.now();
  entry->second.order = finished_.insert(finished_.end(), entry->first);
  DropOld();
}

void RequestReplays::Abandon(const Key& key) {
  absl::MutexLock lock(&mutex_);
  const auto entry = entries_.find(Normalized(key));
  if (entry != entries_.end() && !entry->second.finished) Drop(entry);
}

size_t RequestReplays::entries() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

size_t RequestReplays::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

RequestReplays::Key RequestReplays::Normalized(const Key& key) {
  return {key.tenant, key.method, absl::AsciiStrToLower(key.request_id)};
}

size_t RequestReplays::Bytes(const Entries::value_type& entry) {
  const Key& key = entry.first;
  // The key is in the order of the finished too.
  return kEntryBytes + 2 * (key.tenant.size() + key.method.size() + key.request_id.size()) +
         entry.second.response.size();
}

void RequestReplays::DropOld() {
  const absl::Time now = options_.now();
  while (!finished_.empty()) {
    const auto oldest = entries_.find(finished_.front());
    if (entries_.size() <= options_.max_entries && bytes_ <= options_.max_bytes &&
        oldest->second.finish_time + options_.keep > now) {
      return;
    }
    Drop(oldest);
  }
}

void RequestReplays::Drop(Entries::iterator entry) {
  bytes_ -= Bytes(*entry);
  if (entry->second.finished) finished_.erase(entry->second.order);
  entries_.erase(entry);
}

}  // namespace cairn::services
