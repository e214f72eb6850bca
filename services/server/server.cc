#include "services/server/server.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/server/listener.h"
#include "services/server/listening.h"
#include "services/server/metrics_endpoint.h"
#include "services/server/random_bytes.h"
#include "services/server/server_state.h"
#include "services/server/services.h"

namespace cairn::services {
namespace {

constexpr std::array kServiceNames = {"cairn.v1.Collections",
                                      "cairn.v1.Documents",
                                      "cairn.v1.Search",
                                      "cairn.v1.Answer",
                                      "cairn.v1.Models",
                                      "cairn.v1.Admin",
                                      "google.longrunning.Operations"};

constexpr std::array kStages = {"analyze",  "embed",     "candidates", "rerank", "fetch",
                                "retrieve", "select",    "prefill",    "decode", "check",
                                "kv_load",  "kv_select", "kv_compute"};

// Once only its clients' streams for health are left.
constexpr absl::Duration kLastWords = absl::Milliseconds(200);
// With one, a core goes back and forth between a search and gRPC's threads at every call: four give
// a third more searches (docs/benchmarks.md).
constexpr size_t kThreadsPerCore = 4;
constexpr absl::Duration kDrainPoll = absl::Milliseconds(20);
constexpr int kReflectionThreads = 4;

std::chrono::system_clock::time_point After(absl::Duration duration) {
  return absl::ToChronoTime(absl::Now() + duration);
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(duration), INT_MAX));
}

void SetLimits(const ServerLimits& limits, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(limits.message_bytes));
  builder->SetMaxSendMessageSize(static_cast<int>(limits.response_bytes));
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(limits.metadata_bytes));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              static_cast<int>(limits.connection_streams));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                              Milliseconds(limits.connection_idle));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(limits.connection_age));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                              Milliseconds(limits.longest_call));
  // A connection that does not begin to speak.
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20'000);
  // Finds connections whose other end is gone, and lets clients do the same.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  grpc::ResourceQuota quota("cairn");
  quota.Resize(limits.buffer_bytes);
  quota.SetMaxThreads(kReflectionThreads);
  builder->SetResourceQuota(quota);
}

// All methods of the services, as Call counts them.
std::vector<std::string> MethodNames() {
  std::vector<std::string> names;
  for (const char* const service : kServiceNames) {
    const google::protobuf::ServiceDescriptor* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    if (descriptor == nullptr) continue;
    for (int i = 0; i < descriptor->method_count(); ++i) {
      names.push_back(absl::StrCat(service, "/", descriptor->method(i)->name()));
    }
  }
  return names;
}

}  // namespace

struct Server::Impl {
  ServerState state;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<MetricsEndpoint> endpoint;
  std::unique_ptr<grpc::Server> grpc;
  // One for each address; the listeners give their connections to the acceptors, so they go first.
  std::vector<std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>> acceptors;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::string> addresses;
  std::string metrics_address;
  std::atomic<bool> serving{false};
  bool drained = false;

  absl::Status MakeParts(const ServerOptions& options, std::unique_ptr<RequestLog> log);
  absl::Status Listen();
  absl::Status Accept();
  absl::Status StartMetrics();
  void SetServing(bool is_serving);
};

absl::Status Server::Impl::MakeParts(const ServerOptions& options,
                                     std::unique_ptr<RequestLog> log) {
  state.options = options;
  state.log = std::move(log);
  state.metrics = std::make_unique<Metrics>(
      MethodNames(), std::vector<std::string>(kStages.begin(), kStages.end()));
  const ServerLimits& limits = options.limits;
  if (!options.token_file.empty()) {
    TokenStoreOptions tokens;
    tokens.on_problem = [this](const absl::Status& problem) {
      state.log->Event(LogLevel::kError, "tokens not reloaded", {{"problem", problem.ToString()}});
    };
    absl::StatusOr<std::unique_ptr<TokenStore>> opened =
        TokenStore::Open(options.token_file, tokens);
    if (!opened.ok()) return opened.status();
    state.tokens = *std::move(opened);
  }
  const RateLimiter::Limits rates = {.requests_per_second = limits.tenant_requests_per_second,
                                     .bytes_per_second = limits.tenant_bytes_per_second,
                                     .concurrent = limits.tenant_calls};
  if (absl::Status s = RateLimiter::Check(rates); !s.ok()) return s;
  state.rates = std::make_unique<RateLimiter>(rates, [] { return absl::Now(); });
  state.pages = std::make_unique<PageTokens>(RandomBytes(32));
  state.replays = std::make_unique<RequestReplays>(RequestReplays::Options{});
  state.ingestions = std::make_unique<IngestSlots>(limits.ingestions, limits.ingestions_per_tenant);
  Operations::Options operations;
  operations.max_waiting = limits.operations;
  state.operations = std::make_unique<Operations>(operations);
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  state.requests = std::make_unique<WorkQueue>(
      WorkQueue::Options{.threads = options.threads > 0 ? options.threads : kThreadsPerCore * cores,
                         .max_waiting = limits.waiting,
                         .max_waiting_per_tenant = limits.waiting_per_tenant});
  state.calls = std::make_unique<ActiveCalls>(limits.active_calls);
  return absl::OkStatus();
}

