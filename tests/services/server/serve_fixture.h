// "cairn serve" as a process, and clients of it.
#ifndef CAIRN_TESTS_SERVICES_SERVER_SERVE_FIXTURE_H_
#define CAIRN_TESTS_SERVICES_SERVER_SERVE_FIXTURE_H_

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "tests/services/cli_test.h"
#include "tests/services/server/server_fixture.h"

namespace cairn::services {

class ServeTest : public CliTest {
 protected:
  // "cairn serve" on the test's socket, with further arguments.
  ProcessOptions Serve(const Strings& rest = {}) const {
    Strings arguments = OnStore("serve", {"--listen", "unix:" + socket_, "--log", log_});
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    ProcessOptions options = Options(std::move(arguments));
    options.timeout = std::chrono::seconds(500);
    return options;
  }
  // Waits until the server says that in its log, so many times in all; false where it ends.
  bool AwaitLog(Process* process, const std::string& text, int times = 1) const {
    const auto end = Process::Clock::now() + std::chrono::seconds(120);
    while (CountInLog(text) < times) {
      if (!process->RunFor(std::chrono::milliseconds(10))) return CountInLog(text) >= times;
      if (Process::Clock::now() > end) return false;
    }
    return true;
  }
  bool AwaitServing(Process* process, int times = 1) const {
    return AwaitLog(process, "\"serving\"", times);
  }
  int CountInLog(const std::string& text) const {
    const std::string log = Log();
    int count = 0;
    for (size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
    return count;
  }
  std::string Log() const {
    std::ifstream in(log_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  TestClient Connect(std::string token = "") const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return TestClient(
        grpc::CreateCustomChannel("unix:" + socket_, grpc::InsecureChannelCredentials(), arguments),
        std::move(token));
  }
  // Whether a new connection is served.
  grpc::Status Ask(std::string token = "") const {
    const TestClient client = Connect(std::move(token));
    const std::unique_ptr<grpc::ClientContext> context = client.Context();
    context->set_wait_for_ready(true);
    v1::StoreStats stats;
    return client.admin->GetStats(context.get(), v1::GetStatsRequest(), &stats);
  }

  const std::string socket_ = dir_.file("socket");
  const std::string log_ = dir_.file("log");
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_SERVE_FIXTURE_H_
