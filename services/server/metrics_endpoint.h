// Metrics and health over HTTP, for this machine only.
#ifndef CAIRN_SERVICES_SERVER_METRICS_ENDPOINT_H_
#define CAIRN_SERVICES_SERVER_METRICS_ENDPOINT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::services {

// GET /metrics answers with the metrics' text; GET /healthz with 200 where the server is healthy,
// and 503 and the reason where not; all else with 404. Requests that wait for one of its threads
// stay with the system. The process ignores SIGPIPE from the first one on. Thread-safe.
class MetricsEndpoint {
 public:
  struct Options {
    std::string address = "127.0.0.1:0";  // Port 0: any that is free.
    size_t threads = 2;
    std::function<std::string()> metrics;  // Both are called on the endpoint's threads, several
    std::function<absl::Status()> health;  // at once.
  };

  // InvalidArgument where the address is not HOST:PORT with a loopback HOST given as a number
  // (127.0.0.0/8 or [::1]): there is no authentication. Unavailable where it cannot listen there.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(Options options);
  ~MetricsEndpoint();  // As Stop.

  int port() const;
  // Takes no more requests, and waits for those that run.
  void Stop();

 private:
  class Impl;
  explicit MetricsEndpoint(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_METRICS_ENDPOINT_H_
