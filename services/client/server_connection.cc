#include "services/client/server_connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/client/client_token.h"
#include "services/wire/status.h"

namespace cairn::services {

absl::StatusOr<std::unique_ptr<ServerConnection>> ServerConnection::Open(
    ConnectionOptions options) {
  absl::StatusOr<ServerAddress> address = ParseServerAddress(options.address);
  if (!address.ok()) return address.status();
  auto connection = std::unique_ptr<ServerConnection>(new ServerConnection(std::move(options)));
  const ConnectionOptions& o = connection->options_;
  if (!o.token_file.empty()) {
    if (!o.security.uses_tls() && !address->local) {
      return absl::InvalidArgumentError(
          absl::StrCat("a token is sent to ", address->shown,
                       " only over TLS (--tls, --tls-ca): anyone on the way could read it"));
    }
    absl::StatusOr<std::string> token = ReadClientToken(o.token_file);
    if (!token.ok()) return token.status();
    connection->authorization_ = absl::StrCat("Bearer ", *token);
  }
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = MakeChannel(*address, o.security);
  if (!channel.ok()) return channel.status();
  connection->address_ = *std::move(address);
  connection->channel_ = *std::move(channel);
  return connection;
}

ServerCall::ServerCall(ServerConnection* connection, Kind kind, std::function<bool()> is_cancelled)
    : connection_(connection), context_(std::make_unique<grpc::ClientContext>()) {
  const ConnectionOptions& options = connection_->options_;
  if (!connection_->authorization_.empty()) {
    context_->AddMetadata("authorization", connection_->authorization_);
  }
  if (kind == Kind::kQuery && options.timeout != absl::InfiniteDuration()) {
    context_->set_deadline(std::chrono::system_clock::now() +
                           absl::ToChronoMilliseconds(options.timeout));
  }
  if (options.is_cancelled && is_cancelled) {
    connection_->watch_.Add(context_.get(), [a = options.is_cancelled,
                                             b = std::move(is_cancelled)] { return a() || b(); });
  } else {
    connection_->watch_.Add(context_.get(), is_cancelled ? is_cancelled : options.is_cancelled);
  }
}

ServerCall::~ServerCall() { connection_->watch_.Remove(context_.get()); }

absl::Status ServerCall::Ended(const grpc::Status& status) {
  const bool cancelled = connection_->watch_.Remove(context_.get());
  if (status.ok()) return absl::OkStatus();
  if (cancelled) return absl::CancelledError("interrupted");
  const absl::Status plain = FromGrpcStatus(status);
  const std::string& server = connection_->address_.shown;
  const auto explained = [&](auto... parts) {
    return absl::Status(plain.code(), absl::StrCat(parts...));
  };
  switch (plain.code()) {
    case absl::StatusCode::kUnavailable:
      return explained("the server ", server, " is not available: ", plain.message());
    case absl::StatusCode::kDeadlineExceeded:
      return explained("the server ", server, " did not answer in time: ", plain.message());
    case absl::StatusCode::kUnauthenticated:
      return explained("the server ", server,
                       " wants to know who calls (--token-file): ", plain.message());
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kCancelled:
      return explained("the server ", server, ": ", plain.message());
    default:
      return plain;
  }
}

}  // namespace cairn::services
