#include "services/server/call.h"

#include <grpcpp/server_context.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/server/request_id.h"
#include "services/server/server_state.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(20);
// For a client to take what is being written to it, when its call is stopped.
constexpr absl::Duration kLastWrite = absl::Seconds(1);
constexpr absl::Duration kBusyRetry = absl::Seconds(1);
constexpr absl::Duration kOpeningRetry = absl::Seconds(2);

// The only value of a header; nullopt where there is none, or several.
std::optional<std::string> Header(const grpc::CallbackServerContext& context,
                                  const std::string& name) {
  const auto [begin, end] = context.client_metadata().equal_range(name);
  if (begin == end || std::next(begin) != end) return std::nullopt;
  return std::string(begin->second.data(), begin->second.size());
}

absl::Status TimeIsUp() { return absl::DeadlineExceededError("the call took too long"); }

const char* PermissionName(Permission permission) {
  switch (permission) {
    case Permission::kRead:
      return "read";
    case Permission::kWrite:
      return "write";
    case Permission::kAdmin:
      return "admin";
  }
  return "";
}

// Replaces a path where it stands as such: a short one may also be a part of any word.
void ReplacePath(const std::string& path, absl::string_view with, std::string* text) {
  const auto in_name = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  };
  size_t at = 0;
  while (!path.empty() && (at = text->find(path, at)) != std::string::npos) {
    const size_t end = at + path.size();
    if ((at > 0 && in_name((*text)[at - 1])) || (end < text->size() && in_name((*text)[end]))) {
      ++at;
      continue;
    }
    text->replace(at, path.size(), with.data(), with.size());
    at += with.size();
  }
}

Identity Operator() {
  Identity identity;
  identity.grants.push_back({.collections = "*", .read = true, .write = true, .admin = true});
  return identity;
}

}  // namespace

bool IsNoCollection(const absl::Status& status) {
  return absl::IsNotFound(status) && absl::StartsWith(status.message(), "no collection ");
}

Call::Call(ServerState* state, const Method& method, grpc::CallbackServerContext* context)
    : state_(state), method_(method), context_(context), start_(absl::Now()) {
  const absl::Time client_deadline = absl::FromChrono(context->deadline());
  absl::Time deadline = client_deadline;
  if (method.bounded) deadline = std::min(deadline, start_ + state->options.limits.longest_call);
  SetDeadline(deadline);
  record_.request_id = RequestId(Header(*context, "x-request-id").value_or(""));
  record_.method = method.name;
  record_.time = start_;
  record_.peer = context->peer();
  context->AddInitialMetadata("x-request-id", record_.request_id);
}

Call::~Call() = default;

std::shared_ptr<Call> Call::Create(ServerState* state, const Method& method,
                                   grpc::CallbackServerContext* context) {
  return std::shared_ptr<Call>(new Call(state, method, context));
}

absl::Status Call::Authenticate() {
  if (state_->tokens == nullptr) {
    identity_ = Operator();
    return absl::OkStatus();
  }
  const std::optional<std::string> header = Header(*context_, "authorization");
  constexpr absl::string_view kScheme = "bearer ";
  if (!header.has_value() || !absl::StartsWithIgnoreCase(*header, kScheme)) {
    return absl::UnauthenticatedError(
        "a token is required: send it as metadata, \"authorization: Bearer TOKEN\"");
  }
  absl::StatusOr<Identity> identity =
      state_->tokens->Authenticate(std::string_view(*header).substr(kScheme.size()));
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  record_.tenant = identity_.tenant;
  record_.token = identity_.token;
  return absl::OkStatus();
}

absl::Status Call::Begin(size_t request_bytes) {
  record_.bytes_in = request_bytes;
  if (absl::Status s = state_->calls->Add(shared_from_this()); !s.ok()) {
    return WithRetryAfter(s, kBusyRetry);
  }
  active_ = true;
  if (absl::Status s = Authenticate(); !s.ok()) return s;
  RateLimiter::Admission admission = state_->rates->Admit(identity_.tenant);
  if (!admission.status.ok()) return WithRetryAfter(admission.status, admission.retry_after);
  slot_ = std::move(admission.slot);
  state_->rates->ChargeBytes(identity_.tenant, request_bytes);
  return method_.without_store ? absl::OkStatus() : engine().status();
}

void Call::Charge(size_t request_bytes) {
  record_.bytes_in += request_bytes;
  state_->rates->ChargeBytes(identity_.tenant, request_bytes);
}

void Call::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  const absl::Duration took = absl::Now() - start_;
  record_.collection = scope_.collection;
  record_.code = absl::StatusCodeToString(status.code());
  if (!status.ok()) record_.message = std::string(status.message());
  record_.total_ms = absl::ToDoubleMilliseconds(took);
  state_->metrics->RecordRequest(method_.name, record_.code, absl::ToDoubleSeconds(took),
                                 record_.bytes_in, record_.bytes_out);
  state_->log->Request(record_);
  slot_.Release();
  if (active_) state_->calls->Remove(shared_from_this());
  active_ = false;
}

void Call::OnStop(std::function<void()> stopped) {
  {
    absl::MutexLock lock(&mutex_);
    if (why_.ok()) {
      on_stop_ = std::move(stopped);
      return;
    }
  }
  if (stopped) stopped();
}

