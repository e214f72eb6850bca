// The sockets of one address, and the connections that arrive there.
#ifndef CAIRN_SERVICES_SERVER_LISTENER_H_
#define CAIRN_SERVICES_SERVER_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::services {

// Accepts connections for gRPC, whose own listener closes for ever at the first accept that fails:
// whoever opens more connections than the process may have files would end the service. Here the
// last descriptors are kept for the store, connections beyond are hung up on, and what comes after
// them is served. Not thread-safe.
class Listener {
 public:
  // Of a connection, which it owns from then on: non-blocking. On the listener's thread.
  using Take = std::function<void(int fd)>;

  // Binds "HOST:PORT", on all addresses of the host, or "unix:PATH", which this user and group may
  // connect to. Unavailable where it is in use, by a server of a Unix socket too; InvalidArgument
  // for a host that is not known or a path that is something else than a socket.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(const std::string& address);
  ~Listener();  // As Stop.
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // As it was bound, with the port it got.
  const std::string& address() const { return address_; }
  // To be called once. Unavailable where the system grants no thread.
  absl::Status Start(Take take);
  // Accepts nothing more, and takes a Unix socket's path away. `take` is not called after it.
  void Stop();

 private:
  Listener() = default;
  absl::Status BindHost(const std::string& host, const std::string& port);
  absl::Status BindPath(const std::string& path);
  void Run();
  void AcceptAll(int socket);

  std::string address_;
  std::string path_;          // Of a Unix socket.
  std::vector<int> sockets_;  // Listening, non-blocking.
  int stop_ = -1;             // Readable once it is to stop.
  int most_ = 0;              // Descriptors from this one on are not for connections.
  Take take_;
  std::thread thread_;
};

// Lets the process have as many files open as its hard limit allows; connections and the store's
// files are among them.
void RaiseFileLimit();

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_LISTENER_H_
