// Requests that are sent again are answered again, not run again.
#ifndef CAIRN_SERVICES_SERVER_REQUEST_REPLAYS_H_
#define CAIRN_SERVICES_SERVER_REQUEST_REPLAYS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cairn::services {

// Remembers the responses of requests that carry a request id (AIP-155). Never waits for a request.
// Thread-safe.
class RequestReplays {
 public:
  struct Options {
    // Beyond either the oldest responses are forgotten, whoever's they are. Requests that run are
    // never forgotten.
    size_t max_entries = 10000;
    size_t max_bytes = 64 << 20;  // Of responses and keys.
    absl::Duration keep = absl::Minutes(10);
    std::function<absl::Time()> now;  // None: absl::Now. Called under a lock.
  };
  struct Key {
    std::string tenant;
    std::string method;
    std::string request_id;
    bool operator<(const Key& other) const {
      return std::tie(tenant, method, request_id) <
             std::tie(other.tenant, other.method, other.request_id);
    }
  };
  enum class Outcome {
    kRun,         // The first with this id: run it, then call Finish or Abandon.
    kReplay,      // It ran: answer with the response.
    kInProgress,  // It runs now: answer with the status.
    kConflict,    // The id was another request's, or is none: answer with the status.
  };
  struct Begun {
    Outcome outcome = Outcome::kRun;
    std::string response;  // kReplay
    absl::Status status;   // kInProgress: Aborted. kConflict: InvalidArgument. Else OK.
  };

  explicit RequestReplays(Options options);

  // InvalidArgument unless it is a UUID in its usual form of 36 characters, and not the nil one.
  static absl::Status CheckRequestId(std::string_view request_id);

  // `request_hash` is of the request's other fields: the same id with another is a mistake. UUIDs
  // that differ only in the case of letters are the same.
  Begun Begin(const Key& key, uint64_t request_hash);
  // The request that Begin let run has succeeded. A response that is too big is not remembered.
  void Finish(const Key& key, std::string response);
  // It has failed: it may be sent again.
  void Abandon(const Key& key);

  size_t entries() const;
  size_t bytes() const;

 private:
  struct Entry {
    uint64_t request_hash = 0;
    bool finished = false;
    absl::Time finish_time;
    std::string response;
    std::list<Key>::iterator order;  // In finished_, when finished.
  };
  using Entries = std::map<Key, Entry>;

  static Key Normalized(const Key& key);
  static size_t Bytes(const Entries::value_type& entry);
  void DropOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::list<Key> finished_ ABSL_GUARDED_BY(mutex_);  // The oldest first.
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_REQUEST_REPLAYS_H_
