#include "services/server/token_store.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/server/token_secret.h"

namespace cairn::services {
namespace {

// Hashed in place of what is no secret by its form.
constexpr std::string_view kNoSecret = "cairn_0000000000000000000000000000000000000000000";

// A file may change twice within one tick of the file system's clock, and both versions look the
// same. So one that is younger than this is read again.
constexpr absl::Duration kSettled = absl::Seconds(2);

bool IsSettled(const TokenFileVersion& version) {
  return absl::Now() - absl::FromUnixNanos(version.changed_ns) > kSettled;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenStore>> TokenStore::Open(std::string path,
                                                             TokenStoreOptions options) {
  std::unique_ptr<TokenStore> store(new TokenStore(std::move(path), std::move(options)));
  absl::MutexLock loading(&store->load_mutex_);
  if (absl::Status s = store->Load(); !s.ok()) return s;
  absl::MutexLock lock(&store->mutex_);
  store->looked_ = store->options_.now();
  return store;
}

absl::StatusOr<Identity> TokenStore::Authenticate(std::string_view secret) const {
  const absl::Time now = options_.now();
  LookIfDue(now);
  const std::shared_ptr<const Tokens> tokens = Current();
  const bool well_formed = IsTokenSecret(secret);
  const absl::StatusOr<TokenDigest> digest = DigestOf(well_formed ? secret : kNoSecret);
  if (!digest.ok()) return digest.status();
  // Every token is compared, with no branch on the outcome: how long it takes does not tell how
  // far a guess came. 0 is none.
  size_t found = 0;
  for (size_t i = 0; i < tokens->size(); ++i) {
    found |= (size_t{0} - size_t{SameDigest(*digest, (*tokens)[i].digest)}) & (i + 1);
  }
  if (!well_formed || found == 0 || (*tokens)[found - 1].ExpiredAt(now)) {
    return absl::UnauthenticatedError("no valid token");
  }
  return (*tokens)[found - 1].identity;
}

absl::Status TokenStore::Reload() {
  absl::MutexLock loading(&load_mutex_);
  absl::Status s = Load();
  if (!s.ok()) Report(s);
  return s;
}

size_t TokenStore::size() const { return Current()->size(); }

std::shared_ptr<const TokenStore::Tokens> TokenStore::Current() const {
  absl::MutexLock lock(&mutex_);
  return tokens_;
}

void TokenStore::LookIfDue(absl::Time now) const {
  {
    absl::MutexLock lock(&mutex_);
    // A clock that was set back counts as time that has passed.
    if (now >= looked_ && now - looked_ < options_.look_every) return;
    looked_ = now;
  }
  // Where another thread reads it already, its tokens are the newest soon enough.
  if (!load_mutex_.TryLock()) return;
  const absl::StatusOr<TokenFileVersion> version = VersionOfTokenFile(path_);
  if (!version.ok() || seen_ != *version) {
    const absl::Status fault = Load();
    if (!fault.ok() && fault != reported_) Report(fault);
  }
  load_mutex_.Unlock();
}

absl::Status TokenStore::Load() const {
  seen_.reset();
  // Of the version before it is read: what is written meanwhile makes another one.
  const absl::StatusOr<TokenFileVersion> version = VersionOfTokenFile(path_);
  if (version.ok() && IsSettled(*version)) seen_ = *version;
  absl::StatusOr<TokenFileContents> contents = ReadTokenFile(path_);
  if (!contents.ok()) return contents.status();
  absl::StatusOr<Tokens> tokens = ParseTokenFile(contents->text);
  if (!tokens.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": ", tokens.status().message()));
  }
  reported_ = absl::OkStatus();
  auto loaded = std::make_shared<const Tokens>(*std::move(tokens));
  absl::MutexLock lock(&mutex_);
  tokens_ = std::move(loaded);
  return absl::OkStatus();
}

void TokenStore::Report(const absl::Status& fault) const {
  reported_ = fault;
  options_.on_problem(fault);
}

}  // namespace cairn::services
