// Ends a stream of text at the first of some strings.
#ifndef CAIRN_ENGINE_GENERATION_STOP_STRINGS_H_
#define CAIRN_ENGINE_GENERATION_STOP_STRINGS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace cairn::engine {

// InvalidArgument for a string that is empty, above 1,024 bytes or not UTF-8, or for more than 64.
absl::Status CheckStopStrings(const std::vector<std::string>& strings);

// Hands text through, but keeps back what may be the beginning of a stop string. However the text
// is cut up, the outcome is the same: the string that is complete first ends it, the longest among
// those that end at the same byte, and the text is what came before that string. Not thread-safe.
class StopStrings {
 public:
  // `strings` have passed CheckStopStrings; none means that nothing stops.
  explicit StopStrings(std::vector<std::string> strings);

  // The text that can be shown now: whole characters where `text` has those. After a match: empty.
  std::string Append(std::string_view text);
  // Whether a stop string has come, and which.
  bool stopped() const { return matched_.has_value(); }
  const std::string& matched() const { return strings_[*matched_]; }
  // What was kept back, for a text that ends here without a stop string.
  std::string Finish();

 private:
  std::vector<std::string> strings_;
  std::optional<size_t> matched_;
  std::string pending_;  // Kept back: a proper prefix of one of the strings.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_STOP_STRINGS_H_
