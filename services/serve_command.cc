#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/command.h"
#include "services/kv_flags.h"
#include "services/server/listener.h"
#include "services/server/server.h"

namespace cairn::services {
namespace {

// Of a pipe: what arrived and was not looked at. A signal handler can reach nothing else.
volatile sig_atomic_t arrived_signals = -1;

// The signals that serving knows, from their handlers to the thread that looks for them. They are
// not blocked instead: libraries have started threads by now that would not block them, and to
// which the system would give them where nobody waits at that moment.
class ServerSignals {
 public:
  ServerSignals() {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    arrived_ = ends[0];
    arrived_signals = ends[1];
    struct sigaction action {};
    action.sa_handler = [](int signal) {
      const int error = errno;
      const auto number = static_cast<char>(signal);
      // Where the pipe is full, the server has been told often enough.
      [[maybe_unused]] const ssize_t n = ::write(arrived_signals, &number, 1);
      errno = error;
    };
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(signal, &action, nullptr);
    // A client that goes away in mid-write is no reason to end.
    ::signal(SIGPIPE, SIG_IGN);
  }
  bool ok() const { return arrived_ >= 0; }

  // The next one, or 0 after a tenth of a second without any.
  int Next() const {
    pollfd arrived = {arrived_, POLLIN, 0};
    char signal = 0;
    if (::poll(&arrived, 1, 100) <= 0 || ::read(arrived_, &signal, 1) != 1) return 0;
    return signal;
  }

 private:
  int arrived_ = -1;  // Open until the end: a handler may run as long as the process does.
};

class ServeCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("serve", "Serve a store over gRPC (cairn.v1)");
    c->fallthrough();  // --config may come after the command.
    RegisterAddresses(c);
    RegisterModels(c);
    RegisterKv(c);
    RegisterLimits(c);
    c->footer(
        "Without TLS it listens on this machine only. SIGTERM: no further calls, those at\n"
        "work may end; a second one stops them. SIGHUP reads the tokens again (they, and the\n"
        "TLS files, are also read when they change).\n\n"
        "Examples:\n"
        "  cairn serve --store my.store\n"
        "  cairn serve --store my.store --listen unix:/run/cairn/cairn.sock\n"
        "  cairn --config /etc/cairn/cairn.toml serve");
    return c;
  }

  int Run() override {
    const ServerSignals signals;
    if (!signals.ok()) return Fail(absl::ErrnoToStatus(errno, "cannot make a pipe"));
    RaiseFileLimit();
    options_.limits.longest_call = absl::Seconds(longest_call_);
    options_.limits.stream_idle = absl::Seconds(stream_idle_);
    options_.limits.connection_idle = absl::Seconds(connection_idle_);
    options_.limits.connection_age = absl::Seconds(connection_age_);
    options_.drain = absl::Seconds(drain_);
    options_.reflection = !no_reflection_;
    KvReuseOptions& kv = options_.engine.kv;
    kv.enabled = !kv_reuse_.empty() || kv.build_on_ingest;
    options_.kv_reuse = ReuseQualityNamed(kv_reuse_);
    if (absl::Status s = CheckServerOptions(options_); !s.ok()) return Fail(s);
    absl::StatusOr<LogLevel> level = ParseLogLevel(log_level_);
    if (!level.ok()) return Fail(level.status());
    absl::StatusOr<std::unique_ptr<LogSink>> sink = OpenLogSink(log_);
    if (!sink.ok()) return FailInput(sink.status());
    RequestLog::Options log;
    log.level = *level;
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(options_, std::make_unique<RequestLog>(log, *std::move(sink)));
    if (!server.ok()) return FailInput(server.status());
    return Serve(signals, **server);
  }

