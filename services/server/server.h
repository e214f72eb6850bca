// The gRPC server of one store.
#ifndef CAIRN_SERVICES_SERVER_SERVER_H_
#define CAIRN_SERVICES_SERVER_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/request_log.h"
#include "services/server/server_options.h"

namespace cairn::services {

// Start, OpenStore, Drain, in this order and from one thread; ReloadTokens and StopCalls from any.
// The destructor drains where nobody did.
class Server {
 public:
  // Listens at once, so that clients learn that there is a server: until OpenStore has succeeded,
  // its health is NOT_SERVING and calls get UNAVAILABLE. InvalidArgument for options that
  // CheckServerOptions or the files they name refuse; Unavailable for an address in use.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       std::unique_ptr<RequestLog> log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Opens the store, made if it is missing, and serves. Errors as Engine::Open.
  absl::Status OpenStore();
  // Takes no further calls, lets those at work end for ServerOptions::drain, stops the others, and
  // closes the store.
  void Drain();
  // Ends the wait of a Drain: stops all calls.
  void StopCalls();
  // Reads the token file again now. What is wrong with it goes to the log, and the tokens stay.
  void ReloadTokens();

  // Where it listens, in the order of ServerOptions::listen, with the ports it got.
  const std::vector<std::string>& addresses() const;
  // Of the metrics' endpoint; empty without one.
  const std::string& metrics_address() const;
  RequestLog& log();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_SERVER_H_
