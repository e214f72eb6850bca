#include "services/server/metrics_endpoint.h"

#include <arpa/inet.h>
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/server/worker_threads.h"

namespace cairn::services {
namespace {

constexpr int kTimeoutSeconds = 5;
constexpr size_t kMaxBodyBytes = 1024;

// The library's own takes connections without bound. This one lets it wait before it accepts more.
class BoundedTasks : public httplib::TaskQueue {
 public:
  explicit BoundedTasks(size_t threads) : threads_(StartWorkers(threads, 0, [this] { Work(); })) {}

  void enqueue(std::function<void()> task) override {
    if (threads_.empty()) {  // The system grants none: then here.
      task();
      return;
    }
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BoundedTasks::HasRoom));
    tasks_.push_back(std::move(task));
  }

  void shutdown() override {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return tasks_.empty(); }
  bool MustWake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !tasks_.empty(); }

  void Work() {
    while (true) {
      std::function<void()> task;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &BoundedTasks::MustWake));
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

bool IsLoopback(const std::string& host) {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

struct Address {
  std::string host;
  int port = 0;
};

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  const absl::Status bad = absl::InvalidArgumentError(absl::StrCat(
      "metrics are served on a loopback address only, such as 127.0.0.1:9464 or [::1]:9464, not \"",
      text, "\""));
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad;
  Address address;
  address.host = text.substr(0, colon);
  const std::string port = text.substr(colon + 1);
  if (address.host.find(':') != std::string::npos) {
    if (!address.host.starts_with('[') || !address.host.ends_with(']')) return bad;
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  const bool digits =
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || port.size() > 5 || !absl::SimpleAtoi(port, &address.port) ||
      address.port > 65535 || !IsLoopback(address.host)) {
    return bad;
  }
  return address;
}

}  // namespace

class MetricsEndpoint::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    server_.new_task_queue = [threads = std::max<size_t>(options_.threads, 1)] {
      return new BoundedTasks(threads);  // The library's from here.
    };
    server_.set_keep_alive_max_count(1);  // Or a few idle clients would hold all threads.
    server_.set_read_timeout(kTimeoutSeconds);
    server_.set_write_timeout(kTimeoutSeconds);
    server_.set_payload_max_length(kMaxBodyBytes);
    server_.set_tcp_nodelay(true);  // Head and body are two writes.
    // The library's own options would share the port with another server.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(options_.metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
    server_.Get("/healthz", [this](const httplib::Request&, httplib::Response& response) {
      const absl::Status health = options_.health();
      if (!health.ok()) response.status = 503;
      response.set_content(health.ok() ? "ok\n" : absl::StrCat(health.message(), "\n"),
                           "text/plain; charset=utf-8");
    });
  }

  ~Impl() { Stop(); }

  absl::Status Start() {
    absl::StatusOr<Address> address = ParseAddress(options_.address);
    if (!address.ok()) return address.status();
    port_ = address->port;
    if (port_ == 0) {
      port_ = server_.bind_to_any_port(address->host);
    } else if (!server_.bind_to_port(address->host, port_)) {
      port_ = -1;
    }
    if (port_ <= 0) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", options_.address,
                                                 " for metrics; is another server there?"));
    }
    absl::MutexLock lock(&join_mutex_);
    threads_ = StartWorkers(1, 0, [this] {
      server_.listen_after_bind();
      ended_ = true;
    });
    if (threads_.empty()) {
      return absl::UnavailableError("the system grants no thread to serve metrics on");
    }
    // Before it runs the library does not hear a stop.
    while (!server_.is_running() && !ended_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return absl::OkStatus();
  }

  int port() const { return port_; }

  void Stop() {
    absl::MutexLock lock(&join_mutex_);
    if (threads_.empty()) return;
    server_.stop();
    threads_.front().join();
    threads_.clear();
  }

 private:
  const Options options_;
  httplib::Server server_;
  int port_ = 0;
  std::atomic<bool> ended_{false};
  absl::Mutex join_mutex_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(join_mutex_);
};

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  const absl::Status started = impl->Start();
  if (!started.ok()) return started;
  return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(impl)));
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MetricsEndpoint::~MetricsEndpoint() = default;

int MetricsEndpoint::port() const { return impl_->port(); }

void MetricsEndpoint::Stop() { impl_->Stop(); }

}  // namespace cairn::services
