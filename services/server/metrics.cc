#include "services/server/metrics.h"

#include <prometheus/check_names.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "services/server/process_figures.h"

namespace cairn::services {
namespace {

constexpr std::string_view kOther = "other";
constexpr std::array<std::string_view, 17> kCodes = {"OK",
                                                     "CANCELLED",
                                                     "UNKNOWN",
                                                     "INVALID_ARGUMENT",
                                                     "NOT_FOUND",
                                                     "DEADLINE_EXCEEDED",
                                                     "ALREADY_EXISTS",
                                                     "PERMISSION_DENIED",
                                                     "ABORTED",
                                                     "RESOURCE_EXHAUSTED",
                                                     "FAILED_PRECONDITION",
                                                     "OUT_OF_RANGE",
                                                     "UNIMPLEMENTED",
                                                     "INTERNAL",
                                                     "UNAVAILABLE",
                                                     "DATA_LOSS",
                                                     "UNAUTHENTICATED"};

// Seconds: a search takes milliseconds, an answer or a batch of documents up to minutes.
prometheus::Histogram::BucketBoundaries Boundaries() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
}

using Names = std::set<std::string, std::less<>>;

std::string Known(const Names& names, std::string_view name) {
  return std::string(names.contains(name) ? name : kOther);
}

std::string KnownCode(std::string_view name) {
  const bool known = std::find(kCodes.begin(), kCodes.end(), name) != kCodes.end();
  return std::string(known ? name : "UNKNOWN");
}

// One value that is no time would spoil the sum for good.
double Seconds(double value) { return std::isfinite(value) ? std::max(value, 0.0) : 0; }

prometheus::MetricFamily Single(std::string_view name, std::string_view help,
                                prometheus::MetricType type, double value) {
  prometheus::MetricFamily family;
  family.name = std::string(name);
  // The serializer writes it as it is.
  family.help = absl::StrReplaceAll(std::string(help), {{"\\", "\\\\"}, {"\n", "\\n"}});
  family.type = type;
  prometheus::ClientMetric metric;
  metric.gauge.value = value;
  metric.counter.value = value;
  family.metric.push_back(std::move(metric));
  return family;
}

void AddProcess(std::vector<prometheus::MetricFamily>& families) {
  const ProcessFigures figures = ReadProcessFigures();
  const auto add = [&](const char* name, const char* help, prometheus::MetricType type,
                       std::optional<double> value) {
    if (value) families.push_back(Single(name, help, type, *value));
  };
  using prometheus::MetricType;
  add("process_resident_memory_bytes", "Resident memory of the process.", MetricType::Gauge,
      figures.resident_bytes);
  add("process_open_fds", "Files and sockets that the process has open.", MetricType::Gauge,
      figures.open_files);
  add("process_cpu_seconds_total", "Processor time of the process, user and system.",
      MetricType::Counter, figures.cpu_seconds);
  add("process_start_time_seconds", "When the process began, in seconds since 1970.",
      MetricType::Gauge, figures.start_time_seconds);
}

}  // namespace

class Metrics::Impl {
 public:
  Impl(const std::vector<std::string>& methods, const std::vector<std::string>& stages)
      : methods_(methods.begin(), methods.end()), stages_(stages.begin(), stages.end()) {}

  void RecordRequest(std::string_view method_name, std::string_view code, double seconds,
                     uint64_t bytes_in, uint64_t bytes_out) {
    const std::string method = Known(methods_, method_name);
    requests_.Add({{"method", method}, {"code", KnownCode(code)}}).Increment();
    request_seconds_.Add({{"method", method}}, Boundaries()).Observe(Seconds(seconds));
    request_bytes_.Add({{"method", method}}).Increment(static_cast<double>(bytes_in));
    response_bytes_.Add({{"method", method}}).Increment(static_cast<double>(bytes_out));
  }

  void RecordStage(std::string_view method, std::string_view stage, double seconds) {
    stage_seconds_
        .Add({{"method", Known(methods_, method)}, {"stage", Known(stages_, stage)}}, Boundaries())
        .Observe(Seconds(seconds));
  }

