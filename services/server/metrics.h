// What the server counts, in the text format of Prometheus.
#ifndef CAIRN_SERVICES_SERVER_METRICS_H_
#define CAIRN_SERVICES_SERVER_METRICS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace cairn::services {

// Labels are methods, codes, stages and kinds only, each of a closed set: no tenant and no
// collection, which have no bound and are nobody else's business. Thread-safe.
class Metrics {
 public:
  // `methods` are counted by name, all else as "other"; the same for the `stages` of requests.
  Metrics(const std::vector<std::string>& methods, const std::vector<std::string>& stages);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // cairn_requests_total{method,code}, cairn_request_seconds{method},
  // cairn_request_bytes_total{method} and cairn_response_bytes_total{method}. `code_name` is
  // gRPC's, such as "NOT_FOUND"; any other is counted as "UNKNOWN".
  void RecordRequest(std::string_view method, std::string_view code_name, double seconds,
                     uint64_t bytes_in, uint64_t bytes_out);
  // cairn_request_stage_seconds{method,stage}
  void RecordStage(std::string_view method, std::string_view stage, double seconds);

  // Of a generated answer: cairn_prompt_tokens_total{kind}, kinds being exact, reused, recomputed
  // and fresh, and cairn_prompt_loaded_bytes_total.
  struct Prompt {
    uint64_t exact_tokens = 0;
    uint64_t reused_tokens = 0;
    uint64_t recomputed_tokens = 0;
    uint64_t fresh_tokens = 0;
    uint64_t loaded_bytes = 0;
  };
  void RecordPrompt(const Prompt& prompt);

  // A gauge whose value is asked for whenever the text is made, on that thread; replaces one of the
  // same name. What `source` uses must live until it is replaced or removed. InvalidArgument where
  // the name is no metric's, or one of those above.
  absl::Status SetGaugeSource(std::string_view name, std::string_view help,
                              std::function<double()> source);
  // When this returns the source is not called any more. Not to be called from a source, no more
  // than SetGaugeSource.
  void RemoveGaugeSource(std::string_view name);

  // All of it, with process_resident_memory_bytes, process_open_fds, process_cpu_seconds_total and
  // process_start_time_seconds.
  std::string Text() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_METRICS_H_
