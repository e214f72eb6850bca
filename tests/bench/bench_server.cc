// The server under load, beside the engine in process:
//
//   bench_server CORPUS.jsonl TOPICS [--clients 64] [--seconds 60] [--rounds 3] [--serve FLAG]...
//
// 1. Throughput of searches: the engine on as many threads as there are cores, and the server with
//    that many clients, in turns; the medians and their ratio.
// 2. Searches and ingestion together for --seconds: latencies of searches, codes of all calls, and
//    the server's memory over time.
// The server is `cairn serve` in a process of its own, on a Unix socket, over a store that is made
// from the corpus first.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cairn/v1/documents.grpc.pb.h"
#include "cairn/v1/search.grpc.pb.h"
#include "engine/engine.h"
#include "engine/eval/topics.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Settings {
  std::string corpus;
  std::string topics;
  size_t clients = 64;
  size_t ingesters = 4;  // Of the clients, in the second part.
  double seconds = 60;
  int rounds = 3;
  double round_seconds = 8;
  std::vector<std::string> serve;  // Further flags of the server.
};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::exit(1);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double Percentile(std::vector<double>* values, double p) {
  if (values->empty()) return 0;
  const auto at =
      values->begin() + static_cast<ptrdiff_t>(p * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return *at;
}

// `cairn serve`, until it is destroyed.
class ServerProcess {
 public:
  ServerProcess(const std::string& store, const std::string& socket, const Settings& settings) {
    std::vector<std::string> argv = {CAIRN_BINARY, "serve",          "--store",     store,
                                     "--listen",   "unix:" + socket, "--log-level", "error"};
    argv.insert(argv.end(), settings.serve.begin(), settings.serve.end());
    std::vector<char*> pointers;
    for (std::string& a : argv) pointers.push_back(a.data());
    pointers.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execv(pointers[0], pointers.data());
      _exit(127);
    }
  }
  ~ServerProcess() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  // Of all its threads, since it began.
  double CpuSeconds() const {
    std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
    std::string text;
    std::getline(stat, text);
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }

  double ResidentMib() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    std::string line;
    while (std::getline(status, line)) {
      if (line.rfind("VmRSS:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) / 1024;
    }
    return 0;
  }

 private:
  pid_t pid_ = -1;
};

// What a run of searches was.
struct Figures {
  std::vector<double> latencies;  // Seconds, of those that succeeded.
  std::map<int, uint64_t> codes;  // gRPC's; others than OK with their count.
  double seconds = 0;

  double per_second() const { return static_cast<double>(latencies.size()) / seconds; }
};

Figures SearchInProcess(const Engine& engine, const std::vector<engine::Topic>& topics,
                        double seconds) {
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::vector<double>> latencies(threads);
  std::atomic<size_t> next{0};
  const auto start = Clock::now();
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      SearchRequest request;
      while (Seconds(Clock::now() - start).count() < seconds) {
        request.query = topics[next.fetch_add(1) % topics.size()].text;
        const auto begin = Clock::now();
        if (!engine.Search(request).ok()) std::abort();
        latencies[t].push_back(Seconds(Clock::now() - begin).count());
      }
    });
  }
  for (std::thread& w : workers) w.join();
  Figures figures;
  figures.seconds = Seconds(Clock::now() - start).count();
  for (const std::vector<double>& l : latencies) {
    figures.latencies.insert(figures.latencies.end(), l.begin(), l.end());
  }
  return figures;
}

std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection for each client.
  return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

// Clients that search one query after the other, all driven by one thread.
class SearchClients {
 public:
  SearchClients(const std::string& socket, size_t clients, const std::vector<engine::Topic>* topics)
      : topics_(topics) {
    for (size_t i = 0; i < clients; ++i) {
      stubs_.push_back(v1::Search::NewStub(Connect(socket)));
    }
  }

