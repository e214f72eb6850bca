// Analysers: text to the terms that are indexed and searched.
#ifndef CAIRN_CHUNKING_TEXT_ANALYZER_H_
#define CAIRN_CHUNKING_TEXT_ANALYZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace cairn::chunking {

// Thread-safe: all methods are const and may be called concurrently.
class Analyzer {
 public:
  virtual ~Analyzer() = default;

  // Calls `sink` with each term of `text` in order. The view lives only during the call. Terms are
  // not empty and at most 255 bytes long (longer words are split there, as Lucene does).
  virtual void Analyze(std::string_view text,
                       absl::FunctionRef<void(std::string_view term)> sink) const = 0;

  // Stable name, stored with a collection.
  virtual std::string_view name() const = 0;

  std::vector<std::string> Terms(std::string_view text) const {
    std::vector<std::string> terms;
    Analyze(text, [&](std::string_view term) { terms.emplace_back(term); });
    return terms;
  }
};

// `name`: "english" (Lucene's EnglishAnalyzer chain: Unicode words, possessive 's removed, lower
// case, Lucene's 33 stop words, Porter stemmer), "none" (words split at white space, as they are,
// for identifiers), "unicode" (Unicode words, NFKC casefold, CJK as bigrams; no stemming), or one
// of Snowball's languages ("german", "french", ...: as "unicode", then stemmed). InvalidArgument
// listing the known names otherwise.
absl::StatusOr<std::unique_ptr<Analyzer>> MakeAnalyzer(std::string_view name);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_ANALYZER_H_
