#include "services/server/metrics_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/services/server/gate.h"

namespace cairn::services {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int Connect(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket);
    return -1;
  }
  return socket;
}

// What comes back until the server closes; empty where nobody listens.
std::string Exchange(int port, const std::string& request) {
  const int socket = Connect(port);
  if (socket < 0) return "";
  EXPECT_EQ(::send(socket, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = ::recv(socket, buffer, sizeof buffer, 0)) > 0) answer.append(buffer, got);
  ::close(socket);
  return answer;
}

std::string Get(int port, const std::string& path) {
  return Exchange(port, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

MetricsEndpoint::Options Serving() {
  MetricsEndpoint::Options options;
  options.metrics = [] { return std::string("cairn_requests_total 7\n"); };
  options.health = [] { return absl::OkStatus(); };
  return options;
}

TEST(MetricsEndpoint, ServesTheMetrics) {
  const auto endpoint = MetricsEndpoint::Start(Serving());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const std::string answer = Get((*endpoint)->port(), "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\ncairn_requests_total 7\n"));
}

TEST(MetricsEndpoint, SaysWhetherTheServerIsHealthy) {
  MetricsEndpoint::Options options = Serving();
  absl::Mutex mutex;
  absl::Status health;
  options.health = [&] {
    absl::MutexLock lock(&mutex);
    return health;
  };
  const auto endpoint = MetricsEndpoint::Start(options);
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_THAT(Get((*endpoint)->port(), "/healthz"), StartsWith("HTTP/1.1 200"));
  {
    absl::MutexLock lock(&mutex);
    health = absl::UnavailableError("draining");
  }
  const std::string answer = Get((*endpoint)->port(), "/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, EndsWith("draining\n"));
}

TEST(MetricsEndpoint, HasNothingElse) {
  const auto endpoint = MetricsEndpoint::Start(Serving());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const int port = (*endpoint)->port();
  for (const char* path : {"/", "/metricsx", "/metrics/", "/../etc/passwd", "/healthz/x"}) {
    EXPECT_THAT(Get(port, path), StartsWith("HTTP/1.1 404")) << path;
  }
  EXPECT_THAT(
      Exchange(port, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
      StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Exchange(port, std::string("POST /metrics HTTP/1.1\r\nHost: localhost\r\n") +
                                 "Content-Length: 2000\r\n\r\n" + std::string(2000, 'x')),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Exchange(port, "no request at all\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Get(port, "/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST(MetricsEndpoint, ClientsWaitForAThreadAndAreAllServed) {
  Gate gate;
  MetricsEndpoint::Options options = Serving();
  options.threads = 1;
  options.metrics = [&] {
    gate.Pass();
    return std::string("x 1\n");
  };
  const auto endpoint = MetricsEndpoint::Start(options);
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::vector<int> sockets;
  for (int i = 0; i < 6; ++i) {
    sockets.push_back(Connect((*endpoint)->port()));
    ASSERT_GE(sockets.back(), 0);
    ASSERT_EQ(::send(sockets.back(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
  }
  gate.AwaitArrivals(1);
  gate.Open();
  for (const int socket : sockets) {
    char buffer[16];
    EXPECT_GT(::recv(socket, buffer, sizeof buffer, 0), 0);
    ::close(socket);
  }
}

TEST(MetricsEndpoint, ARequestUnderWayIsAnsweredBeforeStopReturns) {
  Gate gate;
  MetricsEndpoint::Options options = Serving();
  options.metrics = [&] {
    gate.Pass();
    return std::string("x 1\n");
  };
  const auto endpoint = MetricsEndpoint::Start(options);
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  std::string answer;
  std::thread client([&] { answer = Get((*endpoint)->port(), "/metrics"); });
  gate.AwaitArrivals(1);
  std::thread stopper([&] { (*endpoint)->Stop(); });
  gate.Open();
  stopper.join();
  client.join();
  EXPECT_THAT(answer, EndsWith("x 1\n"));
}

TEST(MetricsEndpoint, StopsAndTheAddressIsFreeAgain) {
  auto first = MetricsEndpoint::Start(Serving());
  ASSERT_TRUE(first.ok()) << first.status();
  const int port = (*first)->port();
  MetricsEndpoint::Options same = Serving();
  same.address = absl::StrCat("127.0.0.1:", port);
  EXPECT_EQ(MetricsEndpoint::Start(same).status().code(), absl::StatusCode::kUnavailable);
  (*first)->Stop();
  (*first)->Stop();
  EXPECT_EQ(Get(port, "/metrics"), "");
  const auto second = MetricsEndpoint::Start(same);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->port(), port);
}

TEST(MetricsEndpoint, ListensOnLoopbackAddressesOnly) {
  for (const char* address :
       {"", ":", "9464", "0.0.0.0:0", "10.0.0.1:0", "128.0.0.1:0", "[::]:0", "::1:0", "localhost:0",
        "example.com:0", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:0 ", "127.0.0.1 :0", "[127.0.0.1]:0", "[::ffff:10.0.0.1]:0"}) {
    MetricsEndpoint::Options options = Serving();
    options.address = address;
    EXPECT_EQ(MetricsEndpoint::Start(options).status().code(), absl::StatusCode::kInvalidArgument)
        << address;
  }
}

}  // namespace
}  // namespace cairn::services