  Figures Run(double seconds) {
    grpc::CompletionQueue queue;
    Figures figures;
    const auto start = Clock::now();
    size_t running = 0;
    for (const auto& stub : stubs_) {
      Begin(stub.get(), &queue);
      ++running;
    }
    void* tag = nullptr;
    bool ok = false;
    while (running > 0 && queue.Next(&tag, &ok)) {
      std::unique_ptr<Call> call(static_cast<Call*>(tag));
      --running;
      if (call->status.ok()) {
        figures.latencies.push_back(Seconds(Clock::now() - call->begin).count());
      } else {
        ++figures.codes[call->status.error_code()];
      }
      if (Seconds(Clock::now() - start).count() < seconds) {
        Begin(call->stub, &queue);
        ++running;
      }
    }
    figures.seconds = Seconds(Clock::now() - start).count();
    return figures;
  }

 private:
  struct Call {
    v1::Search::Stub* stub = nullptr;
    grpc::ClientContext context;
    v1::SearchResponse response;
    grpc::Status status;
    Clock::time_point begin;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::SearchResponse>> reader;
  };

  void Begin(v1::Search::Stub* stub, grpc::CompletionQueue* queue) {
    auto* const call = new Call;
    call->stub = stub;
    call->begin = Clock::now();
    v1::SearchRequest request;
    request.set_parent("collections/default");
    request.set_query((*topics_)[next_++ % topics_->size()].text);
    call->reader = stub->AsyncSearch(&call->context, request, queue);
    call->reader->Finish(&call->response, &call->status, call);
  }

  const std::vector<engine::Topic>* const topics_;
  std::vector<std::unique_ptr<v1::Search::Stub>> stubs_;
  size_t next_ = 0;
};

// Ingests new texts, made of the topics' words, in streams of a few hundred documents each.
struct Ingester {
  std::atomic<uint64_t> acknowledged{0};
  std::mutex mutex;
  std::map<int, uint64_t> codes;

  void Run(const std::string& socket, const std::vector<engine::Topic>& topics, size_t number,
           const std::atomic<bool>& stop) {
    const std::unique_ptr<v1::Documents::Stub> stub = v1::Documents::NewStub(Connect(socket));
    for (uint64_t round = 0; !stop; ++round) {
      grpc::ClientContext context;
      const auto stream = stub->Ingest(&context);
      std::thread reader([&] {
        v1::IngestResponse response;
        while (stream->Read(&response)) acknowledged += response.has_ack() ? 1 : 0;
      });
      v1::IngestRequest request;
      request.mutable_config()->set_parent("collections/incoming");
      bool open = stream->Write(request);
      for (size_t i = 0; open && i < 500 && !stop; ++i) {
        // The same ids again and again: documents are replaced, and the store does not grow.
        v1::InputDocument* const d = request.mutable_document();
        d->set_id(std::to_string(number) + "-" + std::to_string(i));
        std::string text;
        for (size_t k = 0; k < 12; ++k) {
          text += topics[(round * 7 + i * 3 + k * 11) % topics.size()].text + ". ";
        }
        d->set_text(std::to_string(round) + " " + text);
        open = stream->Write(request);
      }
      stream->WritesDone();
      reader.join();
      const grpc::Status status = stream->Finish();
      const std::lock_guard<std::mutex> lock(mutex);
      ++codes[status.error_code()];
    }
  }
};

void PrintCodes(const char* what, const std::map<int, uint64_t>& codes) {
  std::printf("%s:", what);
  if (codes.empty()) std::printf(" none failed");
  for (const auto& [code, count] : codes) {
    std::printf(" code %d: %llu", code, static_cast<unsigned long long>(count));
  }
  std::printf("\n");
}

// Of this process.
double OwnCpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void CompareThroughput(const Engine& engine, const ServerProcess& server, const std::string& socket,
                       const std::vector<engine::Topic>& topics, const Settings& settings) {
  SearchClients clients(socket, settings.clients, &topics);
  clients.Run(2);  // Connects.
  std::vector<double> local;
  std::vector<double> remote;
  for (int round = 0; round < settings.rounds; ++round) {
    double own = OwnCpuSeconds();
    const Figures here = SearchInProcess(engine, topics, settings.round_seconds);
    local.push_back(here.per_second());
    const double local_cpu = (OwnCpuSeconds() - own) / static_cast<double>(here.latencies.size());
    own = OwnCpuSeconds();
    const double before = server.CpuSeconds();
    Figures figures = clients.Run(settings.round_seconds);
    const auto count = static_cast<double>(figures.latencies.size());
    std::printf("CPU for a search: in process %.3f ms; over gRPC server %.3f ms, client %.3f ms\n",
                1e3 * local_cpu, 1e3 * (server.CpuSeconds() - before) / count,
                1e3 * (OwnCpuSeconds() - own) / count);
    remote.push_back(figures.per_second());
    std::printf("round %d: in process %.0f/s, %zu clients %.0f/s (p50 %.1f ms, p99 %.1f ms)\n",
                round + 1, local.back(), settings.clients, remote.back(),
                1e3 * Percentile(&figures.latencies, .5),
                1e3 * Percentile(&figures.latencies, .99));
    PrintCodes("  failures", figures.codes);
  }
  std::printf("searches: in process %.0f/s, over gRPC %.0f/s: ratio %.2f\n", Median(local),
              Median(remote), Median(remote) / Median(local));
}

