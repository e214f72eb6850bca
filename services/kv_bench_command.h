// cairn bench kv.
#ifndef CAIRN_SERVICES_KV_BENCH_COMMAND_H_
#define CAIRN_SERVICES_KV_BENCH_COMMAND_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/kv/kv_benchmark.h"
#include "engine/kv/kv_workload.h"
#include "engine/kv/reader_benchmark.h"
#include "engine/model/checkpoint.h"
#include "services/decoder_flags.h"
#include "services/json_output.h"

namespace CLI {
class App;
}

namespace cairn::services {

class KvBenchCommand {
 public:
  // Adds it to `parent`, and its flags; both end after Run.
  CLI::App* Register(CLI::App* parent);
  int Run();

 private:
  int RunTimes();
  int RunWorkload();
  int RunReader();
  // What --model and --shape say.
  absl::StatusOr<std::unique_ptr<engine::Checkpoint>> OpenSubject() const;
  // What both reports of times have.
  void AddSubject(Json* json) const;
  absl::StatusOr<engine::ReaderBenchmarkResult> Answer();
  // Writes what --plot asks for.
  absl::Status WritePlot(const std::string& svg) const;

  std::string model_, shape_, format_ = "q8_0";
  std::string source_ = "document", encoding_ = "f16";
  std::string reader_, questions_, arms_ = "all";
  std::string plot_;
  engine::KvBenchmarkOptions times_;
  engine::KvWorkloadOptions workload_;
  engine::ReaderBenchmarkOptions answers_;
  DecoderFlags decoder_;
  bool memory_only_ = false;
  bool json_ = false;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_KV_BENCH_COMMAND_H_