 private:
  void RegisterAddresses(CLI::App* c) {
    c->add_option("--store", options_.store, "Directory of the store, made if it is missing")
        ->envname("CAIRN_STORE");
    c->add_option("--listen", options_.listen,
                  "HOST:PORT or unix:PATH; repeatable (default 127.0.0.1:7700)")
        ->allow_extra_args(false);
    c->add_option("--tls-cert", options_.tls_cert, "Certificate chain (PEM)");
    c->add_option("--tls-key", options_.tls_key, "Its private key (PEM)");
    c->add_option("--client-ca", options_.client_ca,
                  "Clients must present a certificate that this one signed (PEM)");
    c->add_option("--token-file", options_.token_file,
                  "Clients must present one of these tokens (cairn token)");
    c->add_option("--metrics", options_.metrics_listen,
                  "127.0.0.1:PORT for Prometheus metrics and /healthz over HTTP (default: none)");
    c->add_option("--snapshots", options_.snapshot_directory,
                  "Directory that snapshots are made in (default: none are)");
    c->add_option("--log", log_, "stderr, or a file to append to")->capture_default_str();
    c->add_option("--log-level", log_level_, "info: every request; error: those that fail")
        ->check(CLI::IsMember({"info", "warning", "error"}))
        ->capture_default_str();
    c->add_flag("--no-reflection", no_reflection_, "Do not tell clients which services there are");
  }

  void RegisterModels(CLI::App* c) {
    c->add_option("--embedder", options_.engine.embedder,
                  "Directory of an embedding model (default: the built-in one)")
        ->envname("CAIRN_EMBEDDER");
    c->add_option("--reranker", options_.engine.reranker,
                  "Directory of a cross-encoder (default: none)")
        ->envname("CAIRN_RERANKER");
    c->add_option("--model", options_.engine.generator,
                  "Language model that writes answers (default: answers quote)");
    c->add_option("--model-threads", options_.engine.generator_threads,
                  "Threads it computes with (0: one per core)")
        ->check(CLI::Range(0, 1024));
    c->add_option("--context", options_.engine.generator_context,
                  "Most tokens of prompt and answer together (0: the model's own)");
    c->add_option("--threads", options_.threads, "Threads for requests (0: four per core)")
        ->check(CLI::Range(0, 1024));
    c->add_option("--ingest-threads", options_.ingest_threads,
                  "Threads of each ingestion, of low priority (0: one per core)")
        ->check(CLI::Range(0, 1024))
        ->capture_default_str();
    c->add_option("--seal-chunks", options_.engine.seal_chunks,
                  "Chunks kept in memory before they become a segment (default 32768)")
        ->check(CLI::Range(1, 10'000'000));
  }

  void RegisterKv(CLI::App* c) {
    KvReuseOptions& kv = options_.engine.kv;
    RegisterKvReuse(c, &kv_reuse_)
        ->description(
            "Reuse kept keys and values of passages. How much of them answers compute again that "
            "do not say it: exact (all), balanced (what differs most) or fast (nothing)");
    c->add_flag("--kv-build", kv.build_on_ingest,
                "Compute them after each ingestion, in the background; implies --kv-reuse balanced "
                "unless it is given");
    RegisterKvStorage(c, &kv);
    RegisterKvMemory(c, &kv);
  }

