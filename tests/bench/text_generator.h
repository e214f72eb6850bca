// Generated text with the statistics of real collections, for benchmarks of any size.
#ifndef CAIRN_TESTS_BENCH_TEXT_GENERATOR_H_
#define CAIRN_TESTS_BENCH_TEXT_GENERATOR_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace cairn::bench {

// Documents of one passage each. Words follow the Zipf-Mandelbrot law (exponent 1.3) over 2
// million, of which a collection sees what it happens to draw: about 200,000 in 100,000 passages.
// The commonest are English function words, as in real text. Half of a passage's other words are
// its subject's, one of 2,000 that each prefer words of their own, so that passages, and their
// embeddings, form clusters. Lengths are log-normal: 75 words in the median, 85 on average. The
// same number gives the same document, on any machine.
class TextGenerator {
 public:
  TextGenerator() : cumulative_(kVocabulary) {
    double sum = 0;
    for (size_t i = 0; i < kVocabulary; ++i) {
      sum += std::pow(static_cast<double>(i) + 10, -1.3);
      cumulative_[i] = sum;
    }
  }

  std::string Passage(uint64_t number) const {
    std::mt19937_64 rng(number * 0x9e3779b97f4a7c15 + 1);
    const uint64_t subject = rng() % kSubjects;
    const size_t words = Length(rng);
    std::string text;
    size_t in_sentence = 0;
    for (size_t i = 0; i < words; ++i) {
      size_t rank = Draw(rng);
      if (rank >= kFunctionWords.size() && rng() % 2 == 0) rank = OfSubject(rank, subject);
      if (!text.empty()) text += ' ';
      const size_t at = text.size();
      AppendWord(rank, &text);
      if (in_sentence == 0) text[at] = static_cast<char>(text[at] - 'a' + 'A');
      if (++in_sentence > 8 && rng() % 8 == 0) {
        text += '.';
        in_sentence = 0;
      }
    }
    text += '.';
    return text;
  }

  // `terms` words of a passage, none of them a function word.
  std::string Query(uint64_t number, size_t terms) const {
    std::mt19937_64 rng(number * 0x9e3779b97f4a7c15 + 3);
    const uint64_t subject = rng() % kSubjects;
    std::string query;
    for (size_t i = 0; i < terms;) {
      size_t rank = Draw(rng);
      if (rank < kFunctionWords.size()) continue;
      if (rng() % 2 == 0) rank = OfSubject(rank, subject);
      if (i++ > 0) query += ' ';
      AppendWord(rank, &query);
    }
    return query;
  }

 private:
  static constexpr size_t kVocabulary = 2'000'000;
  static constexpr uint64_t kSubjects = 2000;
  static constexpr std::array<const char*, 32> kFunctionWords = {
      "the",  "of",   "and",  "to",   "in",  "is",    "that",  "for",   "it",   "as",  "was",
      "with", "be",   "by",   "on",   "not", "this",  "are",   "or",    "at",   "an",  "but",
      "if",   "they", "will", "such", "no",  "there", "their", "these", "then", "into"};

  size_t Draw(std::mt19937_64& rng) const {
    const double at =
        static_cast<double>(rng() >> 11) * 0x1p-53 * cumulative_.back();  // In [0, sum).
    return std::min<size_t>(
        std::upper_bound(cumulative_.begin(), cumulative_.end(), at) - cumulative_.begin(),
        kVocabulary - 1);
  }

  // The subject's word of that rank: one of the 40,000 commonest, the same each time.
  static size_t OfSubject(size_t rank, uint64_t subject) {
    return kFunctionWords.size() + (rank * 2'654'435'761 + subject * 40'503) % 40'000;
  }

  static size_t Length(std::mt19937_64& rng) {
    // Twelve uniform numbers add up to a normal one, the same everywhere.
    double normal = -6;
    for (int i = 0; i < 12; ++i) normal += static_cast<double>(rng() >> 11) * 0x1p-53;
    return std::clamp<size_t>(static_cast<size_t>(std::exp(4.32 + 0.5 * normal)), 5, 400);
  }

  // Two to five syllables, by rank: common words are short.
  static void AppendWord(size_t rank, std::string* out) {
    if (rank < kFunctionWords.size()) {
      *out += kFunctionWords[rank];
      return;
    }
    static constexpr const char* kSyllables[] = {
        "ba",  "ce",  "di",  "fo",  "gu",  "ha",  "je",  "ki",  "lo",  "mu",
        "na",  "pe",  "qui", "ro",  "su",  "ta",  "ve",  "wi",  "xo",  "yu",
        "za",  "bre", "cli", "dro", "flu", "gra", "ple", "sti", "tro", "vla",
        "men", "tor", "ran", "lis", "der", "kon", "pas", "gel", "mir", "sol"};
    constexpr size_t kCount = std::size(kSyllables);
    size_t left = rank + kCount;
    while (left > 0) {
      *out += kSyllables[left % kCount];
      left /= kCount;
    }
  }

  std::vector<double> cumulative_;
};

}  // namespace cairn::bench

#endif  // CAIRN_TESTS_BENCH_TEXT_GENERATOR_H_
