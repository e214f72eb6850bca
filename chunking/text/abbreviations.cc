#include "chunking/text/abbreviations.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string>

namespace cairn::chunking {
namespace {

// All lists are sorted, in lower case, without the last full stop.

// Before a name; the sentence always goes on.
constexpr std::string_view kTitles[] = {
    "adm",  "atty", "brig", "capt",   "cmdr", "col",  "cpl", "dr",  "fr",  "gen", "gov",
    "hon",  "lt",   "maj",  "messrs", "mlle", "mme",  "mr",  "mrs", "ms",  "mt",  "pres",
    "prof", "rep",  "reps", "rev",    "sen",  "sens", "sgt", "st",  "supt"};

// In running text; the sentence always goes on.
constexpr std::string_view kConnectives[] = {"approx", "ca", "cf",   "e.g", "eg",  "esp",
                                             "i.e",    "ie", "resp", "v",   "viz", "vs"};

// Before a number or label ("Fig. 3", "No. 7", "Eq. (2)", "Tab. A"), months included.
constexpr std::string_view kReferenceWords[] = {
    "alg", "app",  "apr", "art",  "aug", "bd",   "ch",   "chap", "cl",   "dec", "def",  "ed",
    "eq",  "eqn",  "eqs", "ex",   "feb", "fig",  "figs", "jan",  "jul",  "jun", "lem",  "mar",
    "no",  "nos",  "nov", "nr",   "nrs", "oct",  "op",   "p",    "para", "pp",  "prop", "pt",
    "ref", "refs", "sec", "sect", "sep", "sept", "tab",  "thm",  "ver",  "vol", "vols"};

// In the middle of a name as often as at a sentence's end: the next word decides.
constexpr std::string_view kAmbiguous[] = {
    "ave", "b.sc", "blvd", "bros", "co",  "corp", "dept", "dist", "ed.d", "est", "ft", "inc", "jr",
    "llc", "ltd",  "m.d",  "m.sc", "mfg", "mts",  "natl", "ph.d", "phd",  "rd",  "sr", "univ"};

// Words that open a sentence and hardly ever go on in a name or title (unlike "No").
constexpr std::string_view kOpeners[] = {
    "a",         "after",    "all",    "also",        "although",     "an",
    "and",       "another",  "any",    "as",          "at",           "because",
    "before",    "both",     "but",    "by",          "despite",      "did",
    "do",        "does",     "during", "each",        "even",         "finally",
    "first",     "for",      "from",   "furthermore", "given",        "had",
    "has",       "have",     "he",     "her",         "here",         "his",
    "how",       "however",  "i",      "if",          "in",           "indeed",
    "instead",   "is",       "it",     "its",         "later",        "many",
    "meanwhile", "moreover", "most",   "my",          "nevertheless", "next",
    "not",       "now",      "of",     "on",          "once",         "one",
    "only",      "or",       "other",  "our",         "over",         "several",
    "she",       "since",    "so",     "some",        "such",         "that",
    "the",       "their",    "then",   "there",       "therefore",    "these",
    "they",      "this",     "those",  "though",      "through",      "thus",
    "to",        "today",    "under",  "unlike",      "until",        "was",
    "we",        "were",     "what",   "when",        "where",        "whether",
    "which",     "while",    "who",    "why",         "will",         "with",
    "without",   "yet",      "you",    "your"};

template <size_t kSize>
constexpr bool IsSorted(const std::string_view (&words)[kSize]) {
  return std::is_sorted(std::begin(words), std::end(words));
}
static_assert(IsSorted(kTitles) && IsSorted(kConnectives) && IsSorted(kReferenceWords) &&
              IsSorted(kAmbiguous) && IsSorted(kOpeners));

template <size_t kSize>
bool Contains(const std::string_view (&sorted)[kSize], std::string_view word) {
  return std::binary_search(std::begin(sorted), std::end(sorted), word);
}

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return IsUpper(c) || (c >= 'a' && c <= 'z'); }
bool IsWordByte(char c) {
  return IsLetter(c) || IsDigit(c) || (static_cast<unsigned char>(c) & 0x80) != 0;
}

std::string Lower(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = static_cast<char>(IsUpper(c) ? c | 0x20 : c);
  return lower;
}

std::string_view WithoutOpeningMarks(std::string_view text) {
  constexpr size_t kMostMarks = 3;
  for (size_t i = 0; i < kMostMarks && !text.empty(); ++i) {
    if (text.front() != '"' && text.front() != '\'' && text.front() != '(' && text.front() != '[') {
      break;
    }
    text.remove_prefix(1);
  }
  return text;
}

// The letters and digits that `text` begins with.
std::string_view FirstWord(std::string_view text) {
  const size_t most = std::min<size_t>(text.size(), 24);
  size_t size = 0;
  while (size < most && IsWordByte(text[size])) ++size;
  return text.substr(0, size);
}

// The run of letters, digits, inner full stops and hyphens that `text` ends with.
std::string_view LastWord(std::string_view text) {
  size_t begin = text.size();
  const size_t least = text.size() > 24 ? text.size() - 24 : 0;
  while (begin > least && (IsWordByte(text[begin - 1]) || text[begin - 1] == '.')) --begin;
  return text.substr(begin);
}

bool OpensSentence(std::string_view next) {
  const std::string_view word = FirstWord(WithoutOpeningMarks(next));
  return !word.empty() && IsUpper(word.front()) && Contains(kOpeners, Lower(word));
}

// "3", "(2)", "A", "S1", "IV".
bool IsLabel(std::string_view next) {
  const std::string_view word = FirstWord(WithoutOpeningMarks(next));
  if (word.empty()) return false;
  if (IsDigit(word.front())) return true;
  if (word == "I" || word == "A") return word.size() < next.size() && next[word.size()] != ' ';
  if (IsUpper(word.front()) &&
      std::all_of(word.begin() + 1, word.end(), [](char c) { return IsDigit(c); })) {
    return true;
  }
  return word.find_first_not_of("IVXLC") == std::string_view::npos;
}

// "U.S", "p.m", "J.R.R": single letters with full stops between them.
bool IsDottedLetters(std::string_view word) {
  if (word.size() < 3 || word.size() % 2 == 0) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (i % 2 == 0 ? !IsLetter(word[i]) : word[i] != '.') return false;
  }
  return true;
}

