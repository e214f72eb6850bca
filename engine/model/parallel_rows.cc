#include "engine/model/parallel_rows.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

namespace cairn::engine {
namespace {

constexpr uint64_t kBytes = 4 << 20;  // Of all threads' runs together.

struct Run {
  std::unique_ptr<char[]> bytes;
  uint64_t begin = 0;
  uint64_t end = 0;
  absl::Status status;
};

}  // namespace

absl::Status ComputeRows(
    uint64_t rows, uint64_t row_bytes, size_t threads,
    absl::FunctionRef<absl::Status(uint64_t begin, uint64_t end, char* out)> compute,
    absl::FunctionRef<absl::Status(std::string_view bytes)> write) {
  std::vector<Run> runs(std::max<size_t>(threads, 1));
  const uint64_t run_bytes = kBytes / runs.size();
  const uint64_t run_rows = std::clamp<uint64_t>(run_bytes / std::max<uint64_t>(row_bytes, 1), 1,
                                                 std::max<uint64_t>(rows, 1));
  for (Run& run : runs) run.bytes = std::make_unique_for_overwrite<char[]>(run_rows * row_bytes);

  for (uint64_t next = 0; next < rows;) {
    std::vector<std::thread> workers;
    for (Run& run : runs) {
      run.begin = next;
      run.end = next = std::min(rows, next + run_rows);
      if (run.begin == run.end) continue;
      const auto work = [&run, &compute] {
        run.status = compute(run.begin, run.end, run.bytes.get());
      };
      // The last run is this thread's.
      if (&run == &runs.back() || next == rows) {
        work();
      } else {
        workers.emplace_back(work);
      }
    }
    for (std::thread& worker : workers) worker.join();
    for (const Run& run : runs) {
      if (run.begin == run.end) continue;
      if (!run.status.ok()) return run.status;
      const absl::Status status = write({run.bytes.get(), (run.end - run.begin) * row_bytes});
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn::engine