void Call::Stop(absl::Status why) {
  std::function<void()> stopped;
  {
    absl::MutexLock lock(&mutex_);
    if (!why_.ok()) return;
    // A client's own deadline reaches us as a cancellation.
    why_ = absl::Now() >= deadline() ? TimeIsUp() : std::move(why);
    stopped = std::move(on_stop_);
    on_stop_ = nullptr;
  }
  stopped_.store(true, std::memory_order_release);
  if (stopped) stopped();
}

void Call::CancelTransportSoon() { cancel_at_ = absl::ToUnixNanos(absl::Now() + kLastWrite); }

void Call::CancelTransportIfDue(absl::Time now) {
  if (cancel_at_ > absl::ToUnixNanos(now)) return;
  cancel_at_ = std::numeric_limits<int64_t>::max();
  absl::MutexLock lock(&mutex_);
  if (!ended_) context_->TryCancel();
}

absl::Status Call::StopReason() const {
  absl::MutexLock lock(&mutex_);
  return why_;
}

absl::StatusOr<Engine*> Call::engine() const {
  Engine* const engine = state_->engine.load(std::memory_order_acquire);
  if (engine == nullptr) {
    return WithRetryAfter(
        WithReason(absl::UnavailableError("the store is being opened"), "STORE_OPENING"),
        kOpeningRetry);
  }
  return engine;
}

absl::StatusOr<Call::Scope> Call::AuthorizeScope(Permission permission,
                                                 std::string_view collection) const {
  absl::StatusOr<std::string> stored = StoredCollectionName(identity_.tenant, collection);
  if (!stored.ok()) return stored.status();
  if (!identity_.Allows(permission, collection)) {
    return WithReason(absl::PermissionDeniedError(absl::StrCat(
                          "the token does not have the permission \"", PermissionName(permission),
                          "\" on collections/", std::string(collection))),
                      "PERMISSION_MISSING");
  }
  return Scope{std::string(collection), *std::move(stored)};
}

absl::StatusOr<std::string> Call::Authorize(Permission permission, std::string_view collection) {
  absl::StatusOr<Scope> scope = AuthorizeScope(permission, collection);
  if (!scope.ok()) return scope.status();
  scope_ = *std::move(scope);
  return scope_.stored;
}

absl::Status Call::AuthorizeStore(Permission permission) const {
  if (identity_.tenant.empty() && identity_.Allows(permission, "*")) return absl::OkStatus();
  return WithReason(absl::PermissionDeniedError(absl::StrCat(
                        "the whole store takes a token of the default tenant with the permission "
                        "\"",
                        PermissionName(permission), "\" on all collections")),
                    "PERMISSION_MISSING");
}

std::string Call::TranslateText(absl::string_view text, const Scope& scope) const {
  std::string out(text);
  if (scope.stored != scope.collection) {
    out = absl::StrReplaceAll(out, {{scope.stored, scope.collection}});
  }
  ReplacePath(state_->options.store, "the store", &out);
  ReplacePath(state_->options.snapshot_directory, "the directory of snapshots", &out);
  return out;
}

absl::Status Call::Translate(const absl::Status& status, const Scope& scope) const {
  if (status.ok()) return status;
  if (IsNoCollection(status)) {
    return WithReason(
        absl::NotFoundError(absl::StrCat("collections/", scope.collection, " does not exist")),
        "COLLECTION_NOT_FOUND");
  }
  absl::Status out(status.code(), TranslateText(status.message(), scope));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

void Call::AddStage(const char* name, double microseconds) {
  if (microseconds <= 0) return;
  record_.stages_ms.emplace_back(name, microseconds / 1000);
  state_->metrics->RecordStage(method_.name, name, microseconds / 1e6);
}

ActiveCalls::ActiveCalls(size_t most) : most_(most), watcher_([this] { Watch(); }) {}

ActiveCalls::~ActiveCalls() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  watcher_.join();
}

absl::Status ActiveCalls::Add(std::shared_ptr<Call> call) {
  absl::MutexLock lock(&mutex_);
  if (closed_) {
    return WithReason(absl::UnavailableError("the server is shutting down"), "SHUTTING_DOWN");
  }
  if (calls_.size() >= most_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the server has ", most_, " calls at work, and takes no more"));
  }
  calls_.insert(std::move(call));
  return absl::OkStatus();
}

void ActiveCalls::Remove(const std::shared_ptr<Call>& call) {
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
}

size_t ActiveCalls::size() const {
  absl::MutexLock lock(&mutex_);
  return calls_.size();
}

void ActiveCalls::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void ActiveCalls::StopAll(const absl::Status& why) {
  std::vector<std::shared_ptr<Call>> calls;
  {
    absl::MutexLock lock(&mutex_);
    calls.assign(calls_.begin(), calls_.end());
  }
  for (const std::shared_ptr<Call>& call : calls) call->Stop(why);
}

void ActiveCalls::Watch() {
  while (true) {
    std::vector<std::shared_ptr<Call>> late;
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&ended_), kWatchInterval)) return;
      const absl::Time now = absl::Now();
      for (const std::shared_ptr<Call>& call : calls_) {
        call->CancelTransportIfDue(now);
        if (call->deadline() <= now && !call->stopped()) late.push_back(call);
      }
    }
    for (const std::shared_ptr<Call>& call : late) call->Stop(TimeIsUp());
  }
}

}  // namespace cairn::services