absl::Status Server::Impl::Listen() {
  const ServerOptions& options = state.options;
  absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> credentials =
      MakeServerCredentials(options);
  if (!credentials.ok()) return credentials.status();
  grpc::EnableDefaultHealthCheckService(true);
  if (options.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(options.limits, &builder);
  for (const std::string& address : options.listen) {
    absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Bind(address);
    if (!listener.ok()) return listener.status();
    addresses.push_back((*listener)->address());
    listeners.push_back(*std::move(listener));
    // A Unix socket's other end is this machine, its access the file's: TLS would add nothing.
    acceptors.push_back(builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        absl::StartsWith(address, "unix:") ? grpc::InsecureServerCredentials() : *credentials));
  }
  for (const auto make :
       {MakeCollectionsService, MakeDocumentsService, MakeSearchService, MakeAnswerService,
        MakeModelsService, MakeAdminService, MakeOperationsService}) {
    services.push_back(make(&state));
    builder.RegisterService(services.back().get());
  }
  grpc = builder.BuildAndStart();
  if (grpc == nullptr) return absl::InternalError("gRPC does not start");
  SetServing(false);
  return Accept();
}

absl::Status Server::Impl::Accept() {
  for (size_t i = 0; i < listeners.size(); ++i) {
    absl::Status s = listeners[i]->Start([acceptor = acceptors[i].get()](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.fd = fd;
      acceptor->HandleNewConnection(&connection);
    });
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

void Server::Impl::SetServing(bool is_serving) {
  serving = is_serving;
  grpc::HealthCheckServiceInterface* const health = grpc->GetHealthCheckService();
  for (const char* const service : kServiceNames) health->SetServingStatus(service, is_serving);
  health->SetServingStatus("", is_serving);
}

absl::Status Server::Impl::StartMetrics() {
  Metrics& metrics = *state.metrics;
  struct Gauge {
    const char* name;
    const char* help;
    std::function<size_t()> value;
  };
  const Gauge gauges[] = {
      {"cairn_requests_waiting", "Requests that wait for a thread.",
       [this] { return state.requests->waiting(); }},
      {"cairn_requests_running", "Requests on a thread of the pool.",
       [this] { return state.requests->running(); }},
      {"cairn_calls_active", "Calls that have not ended.", [this] { return state.calls->size(); }},
      {"cairn_ingestions_active", "Ingest streams at work.",
       [this] { return state.ingestions->taken(); }},
      {"cairn_operations_running", "Long-running operations at work.",
       [this] { return state.operations->running(); }},
  };
  for (const Gauge& gauge : gauges) {
    absl::Status s = metrics.SetGaugeSource(
        gauge.name, gauge.help, [value = gauge.value] { return static_cast<double>(value()); });
    if (!s.ok()) return s;
  }
  if (state.options.metrics_listen.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<MetricsEndpoint>> started = MetricsEndpoint::Start(
      {.address = state.options.metrics_listen,
       .metrics = [&metrics] { return metrics.Text(); },
       .health =
           [this] { return serving ? absl::OkStatus() : absl::UnavailableError("not serving"); }});
  if (!started.ok()) return started.status();
  endpoint = *std::move(started);
  const std::string& address = state.options.metrics_listen;
  metrics_address = absl::StrCat(address.substr(0, address.rfind(':')), ":", endpoint->port());
  return absl::OkStatus();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Drain(); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      std::unique_ptr<RequestLog> log) {
  if (absl::Status s = CheckServerOptions(options); !s.ok()) return s;
  auto impl = std::make_unique<Impl>();
  if (absl::Status s = impl->MakeParts(options, std::move(log)); !s.ok()) return s;
  if (absl::Status s = impl->Listen(); !s.ok()) return s;
  auto server = std::unique_ptr<Server>(new Server(std::move(impl)));
  if (absl::Status s = server->impl_->StartMetrics(); !s.ok()) return s;
  return server;
}

absl::Status Server::OpenStore() {
  ServerState& state = impl_->state;
  EngineOptions options = state.options.engine;
  options.create_if_missing = true;
  options.kv.on_problem = [&state](const std::string& problem) {
    state.log->Event(LogLevel::kWarning, "keys and values", {{"problem", problem}});
  };
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(state.options.store, options);
  if (!engine.ok()) return engine.status();
  state.opened = *std::move(engine);
  state.engine.store(state.opened.get(), std::memory_order_release);
  impl_->SetServing(true);
  return absl::OkStatus();
}

void Server::StopCalls() {
  impl_->state.calls->StopAll(absl::UnavailableError("the server is shutting down"));
}

void Server::Drain() {
  if (std::exchange(impl_->drained, true)) return;
  ServerState& state = impl_->state;
  impl_->serving = false;
  impl_->grpc->GetHealthCheckService()->Shutdown();
  state.calls->Close();
  const absl::Time end = absl::Now() + state.options.drain;
  while (state.calls->size() > 0 && absl::Now() < end) absl::SleepFor(kDrainPoll);
  StopCalls();
  for (const std::unique_ptr<Listener>& listener : impl_->listeners) listener->Stop();
  // Streams that watch the health have no end of their own.
  impl_->grpc->Shutdown(After(kLastWords));
  impl_->grpc->Wait();
  state.requests->Stop();
  state.operations->Stop();
  state.ingestions->AwaitNone();
  impl_->endpoint.reset();
  state.engine.store(nullptr, std::memory_order_release);
  state.opened.reset();
}

void Server::ReloadTokens() {
  // What is wrong goes to the log by on_problem.
  if (TokenStore* const tokens = impl_->state.tokens.get()) tokens->Reload().IgnoreError();
}

const std::vector<std::string>& Server::addresses() const { return impl_->addresses; }

const std::string& Server::metrics_address() const { return impl_->metrics_address; }

RequestLog& Server::log() { return *impl_->state.log; }

}  // namespace cairn::services
