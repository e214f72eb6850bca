#include "engine/answer/citation_support.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "chunking/text/sentence.h"
#include "engine/answer/characters.h"

namespace cairn::engine {

absl::flat_hash_set<std::string> NumbersIn(std::string_view text) {
  absl::flat_hash_set<std::string> numbers;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!IsDigit(text[i])) continue;
    std::string number;
    for (; i < text.size(); ++i) {
      const bool separates =
          (text[i] == ',' || text[i] == '.') && i + 1 < text.size() && IsDigit(text[i + 1]);
      if (!IsDigit(text[i]) && !separates) break;
      if (text[i] != ',') number.push_back(text[i]);
    }
    numbers.insert(std::move(number));
  }
  return numbers;
}

SupportChecker::SupportChecker(const chunking::Analyzer& analyzer,
                               absl::Span<const Passage> passages)
    : analyzer_(analyzer) {
  size_t sentences = 0;
  std::vector<size_t> containing;  // By id: sentences that have the term.
  for (const Passage& passage : passages) {
    Source& source = sources_.emplace_back();
    for (const chunking::Span& span : chunking::SplitSentences(passage.text)) {
      const std::string_view text = passage.text.substr(span.begin, span.size());
      const size_t first = text.find_first_not_of(kSpaces);
      if (first == std::string_view::npos) continue;
      Sentence& sentence = source.sentences.emplace_back();
      sentence.begin = span.begin + first;
      sentence.end = span.begin + text.find_last_not_of(kSpaces) + 1;
      sentence.terms = Ids(text);
      sentence.numbers = NumbersIn(text);
      containing.resize(ids_.size());
      for (const uint32_t id : sentence.terms) ++containing[id];
      ++sentences;
    }
    source.title_terms = Ids(passage.title);
    source.title_numbers = NumbersIn(passage.title);
  }
  containing.resize(ids_.size());
  const auto total = static_cast<float>(sentences);
  for (const size_t count : containing) {
    weights_.push_back(std::log1p(total / static_cast<float>(std::max<size_t>(count, 1))));
  }
  unknown_weight_ = std::log1p(total);
}

absl::flat_hash_set<uint32_t> SupportChecker::Ids(std::string_view text) {
  absl::flat_hash_set<uint32_t> ids;
  analyzer_.Analyze(text, [&](std::string_view term) {
    const auto next = static_cast<uint32_t>(ids_.size());
    ids.insert(ids_.try_emplace(std::string(term), next).first->second);
  });
  return ids;
}

SupportChecker::Claim SupportChecker::Read(std::string_view sentence) const {
  Claim claim;
  claim.numbers = NumbersIn(sentence);
  absl::flat_hash_set<std::string> seen;
  // In the order of the text: sums of weights come out the same every time.
  analyzer_.Analyze(sentence, [&](std::string_view view) {
    const std::string term(view);
    if (!seen.insert(term).second) return;
    const auto found = ids_.find(term);
    if (found == ids_.end()) {
      claim.unknown += unknown_weight_;
    } else {
      claim.terms.emplace_back(found->second, weights_[found->second]);
    }
  });
  return claim;
}

Support SupportChecker::CheckWindow(const Claim& claim, const Source& source,
                                    absl::Span<const Sentence> window) {
  Support support;
  support.begin = window.front().begin;
  support.end = window.back().end;
  const auto has = [&](uint32_t term) {
    return std::any_of(window.begin(), window.end(),
                       [&](const Sentence& s) { return s.terms.contains(term); });
  };
  float covered = 0, all = claim.unknown;
  for (const auto& [term, weight] : claim.terms) {
    if (has(term)) {
      covered += weight;
    } else if (source.title_terms.contains(term)) {
      continue;
    }
    all += weight;
  }
  support.share = all > 0 ? covered / all : 0;
  support.numbers =
      std::all_of(claim.numbers.begin(), claim.numbers.end(), [&](const std::string& number) {
        return source.title_numbers.contains(number) ||
               std::any_of(window.begin(), window.end(),
                           [&](const Sentence& s) { return s.numbers.contains(number); });
      });
  return support;
}

Support SupportChecker::Check(std::string_view sentence, size_t passage) const {
  const Source& source = sources_[passage];
  const Claim claim = Read(sentence);
  const absl::Span<const Sentence> sentences = source.sentences;
  Support best;
  for (size_t length = 1; length <= std::min(kSupportWindow, sentences.size()); ++length) {
    for (size_t first = 0; first + length <= sentences.size(); ++first) {
      const Support support = CheckWindow(claim, source, sentences.subspan(first, length));
      if (std::pair(support.numbers, support.share) > std::pair(best.numbers, best.share)) {
        best = support;
      }
    }
  }
  return best;
}

}  // namespace cairn::engine
