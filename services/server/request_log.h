// The server's log: a line of JSON for each request and each event.
#ifndef CAIRN_SERVICES_SERVER_REQUEST_LOG_H_
#define CAIRN_SERVICES_SERVER_REQUEST_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cairn::services {

// Where lines go. Thread-safe.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // `line` has no end of line.
  virtual void Write(std::string_view line) = 0;
};

// Keeps the lines, for tests.
class MemoryLogSink : public LogSink {
 public:
  void Write(std::string_view line) override;
  std::vector<std::string> lines() const;

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// "stderr", or the path of a file to append to, made where there is none and readable by its owner
// only. PermissionDenied, or Unavailable, where it cannot be opened. Each line is written through.
absl::StatusOr<std::unique_ptr<LogSink>> OpenLogSink(std::string_view where);

// No field may hold text of documents or queries.
struct RequestRecord {
  absl::Time time;  // When it began.
  std::string request_id;
  std::string method;
  std::string tenant;
  std::string token;  // The name of the token, never the token.
  std::string collection;
  std::string code;     // gRPC's name, "OK" where it succeeded.
  std::string message;  // Of the error.
  double total_ms = 0;
  std::vector<std::pair<std::string, double>> stages_ms;
  std::optional<uint64_t> k;
  std::optional<uint64_t> hits;
  // Of an answer's prompt, where the server keeps chunks' keys and values.
  struct Kv {
    std::string method;
    uint64_t exact = 0;       // Tokens: of a prefix computed before,
    uint64_t reused = 0;      // of chunks, as they were kept,
    uint64_t recomputed = 0;  // and of kept ones, computed again.
  };
  std::optional<Kv> kv;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  std::string peer;
};

enum class LogLevel { kInfo, kWarning, kError };

// Thread-safe.
class RequestLog {
 public:
  struct Options {
    // Events from this level on; above kInfo only requests that failed.
    LogLevel level = LogLevel::kInfo;
    std::function<absl::Time()> now;  // None: absl::Now. Thread-safe.
  };
  using Fields = std::vector<std::pair<std::string, std::string>>;

  RequestLog(Options options, std::unique_ptr<LogSink> sink);

  // Strings are cut at 256 bytes, and what is no UTF-8 in them is replaced. Empty ones, and k and
  // hits where there are none, are left out.
  void Request(const RequestRecord& record);
  // An event of the server, such as "started", with its fields.
  void Event(LogLevel level, std::string_view name, const Fields& fields = {});

 private:
  const Options options_;
  const std::unique_ptr<LogSink> sink_;
};

// "info", "warning" and "error"; InvalidArgument for any other.
absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_REQUEST_LOG_H_