// "1", "2.1", "IV", "A", "b": what numbers a heading or list item when nothing precedes it.
bool IsSectionNumber(std::string_view word) {
  if (word.empty()) return false;
  if (word.size() == 1) return IsLetter(word.front()) || IsDigit(word.front());
  if (word.find_first_not_of("0123456789.") == std::string_view::npos) return true;
  return word.size() <= 5 && word.find_first_not_of("IVXLC") == std::string_view::npos;
}

}  // namespace

bool FullStopAbbreviates(std::string_view before, std::string_view after) {
  const std::string_view word = LastWord(before);
  if (word.empty()) return false;
  const std::string_view preceding = before.substr(0, before.size() - word.size());
  const bool first = preceding.find_first_not_of(" \t\n\r([\"'") == std::string_view::npos;
  if (first && IsSectionNumber(word) && !(word == "I" && OpensSentence(after))) return true;
  if (word.size() == 1 && IsUpper(word.front())) return !OpensSentence(after);  // "J. Tolkien"
  const std::string lower = Lower(word);
  if (Contains(kConnectives, lower)) return true;
  if (Contains(kTitles, lower) && IsUpper(word.front())) {
    // "St." and "Dr." end street names as well.
    return !((lower == "st" || lower == "dr") && OpensSentence(after));
  }
  if (Contains(kReferenceWords, lower)) return IsLabel(after);
  if (lower == "al") {  // "et al. (2010)"
    return !after.empty() &&
           (after.front() == '(' || after.front() == '[' || IsDigit(after.front()));
  }
  if (Contains(kAmbiguous, lower) || IsDottedLetters(word)) return !OpensSentence(after);
  return false;
}

}  // namespace cairn::chunking
