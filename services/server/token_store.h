// The tokens that the server takes, as they stand in their file now.
#ifndef CAIRN_SERVICES_SERVER_TOKEN_STORE_H_
#define CAIRN_SERVICES_SERVER_TOKEN_STORE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/server/access.h"
#include "services/server/token_file.h"
#include "services/server/token_file_reader.h"

namespace cairn::services {

struct TokenStoreOptions {
  // How often Authenticate looks, at most, whether the file is another.
  absl::Duration look_every = absl::Seconds(1);
  // For expiry and for the above. Called from any thread.
  std::function<absl::Time()> now = absl::Now;
  // Told when the file has become one that cannot be used, once for each fault, and the tokens stay
  // those from before. Called from any thread, not twice at once; must not call the store.
  std::function<void(const absl::Status&)> on_problem = [](const absl::Status&) {};
};

// Thread-safe. Keeps no secrets, and puts none into errors.
class TokenStore {
 public:
  // The errors of ReadTokenFile; for a file that does not parse FailedPrecondition that begins with
  // the path, line and column.
  static absl::StatusOr<std::unique_ptr<TokenStore>> Open(std::string path,
                                                          TokenStoreOptions options);

  // Whose secret it is. Unauthenticated with the same message for a secret that is malformed,
  // unknown or expired, after the same work: the presented digest is compared with all tokens'.
  absl::StatusOr<Identity> Authenticate(std::string_view secret) const;

  // Reads the file now. An error, which on_problem is told too, leaves the tokens as they were.
  absl::Status Reload();

  // Tokens in the file, expired ones too.
  size_t size() const;

 private:
  using Tokens = std::vector<TokenEntry>;

  TokenStore(std::string path, TokenStoreOptions options)
      : path_(std::move(path)), options_(std::move(options)) {}

  std::shared_ptr<const Tokens> Current() const;
  void LookIfDue(absl::Time now) const;
  absl::Status Load() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(load_mutex_);
  // Tells of a fault, and remembers it.
  void Report(const absl::Status& fault) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(load_mutex_);

  const std::string path_;
  const TokenStoreOptions options_;

  // Held while the file is read. What callers see does not wait for it.
  mutable absl::Mutex load_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  // The version last read, good or bad. None: to be read again, whatever it is.
  mutable std::optional<TokenFileVersion> seen_ ABSL_GUARDED_BY(load_mutex_);
  mutable absl::Status reported_ ABSL_GUARDED_BY(load_mutex_);  // OK: the file is good.

  mutable absl::Mutex mutex_;
  mutable std::shared_ptr<const Tokens> tokens_ ABSL_GUARDED_BY(mutex_);
  mutable absl::Time looked_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_TOKEN_STORE_H_
