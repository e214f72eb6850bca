#include "services/server/request_log.h"

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace cairn::services {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxStringBytes = 256;

std::string Bounded(std::string_view text) {
  if (text.size() > kMaxStringBytes) {
    size_t end = kMaxStringBytes;
    // Not within a character, unless it is none.
    for (int i = 0; i < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; ++i) --end;
    text = text.substr(0, end);
  }
  return std::string(text);
}

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Timestamp(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

void Add(Json& json, const char* name, const std::string& value) {
  if (!value.empty()) json[name] = Bounded(value);
}

// To the microsecond.
double Rounded(double ms) { return std::round(ms * 1000) / 1000; }

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      break;
  }
  return "error";
}

class SpdlogSink : public LogSink {
 public:
  explicit SpdlogSink(spdlog::sink_ptr sink) : logger_("cairn", std::move(sink)) {
    logger_.set_pattern("%v");
    logger_.flush_on(spdlog::level::trace);
  }
  void Write(std::string_view line) override {
    logger_.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  spdlog::logger logger_;
};

}  // namespace

void MemoryLogSink::Write(std::string_view line) {
  absl::MutexLock lock(&mutex_);
  lines_.emplace_back(line);
}

std::vector<std::string> MemoryLogSink::lines() const {
  absl::MutexLock lock(&mutex_);
  return lines_;
}

absl::StatusOr<std::unique_ptr<LogSink>> OpenLogSink(std::string_view where) {
  if (where == "stderr") {
    return std::make_unique<SpdlogSink>(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  }
  const std::string path(where);
  const auto failed = [&](int error, const std::string& why) -> absl::Status {
    const std::string message = absl::StrCat("cannot open the log ", path, ": ", why);
    return error == EACCES || error == EPERM ? absl::PermissionDeniedError(message)
                                             : absl::UnavailableError(message);
  };
  // The library would make it readable by all, and folders that are not there.
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    const int error = errno;
    return failed(error, std::generic_category().message(error));
  }
  ::close(file);
  try {
    return std::make_unique<SpdlogSink>(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
  } catch (const spdlog::spdlog_ex& e) {
    return failed(0, e.what());
  }
}

RequestLog::RequestLog(Options options, std::unique_ptr<LogSink> sink)
    : options_([&] {
        if (!options.now) options.now = [] { return absl::Now(); };
        return std::move(options);
      }()),
      sink_(std::move(sink)) {}

void RequestLog::Request(const RequestRecord& record) {
  const bool failed = record.code != "OK";
  if (!failed && options_.level != LogLevel::kInfo) return;
  Json json;
  json["time"] = Timestamp(record.time);
  Add(json, "request_id", record.request_id);
  Add(json, "method", record.method);
  Add(json, "tenant", record.tenant);
  Add(json, "token", record.token);
  Add(json, "collection", record.collection);
  Add(json, "code", record.code);
  Add(json, "message", record.message);
  json["ms"] = Rounded(record.total_ms);
  if (!record.stages_ms.empty()) {
    Json& stages = json["stages"] = Json::object();
    for (const auto& [name, ms] : record.stages_ms) stages[Bounded(name)] = Rounded(ms);
  }
  if (record.k) json["k"] = *record.k;
  if (record.hits) json["hits"] = *record.hits;
  if (record.kv) {
    Add(json, "kv_method", record.kv->method);
    json["kv_exact"] = record.kv->exact;
    json["kv_reused"] = record.kv->reused;
    json["kv_recomputed"] = record.kv->recomputed;
  }
  json["bytes_in"] = record.bytes_in;
  json["bytes_out"] = record.bytes_out;
  Add(json, "peer", record.peer);
  sink_->Write(Line(json));
}

void RequestLog::Event(LogLevel level, std::string_view name, const Fields& fields) {
  if (level < options_.level) return;
  Json json;
  json["time"] = Timestamp(options_.now());
  json["level"] = Name(level);
  json["event"] = Bounded(name);
  for (const auto& [field, value] : fields) {
    json.emplace(Bounded(field), Bounded(value));  // Those above stay.
  }
  sink_->Write(Line(json));
}

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (const LogLevel level : {LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (name == Name(level)) return level;
  }
  return absl::InvalidArgumentError("a log level is info, warning or error");
}

}  // namespace cairn::services
