// What all calls of a server share.
#ifndef CAIRN_SERVICES_SERVER_SERVER_STATE_H_
#define CAIRN_SERVICES_SERVER_SERVER_STATE_H_

#include <atomic>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "services/server/call.h"
#include "services/server/ingest_slots.h"
#include "services/server/metrics.h"
#include "services/server/operations.h"
#include "services/server/page_token.h"
#include "services/server/rate_limiter.h"
#include "services/server/request_log.h"
#include "services/server/request_replays.h"
#include "services/server/server_options.h"
#include "services/server/token_store.h"
#include "services/server/work_queue.h"

namespace cairn::services {

// Each part is thread-safe. Members are destroyed in the reverse order: whoever works goes before
// what it works on.
struct ServerState {
  ServerOptions options;
  std::unique_ptr<RequestLog> log;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<TokenStore> tokens;  // Null: everybody who gets here is the operator.
  std::unique_ptr<RateLimiter> rates;
  std::unique_ptr<PageTokens> pages;
  std::unique_ptr<RequestReplays> replays;
  std::unique_ptr<Engine> opened;
  std::atomic<Engine*> engine{nullptr};  // Null until the store is open.
  std::unique_ptr<IngestSlots> ingestions;
  std::unique_ptr<Operations> operations;
  std::unique_ptr<WorkQueue> requests;
  std::unique_ptr<ActiveCalls> calls;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_SERVER_STATE_H_
