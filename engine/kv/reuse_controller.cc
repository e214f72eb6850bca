#include "engine/kv/reuse_controller.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cairn::engine {
namespace {

// What a new measurement counts against those before it.
constexpr double kNew = 0.25;
// Less than this says more of the clock than of the machine.
constexpr double kLeastSeconds = 1e-3;

void Mix(double measured, double* rate) {
  *rate = *rate == 0 ? measured : (1 - kNew) * *rate + kNew * measured;
}

ReuseDecision Everything(std::string reason) {
  ReuseDecision decision;
  decision.options.method = ReuseMethod::kFull;
  decision.reason = std::move(reason);
  return decision;
}

}  // namespace

ReuseDecision ReuseController::Decide(const ReusePrompt& prompt) const {
  if (prompt.quality == ReuseQuality::kExact) return Everything("asked for");
  if (prompt.gates != "ok") {
    return Everything(absl::StrCat("the model's gates do not hold: ", prompt.gates));
  }
  if (prompt.cached_rows == 0) {
    return Everything(prompt.missing_chunks == 0 ? "no chunks" : "none of the chunks is cached");
  }
  Rates rates;
  {
    absl::MutexLock lock(&mutex_);
    rates = rates_;
  }
  if (rates.rows == 0) rates.rows = options_.rows_per_second;
  if (rates.bytes == 0) rates.bytes = options_.bytes_per_second;
  const auto layers = static_cast<double>(prompt.layers);
  const auto cached = static_cast<double>(prompt.cached_rows);
  const double fresh = static_cast<double>(prompt.rows) - cached;
  const double load = static_cast<double>(prompt.cached_bytes) / rates.bytes;
  const double full = static_cast<double>(prompt.rows) / rates.rows;

  ReuseDecision decision;
  const bool knowing = prompt.source == KvSource::kDocument;
  const bool fast = knowing || prompt.quality == ReuseQuality::kFast;
  decision.options.method = fast ? ReuseMethod::kReposition : ReuseMethod::kCacheBlend;
  decision.options.share = fast ? 0 : options_.share;
  const bool crafted = !fast && prompt.source == KvSource::kPrompt;
  if (crafted) decision.options.method = ReuseMethod::kCacheCraft;
  // Layers with all rows.
  const double checked = fast || crafted ? 0 : decision.options.check_layer;
  if (crafted) {
    decision.options.share = options_.most_share;
  } else if (!fast && prompt.layers > 1) {
    const double hidden = load * rates.rows * layers / (cached * (layers - checked));
    decision.options.share = std::clamp(hidden, options_.share, options_.most_share);
  }
  const double share =
      crafted ? std::min(decision.options.share, static_cast<double>(prompt.fix_rows) / cached)
              : decision.options.share;
  decision.share = share;
  const double again = checked + share * (layers - checked);
  const double reuse = load + (fresh + cached * again / layers) / rates.rows;
  if (reuse > options_.worth * full) {
    return Everything(absl::StrFormat(
        "shorter than the break-even: reuse would take %.0f ms of %.0f", reuse * 1e3, full * 1e3));
  }
  if (prompt.quality == ReuseQuality::kFast) {
    decision.reason = "asked for";
  } else if (knowing) {
    decision.reason = "chunks know their documents";
  } else {
    decision.reason = absl::StrFormat("share %.2f", share);
  }
  if (prompt.missing_chunks > 0) {
    absl::StrAppend(&decision.reason, "; chunks without a cache: ", prompt.missing_chunks);
  }
  return decision;
}

void ReuseController::Learn(const ReuseUsage& usage, size_t rows) {
  const double computed = usage.charged * static_cast<double>(rows);
  const double seconds = usage.select_seconds + usage.compute_seconds;
  absl::MutexLock lock(&mutex_);
  if (computed > 0 && seconds > kLeastSeconds) Mix(computed / seconds, &rates_.rows);
  if (usage.loaded_bytes > 0 && usage.load_seconds > kLeastSeconds) {
    Mix(static_cast<double>(usage.loaded_bytes) / usage.load_seconds, &rates_.bytes);
  }
}

}  // namespace cairn::engine
