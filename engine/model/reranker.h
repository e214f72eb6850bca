// Models that read a query and a passage together and say how well the passage answers.
#ifndef CAIRN_ENGINE_MODEL_RERANKER_H_
#define CAIRN_ENGINE_MODEL_RERANKER_H_

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace cairn::engine {

// Thread-safe: all methods are const and may be called concurrently.
class Reranker {
 public:
  virtual ~Reranker() = default;

  // scores[i]: how well passages[i] answers `query`; higher is better. The model's raw output,
  // which has no fixed range; only scores of one query compare. What is too long for the model is
  // cut from the passage's end. Uses all of the model's threads. `is_cancelled` (may be null) is
  // asked from any of them, every few milliseconds; true ends the call with Cancelled.
  virtual absl::Status Score(std::string_view query, absl::Span<const std::string_view> passages,
                             absl::Span<float> scores,
                             const std::function<bool()>& is_cancelled) const = 0;
  absl::Status Score(std::string_view query, absl::Span<const std::string_view> passages,
                     absl::Span<float> scores) const {
    return Score(query, passages, scores, nullptr);
  }

  // Hex digest of everything that decides the scores.
  virtual const std::string& fingerprint() const = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_RERANKER_H_
