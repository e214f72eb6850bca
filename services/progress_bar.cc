#include "services/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_format.h"

namespace cairn::services {
namespace {

constexpr int kBarWidth = 30;
constexpr std::chrono::milliseconds kRedraw{100};

}  // namespace

ProgressBar::ProgressBar()
    : terminal_(::isatty(STDERR_FILENO) != 0), start_(std::chrono::steady_clock::now()) {}

bool ProgressBar::IsDue() {
  if (!terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kRedraw) return false;
  drawn_ = now;
  return true;
}

void ProgressBar::UpdateShare(uint64_t done, uint64_t total) {
  if (!IsDue() || total == 0) return;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int filled = static_cast<int>(share * kBarWidth);
  std::fprintf(stderr, "%s",
               absl::StrFormat("\r\x1b[K[%s%s] %3.0f%%  %d documents", std::string(filled, '#'),
                               std::string(kBarWidth - filled, '.'), share * 100, done)
                   .c_str());
  std::fflush(stderr);
}

void ProgressBar::Update(const IngestProgress& progress) {
  if (!IsDue()) return;
  const double seconds = std::max(std::chrono::duration<double>(drawn_ - start_).count(), 1e-3);
  const auto read = static_cast<double>(progress.bytes_read);
  const double rate = read / seconds;
  std::string line;
  if (progress.bytes_total > 0) {
    const double share = std::min(1.0, read / static_cast<double>(progress.bytes_total));
    const int filled = static_cast<int>(share * kBarWidth);
    const double left = std::min(
        (static_cast<double>(progress.bytes_total) - read) / std::max(rate, 1.0), 359999.0);
    line = absl::StrFormat("[%s%s] %3.0f%%  ", std::string(filled, '#'),
                           std::string(kBarWidth - filled, '.'), share * 100);
    absl::StrAppendFormat(&line, "%d:%02d left  ", static_cast<int>(left) / 60,
                          static_cast<int>(std::max(left, 0.0)) % 60);
  }
  absl::StrAppendFormat(&line, "%d documents  %s/s", progress.documents, HumanBytes(rate));
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
}

void ProgressBar::Clear() {
  if (terminal_) std::fprintf(stderr, "\r\x1b[K");
  drawn_ = {};
}

std::string HumanBytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, bytes, kUnits[unit]);
}

}  // namespace cairn::services