void RunMixed(const ServerProcess& server, const std::string& socket,
              const std::vector<engine::Topic>& topics, const Settings& settings) {
  std::atomic<bool> stop{false};
  Ingester ingester;
  std::vector<std::thread> ingesting;
  for (size_t i = 0; i < settings.ingesters; ++i) {
    ingesting.emplace_back([&, i] { ingester.Run(socket, topics, i, stop); });
  }
  std::vector<double> resident;
  std::thread watch([&] {
    while (!stop) {
      resident.push_back(server.ResidentMib());
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  });
  SearchClients clients(socket, settings.clients - settings.ingesters, &topics);
  Figures figures = clients.Run(settings.seconds);
  stop = true;
  for (std::thread& t : ingesting) t.join();
  watch.join();
  std::printf("mixed, %.0f s: %.0f searches/s, p50 %.1f ms, p99 %.1f ms; %.0f documents/s\n",
              figures.seconds, figures.per_second(), 1e3 * Percentile(&figures.latencies, .5),
              1e3 * Percentile(&figures.latencies, .99),
              static_cast<double>(ingester.acknowledged) / figures.seconds);
  PrintCodes("  searches that failed", figures.codes);
  PrintCodes("  ingest streams, by code", ingester.codes);
  std::printf("  resident MiB:");
  for (size_t i = 0; i < resident.size(); i += std::max<size_t>(1, resident.size() / 12)) {
    std::printf(" %.0f", resident[i]);
  }
  std::printf(" %.0f\n", resident.back());
}

int Main(int argc, char** argv) {
  Settings settings;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (flag == "--clients") {
      settings.clients = static_cast<size_t>(std::atoi(value()));
    } else if (flag == "--seconds") {
      settings.seconds = std::atof(value());
    } else if (flag == "--rounds") {
      settings.rounds = std::atoi(value());
    } else if (flag == "--serve") {
      settings.serve.push_back(value());
    } else {
      paths.push_back(flag);
    }
  }
  if (paths.size() != 2 || settings.clients <= settings.ingesters || settings.rounds < 1) {
    std::fprintf(stderr,
                 "use: bench_server CORPUS TOPICS [--clients N] [--seconds S] [--rounds N] "
                 "[--serve FLAG]...\n");
    return 2;
  }
  const std::vector<engine::Topic> topics = Must(engine::ReadTopicsFile(paths[1]));
  const testing::TempDir dir;
  const std::string store = dir.file("store");
  {
    const std::unique_ptr<Engine> engine = Must(Engine::Open(store, {.create_if_missing = true}));
    const IngestReport report = Must(engine->IngestPaths({paths[0]}, {}));
    std::printf("%llu documents, %llu chunks\n", static_cast<unsigned long long>(report.created),
                static_cast<unsigned long long>(report.chunks));
  }
  const std::string socket = dir.file("socket");
  const ServerProcess server(store, socket, settings);
  if (!Connect(socket)->WaitForConnected(std::chrono::system_clock::now() +
                                         std::chrono::seconds(30))) {
    std::fprintf(stderr, "the server does not start\n");
    return 1;
  }
  const std::unique_ptr<Engine> reader = Must(Engine::Open(store, {.read_only = true}));
  CompareThroughput(*reader, server, socket, topics, settings);
  RunMixed(server, socket, topics, settings);
  return 0;
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) { return cairn::Main(argc, argv); }