  void RegisterLimits(CLI::App* c) {
    ServerLimits& limits = options_.limits;
    const auto add = [c](const char* name, size_t* value, const char* help, double least,
                         double most) {
      c->add_option(name, *value, help)->check(CLI::Range(least, most))->capture_default_str();
    };
    const auto add_seconds = [c](const char* name, double* value, const char* help) {
      c->add_option(name, *value, help)->check(CLI::Range(0.1, 1e7))->capture_default_str();
    };
    add("--max-message-bytes", &limits.message_bytes, "Of a request", 4096, 1 << 30);
    add("--max-response-bytes", &limits.response_bytes, "Of a response", 4096, 1 << 30);
    add("--max-metadata-bytes", &limits.metadata_bytes, "Of a request's headers", 1024, 1 << 20);
    add("--max-connection-streams", &limits.connection_streams, "Calls at once on a connection", 1,
        1e6);
    add("--max-calls", &limits.active_calls, "Calls at once on all connections", 1, 1e6);
    add("--max-buffer-bytes", &limits.buffer_bytes, "Of network buffers together", 1 << 20, 1e12);
    add("--max-waiting", &limits.waiting, "Requests that wait for a thread", 1, 1e6);
    add("--max-waiting-per-tenant", &limits.waiting_per_tenant, "The same of each tenant", 1, 1e6);
    add("--max-ingestions", &limits.ingestions, "Ingest streams at once", 1, 1e4);
    add("--max-ingestions-per-tenant", &limits.ingestions_per_tenant, "The same of each tenant", 1,
        1e4);
    add("--max-tenant-calls", &limits.tenant_calls, "Calls at once of each tenant (0: no limit)", 0,
        1e6);
    c->add_option("--tenant-requests-per-second", limits.tenant_requests_per_second,
                  "Of each tenant (0: no limit)")
        ->capture_default_str();
    c->add_option("--tenant-bytes-per-second", limits.tenant_bytes_per_second,
                  "Of each tenant's requests (0: no limit)")
        ->capture_default_str();
    add_seconds("--max-call-seconds", &longest_call_, "Longest call, but for ingestion");
    add_seconds("--stream-idle-seconds", &stream_idle_, "A silent stream ends after this");
    add_seconds("--connection-idle-seconds", &connection_idle_, "A silent connection ends");
    add_seconds("--connection-age-seconds", &connection_age_, "Clients are to connect anew");
    add_seconds("--drain-seconds", &drain_, "For calls at work when the server is to stop");
  }

  // Opens the store while it listens for signals, serves until one comes, and drains.
  int Serve(const ServerSignals& signals, Server& server) {
    RequestLog& log = server.log();
    for (const std::string& address : server.addresses()) {
      log.Event(LogLevel::kWarning, "listening", {{"address", address}});
    }
    if (!server.metrics_address().empty()) {
      log.Event(LogLevel::kWarning, "metrics", {{"address", server.metrics_address()}});
    }
    std::atomic<bool> opened{false};
    absl::Status store;
    std::thread opening([&] {
      store = server.OpenStore();
      opened = true;
    });
    int signal = 0;
    while (!opened && signal != SIGTERM && signal != SIGINT) {
      signal = signals.Next();
      if (signal == SIGHUP) server.ReloadTokens();
    }
    opening.join();
    if (!store.ok()) {
      log.Event(LogLevel::kError, "cannot open the store", {{"problem", store.ToString()}});
      return FailInput(store);
    }
    if (signal == 0 || signal == SIGHUP) {
      log.Event(LogLevel::kWarning, "serving", {{"store", options_.store}});
    }
    while (signal != SIGTERM && signal != SIGINT) {
      signal = signals.Next();
      if (signal == SIGHUP) server.ReloadTokens();
    }
    log.Event(LogLevel::kWarning, "draining");
    std::atomic<bool> drained{false};
    std::thread impatience([&] {
      while (!drained) {
        if (const int again = signals.Next(); again == SIGTERM || again == SIGINT) {
          server.StopCalls();
        }
      }
    });
    server.Drain();
    drained = true;
    impatience.join();
    log.Event(LogLevel::kWarning, "stopped");
    return kExitOk;
  }

  ServerOptions options_;
  std::string log_ = "stderr";
  std::string log_level_ = "info";
  double longest_call_ = absl::ToDoubleSeconds(options_.limits.longest_call);
  double stream_idle_ = absl::ToDoubleSeconds(options_.limits.stream_idle);
  double connection_idle_ = absl::ToDoubleSeconds(options_.limits.connection_idle);
  double connection_age_ = absl::ToDoubleSeconds(options_.limits.connection_age);
  double drain_ = absl::ToDoubleSeconds(options_.drain);
  std::string kv_reuse_;
  bool no_reflection_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeServeCommand() { return std::make_unique<ServeCommand>(); }

}  // namespace cairn::services
