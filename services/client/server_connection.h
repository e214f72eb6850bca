// A server as its client knows it, and what all calls to it have in common.
#ifndef CAIRN_SERVICES_CLIENT_SERVER_CONNECTION_H_
#define CAIRN_SERVICES_CLIENT_SERVER_CONNECTION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/client/call_watch.h"
#include "services/client/channel.h"
#include "services/client/server_address.h"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

namespace cairn::services {

struct ConnectionOptions {
  std::string address;  // As ParseServerAddress has it.
  ChannelSecurity security;
  // Its first line is sent with every call; empty: none is. Only over TLS, or to this machine.
  std::string token_file;
  // Of a call that is not an ingestion.
  absl::Duration timeout = absl::InfiniteDuration();
  // Asked many times a second, by one thread; true ends the calls under way, and each further one,
  // with Cancelled. May be null.
  std::function<bool()> is_cancelled;
};

// Thread-safe.
class ServerConnection {
 public:
  // Connects with the first call. InvalidArgument for options that do not fit together.
  static absl::StatusOr<std::unique_ptr<ServerConnection>> Open(ConnectionOptions options);

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  friend class ServerCall;

  explicit ServerConnection(ConnectionOptions options) : options_(std::move(options)) {}

  const ConnectionOptions options_;
  ServerAddress address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::string authorization_;  // The header's value; empty: none.
  CallWatch watch_;
};

// One call. Not thread-safe but for its context, as gRPC has it.
class ServerCall {
 public:
  enum class Kind { kQuery, kIngestion };

  // `connection` must outlive it. `is_cancelled`: as ConnectionOptions::is_cancelled, for this
  // call.
  ServerCall(ServerConnection* connection, Kind kind, std::function<bool()> is_cancelled = {});
  ~ServerCall();
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  grpc::ClientContext* context() { return context_.get(); }
  // The call's end, for people: what became of the connection is told with the server's address.
  absl::Status Ended(const grpc::Status& status);

 private:
  ServerConnection* const connection_;
  const std::unique_ptr<grpc::ClientContext> context_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_SERVER_CONNECTION_H_