  void RecordPrompt(const Prompt& prompt) {
    const auto add = [this](const char* kind, uint64_t tokens) {
      prompt_tokens_.Add({{"kind", kind}}).Increment(static_cast<double>(tokens));
    };
    add("exact", prompt.exact_tokens);
    add("reused", prompt.reused_tokens);
    add("recomputed", prompt.recomputed_tokens);
    add("fresh", prompt.fresh_tokens);
    loaded_bytes_.Add({}).Increment(static_cast<double>(prompt.loaded_bytes));
  }

  absl::Status SetGaugeSource(std::string_view name_view, std::string_view help,
                              std::function<double()> source) {
    const std::string name(name_view);
    if (!prometheus::CheckMetricName(name)) {
      return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is no name of a metric"));
    }
    for (const char* prefix : {"cairn_request_", "cairn_requests_total", "cairn_response_",
                               "cairn_prompt_", "process_"}) {
      if (name.starts_with(prefix)) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ": metrics of ", prefix, "... are made here"));
      }
    }
    absl::MutexLock lock(&mutex_);
    sources_.insert_or_assign(name, Source{std::string(help), std::move(source)});
    return absl::OkStatus();
  }

  void RemoveGaugeSource(std::string_view name) {
    absl::MutexLock lock(&mutex_);
    const auto found = sources_.find(name);
    if (found != sources_.end()) sources_.erase(found);
  }

  std::string Text() {
    std::vector<prometheus::MetricFamily> families = registry_.Collect();
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [name, source] : sources_) {
        families.push_back(
            Single(name, source.help, prometheus::MetricType::Gauge, source.value()));
      }
    }
    AddProcess(families);
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  struct Source {
    std::string help;
    std::function<double()> value;
  };

  template <typename T>
  prometheus::Family<T>& Make(const char* name, const char* help) {
    return prometheus::detail::Builder<T>().Name(name).Help(help).Register(registry_);
  }

  const Names methods_;
  const Names stages_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_ =
      Make<prometheus::Counter>("cairn_requests_total", "Requests that have ended.");
  prometheus::Family<prometheus::Histogram>& request_seconds_ =
      Make<prometheus::Histogram>("cairn_request_seconds", "How long requests took.");
  prometheus::Family<prometheus::Counter>& request_bytes_ =
      Make<prometheus::Counter>("cairn_request_bytes_total", "Bytes of requests' messages.");
  prometheus::Family<prometheus::Counter>& response_bytes_ =
      Make<prometheus::Counter>("cairn_response_bytes_total", "Bytes of responses' messages.");
  prometheus::Family<prometheus::Histogram>& stage_seconds_ = Make<prometheus::Histogram>(
      "cairn_request_stage_seconds", "How long the stages of requests took.");
  prometheus::Family<prometheus::Counter>& prompt_tokens_ = Make<prometheus::Counter>(
      "cairn_prompt_tokens_total", "Tokens of prompts of answers, by where they came from.");
  prometheus::Family<prometheus::Counter>& loaded_bytes_ = Make<prometheus::Counter>(
      "cairn_prompt_loaded_bytes_total", "Bytes of kept keys and values that prompts took.");

  // Held while sources are called, so that one that is removed is called no more.
  absl::Mutex mutex_;
  std::map<std::string, Source, std::less<>> sources_ ABSL_GUARDED_BY(mutex_);
};

Metrics::Metrics(const std::vector<std::string>& methods, const std::vector<std::string>& stages)
    : impl_(std::make_unique<Impl>(methods, stages)) {}

Metrics::~Metrics() = default;

void Metrics::RecordRequest(std::string_view method, std::string_view code_name, double seconds,
                            uint64_t bytes_in, uint64_t bytes_out) {
  impl_->RecordRequest(method, code_name, seconds, bytes_in, bytes_out);
}

void Metrics::RecordStage(std::string_view method, std::string_view stage, double seconds) {
  impl_->RecordStage(method, stage, seconds);
}

void Metrics::RecordPrompt(const Prompt& prompt) { impl_->RecordPrompt(prompt); }

absl::Status Metrics::SetGaugeSource(std::string_view name, std::string_view help,
                                     std::function<double()> source) {
  return impl_->SetGaugeSource(name, help, std::move(source));
}

void Metrics::RemoveGaugeSource(std::string_view name) { impl_->RemoveGaugeSource(name); }

std::string Metrics::Text() const { return impl_->Text(); }

}  // namespace cairn::services
