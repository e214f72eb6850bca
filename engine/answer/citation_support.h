// Whether a passage says what a sentence that cites it says, as far as words tell.
#ifndef CAIRN_ENGINE_ANSWER_CITATION_SUPPORT_H_
#define CAIRN_ENGINE_ANSWER_CITATION_SUPPORT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "chunking/text/analyzer.h"

namespace cairn::engine {

// A passage supports a sentence when so much of it is in a window of the passage: a sentence with a
// name or a figure put in the place of another one keeps about half of its weight.
inline constexpr float kMinSupport = 0.6f;
// Consecutive sentences of a passage that may support a sentence together.
inline constexpr size_t kSupportWindow = 3;

struct Support {
  float share = 0;       // Of the sentence's weight that the best window covers, 0 to 1.
  bool numbers = false;  // Whether all of the sentence's numbers are in that window.
  size_t begin = 0;      // The window's byte span in the passage's text.
  size_t end = 0;

  bool enough() const { return numbers && share >= kMinSupport; }
};

// The numbers written in digits in `text`, without separators of thousands, each once: "1,200" and
// "3.5th" give "1200" and "3.5". Signs and units are not part of them.
absl::flat_hash_set<std::string> NumbersIn(std::string_view text);

// Checks sentences against the passages they cite. The terms of a sentence (the collection's
// analyser, so stop words are none) weigh ln(1 + S / s) where s of the passages' S sentences have
// them, ln(1 + S) where none does. A window of at most kSupportWindow sentences of a passage covers
// the share of the weight whose terms it has. Terms and numbers that the passage's title has and
// the window has not are left out of account: texts rarely repeat what they are about. Among equal
// windows the shortest counts, then the first; one with all numbers comes before one without.
//
// Borrows analyser and passages. Thread-safe.
class SupportChecker {
 public:
  struct Passage {
    std::string_view text;
    std::string_view title;
  };

  SupportChecker(const chunking::Analyzer& analyzer, absl::Span<const Passage> passages);

  // A sentence without terms has no support.
  Support Check(std::string_view sentence, size_t passage) const;

 private:
  using Numbers = absl::flat_hash_set<std::string>;
  struct Sentence {
    size_t begin = 0;  // In the passage's text, without white space around it.
    size_t end = 0;
    absl::flat_hash_set<uint32_t> terms;
    Numbers numbers;
  };
  struct Source {
    std::vector<Sentence> sentences;
    absl::flat_hash_set<uint32_t> title_terms;
    Numbers title_numbers;
  };
  // What a sentence says: its terms with their weights, known ones by id.
  struct Claim {
    std::vector<std::pair<uint32_t, float>> terms;
    float unknown = 0;  // Weight of the terms that no passage has.
    Numbers numbers;
  };

  absl::flat_hash_set<uint32_t> Ids(std::string_view text);
  Claim Read(std::string_view sentence) const;
  static Support CheckWindow(const Claim& claim, const Source& source,
                             absl::Span<const Sentence> window);

  const chunking::Analyzer& analyzer_;
  absl::flat_hash_map<std::string, uint32_t> ids_;
  std::vector<float> weights_;  // By id.
  float unknown_weight_ = 0;
  std::vector<Source> sources_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_CITATION_SUPPORT_H_
