#include "chunking/text/porter.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace cairn::chunking {
namespace {

// The word is b_[0, size_); stem_ is the length of what precedes the suffix last found.
template <typename Char>
class Stemmer {
 public:
  Stemmer(Char* word, size_t size) : b_(word), size_(size) {}

  size_t Run() {
    if (size_ <= 2) return size_;
    Plurals();
    PastAndGerund();
    FinalY();
    DoubleSuffixes();
    FullNess();
    LongSuffixes();
    FinalEAndL();
    return size_;
  }

 private:
  struct Rule {
    std::string_view suffix;
    std::string_view replacement;
  };

  bool IsConsonant(size_t i) const {
    switch (b_[i]) {
      case 'a':
      case 'e':
      case 'i':
      case 'o':
      case 'u':
        return false;
      case 'y':
        return i == 0 || !IsConsonant(i - 1);
      default:
        return true;
    }
  }

  // m of the paper: the number of vowel-consonant sequences in the stem.
  size_t Measure() const {
    size_t measure = 0;
    bool vowel = false;
    for (size_t i = 0; i < stem_; ++i) {
      // "y" is a consonant after a vowel and at the start.
      const bool consonant = b_[i] == 'y' ? (i == 0 || vowel) : IsConsonant(i);
      if (consonant && vowel) ++measure;
      vowel = !consonant;
    }
    return measure;
  }

  bool StemHasVowel() const {
    for (size_t i = 0; i < stem_; ++i) {
      if (!IsConsonant(i)) return true;
    }
    return false;
  }

  // Whether the word's first `size` characters end in a double consonant.
  bool EndsDouble(size_t size) const {
    return size >= 2 && b_[size - 1] == b_[size - 2] && IsConsonant(size - 1);
  }

  // Whether the word's first `size` characters end in consonant, vowel, consonant, the last not w,
  // x or y ("hop").
  bool EndsShort(size_t size) const {
    if (size < 3 || !IsConsonant(size - 1) || IsConsonant(size - 2) || !IsConsonant(size - 3)) {
      return false;
    }
    const Char last = b_[size - 1];
    return last != 'w' && last != 'x' && last != 'y';
  }

  bool Ends(std::string_view suffix) {
    if (suffix.size() > size_) return false;
    const size_t stem = size_ - suffix.size();
    for (size_t i = 0; i < suffix.size(); ++i) {
      if (b_[stem + i] != static_cast<Char>(suffix[i])) return false;
    }
    stem_ = stem;
    return true;
  }

  void SetSuffix(std::string_view suffix) {
    std::copy(suffix.begin(), suffix.end(), b_ + stem_);
    size_ = stem_ + suffix.size();
  }

  // Applies the first rule whose suffix is there, if the stem's measure is positive.
  template <size_t kRules>
  void ApplyFirst(const Rule (&rules)[kRules]) {
    for (const Rule& rule : rules) {
      if (!Ends(rule.suffix)) continue;
      if (Measure() > 0) SetSuffix(rule.replacement);
      return;
    }
  }

  void Plurals() {  // Step 1a.
    if (b_[size_ - 1] != 's') return;
    if (Ends("sses")) {
      size_ -= 2;
    } else if (Ends("ies")) {
      SetSuffix("i");
    } else if (b_[size_ - 2] != 's') {
      --size_;
    }
  }

  void PastAndGerund() {  // Step 1b.
    if (Ends("eed")) {
      if (Measure() > 0) --size_;
      return;
    }
    if (!(Ends("ed") || Ends("ing")) || !StemHasVowel()) return;
    size_ = stem_;
    if (Ends("at")) {
      SetSuffix("ate");
    } else if (Ends("bl")) {
      SetSuffix("ble");
    } else if (Ends("iz")) {
      SetSuffix("ize");
    } else if (EndsDouble(size_)) {
      const Char last = b_[size_ - 1];
      if (last != 'l' && last != 's' && last != 'z') --size_;
    } else if (Measure() == 1 && EndsShort(size_)) {
      SetSuffix("e");
    }
  }

  void FinalY() {  // Step 1c.
    if (Ends("y") && StemHasVowel()) b_[size_ - 1] = 'i';
  }

  void DoubleSuffixes() {  // Step 2.
    if (size_ < 2) return;
    switch (b_[size_ - 2]) {
      case 'a':
        return ApplyFirst({{"ational", "ate"}, {"tional", "tion"}});
      case 'c':
        return ApplyFirst({{"enci", "ence"}, {"anci", "ance"}});
      case 'e':
        return ApplyFirst({{"izer", "ize"}});
      case 'l':
        return ApplyFirst(
            {{"bli", "ble"}, {"alli", "al"}, {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}});
      case 'o':
        return ApplyFirst({{"ization", "ize"}, {"ation", "ate"}, {"ator", "ate"}});
      case 's':
        return ApplyFirst(
            {{"alism", "al"}, {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}});
      case 't':
        return ApplyFirst({{"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"}});
      case 'g':
        return ApplyFirst({{"logi", "log"}});
      default:
        return;
    }
  }

  void FullNess() {  // Step 3.
    switch (b_[size_ - 1]) {
      case 'e':
        return ApplyFirst({{"icate", "ic"}, {"ative", ""}, {"alize", "al"}});
      case 'i':
        return ApplyFirst({{"iciti", "ic"}});
      case 'l':
        return ApplyFirst({{"ical", "ic"}, {"ful", ""}});
      case 's':
        return ApplyFirst({{"ness", ""}});
      default:
        return;
    }
  }

  // Finds the suffix that step 4 removes.
  bool FindLongSuffix() {
    switch (b_[size_ - 2]) {
      case 'a':
        return Ends("al");
      case 'c':
        return Ends("ance") || Ends("ence");
      case 'e':
        return Ends("er");
      case 'i':
        return Ends("ic");
      case 'l':
        return Ends("able") || Ends("ible");
      case 'n':
        return Ends("ant") || Ends("ement") || Ends("ment") || Ends("ent");
      case 'o':
        if (Ends("ion") && stem_ > 0 && (b_[stem_ - 1] == 's' || b_[stem_ - 1] == 't')) return true;
        return Ends("ou");
      case 's':
        return Ends("ism");
      case 't':
        return Ends("ate") || Ends("iti");
      case 'u':
        return Ends("ous");
      case 'v':
        return Ends("ive");
      case 'z':
        return Ends("ize");
      default:
        return false;
    }
  }

  void LongSuffixes() {  // Step 4.
    if (size_ >= 2 && FindLongSuffix() && Measure() > 1) size_ = stem_;
  }

  void FinalEAndL() {  // Step 5.
    // The measure is that of the whole word: its last character, a vowel or part of a double
    // consonant, does not count.
    stem_ = size_;
    if (b_[size_ - 1] == 'e') {
      const size_t measure = Measure();
      if (measure > 1 || (measure == 1 && !EndsShort(size_ - 1))) --size_;
    }
    if (b_[size_ - 1] == 'l' && EndsDouble(size_) && Measure() > 1) --size_;
  }

  Char* b_;
  size_t size_;
  size_t stem_ = 0;
};

}  // namespace

template <typename Char>
size_t PorterStem(Char* word, size_t size) {
  return Stemmer<Char>(word, size).Run();
}

template size_t PorterStem<char>(char* word, size_t size);
template size_t PorterStem<char32_t>(char32_t* word, size_t size);

}  // namespace cairn::chunking
