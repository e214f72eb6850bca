// Progress on a terminal.
#ifndef CAIRN_SERVICES_PROGRESS_BAR_H_
#define CAIRN_SERVICES_PROGRESS_BAR_H_

#include <chrono>
#include <string>

#include "engine/engine.h"

namespace cairn::services {

// One line on standard error with share, rate and time left, redrawn at most ten times a second.
// Draws nothing when standard error is not a terminal. Not thread-safe.
class ProgressBar {
 public:
  ProgressBar();
  void Update(const IngestProgress& progress);
  // Of work that is counted in documents.
  void UpdateShare(uint64_t done, uint64_t total);
  // Clears the line, so that messages can be printed; the next Update draws it again.
  void Clear();
  bool visible() const { return terminal_; }

 private:
  // False when it is not to be drawn yet.
  bool IsDue();

  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_{};
};

// "1.5 MiB", "640 B".
std::string HumanBytes(double bytes);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_PROGRESS_BAR_H_
