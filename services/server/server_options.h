// What a server is to do, and how much of it.
#ifndef CAIRN_SERVICES_SERVER_SERVER_OPTIONS_H_
#define CAIRN_SERVICES_SERVER_SERVER_OPTIONS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/engine.h"

namespace cairn::services {

// Bounds that keep one client, or all together, from taking more than there is. What is over one is
// refused with RESOURCE_EXHAUSTED.
struct ServerLimits {
  size_t message_bytes = size_t{16} << 20;   // Of a request message.
  size_t response_bytes = size_t{64} << 20;  // Of a response message.
  size_t metadata_bytes = size_t{16} << 10;  // Of a request's headers together.
  size_t connection_streams = 256;           // Calls at the same time on one connection.
  size_t active_calls = 2048;                // At the same time on all of them.
  size_t buffer_bytes = size_t{512} << 20;   // Of gRPC's own, for all connections together.
  size_t waiting = 1024;                     // Requests that wait for a thread.
  size_t waiting_per_tenant = 256;
  size_t ingestions = 8;  // Ingest streams at the same time.
  size_t ingestions_per_tenant = 4;
  size_t operations = 64;  // Long-running operations that wait or run.
  // Of each tenant; 0: no limit.
  double tenant_requests_per_second = 0;
  double tenant_bytes_per_second = 0;  // Of requests.
  size_t tenant_calls = 0;             // At the same time.
  // No call but an ingestion takes longer, whatever deadline its client set.
  absl::Duration longest_call = absl::Minutes(2);
  // A stream whose client neither sends nor reads ends after so long.
  absl::Duration stream_idle = absl::Minutes(5);
  absl::Duration connection_idle = absl::Minutes(15);
  // Clients are asked to connect anew after this, so that they find other servers.
  absl::Duration connection_age = absl::Hours(12);
};

struct ServerOptions {
  std::string store;
  EngineOptions engine;
  // Of answers whose requests do not say, where the engine keeps chunks' keys and values.
  ReuseQuality kv_reuse = ReuseQuality::kBalanced;
  // "HOST:PORT" or "unix:PATH". Port 0: one that is free.
  std::vector<std::string> listen = {"127.0.0.1:7700"};
  // PEM files, read again when they change. Empty: no TLS.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;   // Clients must present a certificate that it signed.
  std::string token_file;  // docs/formats/tokens.md; empty: no tokens.
  // "HOST:PORT" of a loopback address for metrics over HTTP; empty: none.
  std::string metrics_listen;
  // Where snapshots are made; empty: there are none.
  std::string snapshot_directory;
  size_t threads = 0;         // That requests run on; 0: four per core.
  size_t ingest_threads = 1;  // Of each ingestion.
  ServerLimits limits;
  // How long calls at work may go on once the server is told to stop.
  absl::Duration drain = absl::Seconds(20);

  // Clients may ask what services there are (gRPC server reflection).
  bool reflection = true;
};

// InvalidArgument, saying what to change, for options that contradict each other or would let
// strangers in: an address that is not loopback without TLS and authentication.
absl::Status CheckServerOptions(const ServerOptions& options);

// Whether only this machine reaches "HOST:PORT" or "unix:PATH".
bool IsLocalAddress(const std::string& address);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_SERVER_OPTIONS_H_
