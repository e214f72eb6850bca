#include "engine/answer/extractive_answer.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "chunking/text/sentence.h"
#include "engine/preparation.h"
#include "engine/stopwatch.h"
#include "index/cancellation.h"
#include "index/tail.h"

namespace cairn::engine {
namespace {

constexpr float kSimilarityWeight = 0.45f;
constexpr float kCoverageWeight = 0.35f;
constexpr float kPassageWeight = 0.2f;
// Maximal marginal relevance: how much of a sentence's score it loses by repeating a chosen one.
constexpr float kRedundancyPenalty = 0.5f;
// What does not end like a sentence is more often a caption or a list's item than an answer.
constexpr float kFragmentPenalty = 0.1f;
// Shorter sentences are headings and fragments; longer ones are not sentences.
constexpr size_t kMinSentenceTerms = 3;
constexpr size_t kMaxSentenceBytes = 1200;
constexpr size_t kMaxSentencesAsked = 100;
// Embedded between two looks at the cancellation.
constexpr size_t kSentencesTogether = 32;

struct Candidate {
  size_t passage = 0;
  size_t begin = 0;  // In the passage's text.
  std::string_view text;
  float score = 0;
  size_t row = 0;  // Of the vectors.
};

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n\r") - first + 1);
}

// Ends with punctuation, perhaps inside closing quotes or brackets.
bool EndsLikeASentence(std::string_view text) {
  const size_t last = text.find_last_not_of("\"')]\x80\x99\x9d\xe2");
  return last != std::string_view::npos &&
         std::string_view(".!?:").find(text[last]) != std::string_view::npos;
}

float Dot(const float* a, const float* b, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// The question's terms with the weight each carries: rarer among the passages' sentences weighs
// more, ln(1 + S / s) over S sentences of which s have the term.
class Coverage {
 public:
  Coverage(const chunking::Analyzer& analyzer, std::string_view question) : analyzer_(analyzer) {
    for (const std::string& t : analyzer.Terms(question)) weights_.try_emplace(t, 0.0f);
  }

  // The question's terms that occur in `text`, and the number of all terms in it.
  absl::flat_hash_set<std::string> Find(std::string_view text, size_t* length) const {
    absl::flat_hash_set<std::string> found;
    *length = 0;
    analyzer_.Analyze(text, [&](std::string_view term) {
      ++*length;
      const std::string owned(term);
      if (weights_.contains(owned)) found.insert(owned);
    });
    return found;
  }

  void Weigh(const std::vector<absl::flat_hash_set<std::string>>& sentences) {
    for (auto& [term, weight] : weights_) {
      size_t with = 0;
      for (const auto& s : sentences) with += s.contains(term);
      weight = with == 0
                   ? 0.0f
                   : std::log1p(static_cast<float>(sentences.size()) / static_cast<float>(with));
      total_ += weight;
    }
  }

  float Of(const absl::flat_hash_set<std::string>& found) const {
    float sum = 0;
    for (const std::string& t : found) sum += weights_.find(t)->second;
    return total_ > 0 ? sum / total_ : 0.0f;
  }

 private:
  const chunking::Analyzer& analyzer_;
  absl::flat_hash_map<std::string, float> weights_;
  float total_ = 0;
};

// How good a passage is beside the best one, 0 to 1. A reranker's scores are logits, and may be
// negative: their differences count.
float PassageShare(const SearchHit& passage, const SearchHit& best) {
  if (best.rerank.rank > 0) return std::exp(passage.score - best.score);
  return passage.score / std::max(best.score, 1e-6f);
}

// The sentences of all passages that could stand in an answer.
std::vector<Candidate> CollectSentences(const std::vector<SearchHit>& passages) {
  std::vector<Candidate> candidates;
  absl::flat_hash_set<std::string_view, index::StringViewHash, std::equal_to<>> seen;
  for (size_t p = 0; p < passages.size(); ++p) {
    const std::string_view text = passages[p].text;
    for (const chunking::Span& span : chunking::SplitSentences(text)) {
      const std::string_view sentence = Trim(text.substr(span.begin, span.size()));
      if (sentence.empty() || sentence.size() > kMaxSentenceBytes || sentence.front() == '#' ||
          sentence.find(" | ") != std::string_view::npos) {
        continue;  // Nothing, no sentence, a heading, a row of a table.
      }
      const std::vector<std::string>& headings = passages[p].headings;
      if (std::find(headings.begin(), headings.end(), sentence) != headings.end()) continue;
      if (!seen.insert(sentence).second) continue;
      Candidate c;
      c.passage = p;
      c.begin = static_cast<size_t>(sentence.data() - text.data());
      c.text = sentence;
      candidates.push_back(c);
    }
  }
  return candidates;
}

// The candidates that say enough, and which of the question's terms each has.
std::vector<absl::flat_hash_set<std::string>> FindTerms(const Coverage& coverage,
                                                        std::vector<Candidate>* candidates) {
  std::vector<absl::flat_hash_set<std::string>> found_terms;
  size_t kept = 0;
  for (const Candidate& c : *candidates) {
    size_t length = 0;
    auto terms = coverage.Find(c.text, &length);
    if (length < kMinSentenceTerms) continue;
    (*candidates)[kept++] = c;
    found_terms.push_back(std::move(terms));
  }
  candidates->resize(kept);
  return found_terms;
}

// The vectors [1 + candidates][dim]: the question's, then the sentences'.
absl::StatusOr<std::vector<float>> Embed(const Embedder& embedder, std::string_view question,
                                         const std::vector<Candidate>& candidates,
                                         const index::Cancellation& cancellation) {
  std::vector<std::string_view> texts;
  for (const Candidate& c : candidates) texts.push_back(c.text);
  const size_t dim = embedder.dim();
  std::vector<float> vectors((1 + texts.size()) * dim);
  const absl::Span<float> all = absl::MakeSpan(vectors);
  absl::Status embedded = embedder.Embed(TextKind::kQuery, {question}, all.first(dim));
  for (size_t i = 0; embedded.ok() && i < texts.size(); i += kSentencesTogether) {
    const auto some = absl::MakeConstSpan(texts).subspan(i, kSentencesTogether);
    embedded = cancellation.Check();
    if (!embedded.ok()) break;
    embedded =
        embedder.Embed(TextKind::kPassage, some, all.subspan((1 + i) * dim, some.size() * dim));
  }
  if (!embedded.ok()) return embedded;
  return vectors;
}

// At most `count` of the candidates, by maximal marginal relevance.
std::vector<Candidate> Choose(std::vector<Candidate> candidates, const std::vector<float>& vectors,
                              size_t dim, size_t count) {
  std::vector<Candidate> chosen;
  while (chosen.size() < count && !candidates.empty()) {
    size_t best = 0;
    float best_value = -1e9f;
    for (size_t i = 0; i < candidates.size(); ++i) {
      float repeated = 0;
      for (const Candidate& other : chosen) {
        repeated = std::max(repeated,
                            Dot(&vectors[candidates[i].row * dim], &vectors[other.row * dim], dim));
      }
      const float value = candidates[i].score - kRedundancyPenalty * repeated;
      if (value > best_value) {
        best_value = value;
        best = i;
      }
    }
    chosen.push_back(candidates[best]);
    candidates.erase(candidates.begin() + static_cast<ptrdiff_t>(best));
  }
  return chosen;
}

void AppendSentence(const Candidate& c, AskResponse* response) {
  const SearchHit& passage = response->passages[c.passage];
  AnswerSentence& sentence = response->sentences.emplace_back();
  sentence.text = c.text;
  sentence.score = c.score;
  sentence.supported = true;
  Citation& citation = sentence.citations.emplace_back();
  citation.document_id = passage.document_id;
  citation.chunk_id = passage.chunk_id;
  citation.begin = passage.begin + c.begin;
  citation.end = citation.begin + c.text.size();
  citation.title = passage.title;
  citation.source_uri = passage.source_uri;
  citation.passage = c.passage;
  citation.support = 1;
  absl::StrAppend(&response->answer, response->answer.empty() ? "" : " ", sentence.text);
}

// Scores the passages' sentences and appends the best ones to `response`.
absl::Status ChooseSentences(const SearchContext& context, const AskRequest& request,
                             AskResponse* response) {
  const index::Cancellation cancellation(request.is_cancelled);
  std::vector<Candidate> candidates = CollectSentences(response->passages);
  Coverage coverage(*context.analyzer, request.question);
  const std::vector<absl::flat_hash_set<std::string>> found_terms =
      FindTerms(coverage, &candidates);
  if (candidates.empty()) return absl::OkStatus();
  if (absl::Status s = cancellation.Check(); !s.ok()) return s;
  coverage.Weigh(found_terms);
  absl::StatusOr<std::vector<float>> vectors =
      Embed(*context.embedder, request.question, candidates, cancellation);
  if (!vectors.ok()) return vectors.status();
  const size_t dim = context.embedder->dim();
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate& c = candidates[i];
    c.row = i + 1;
    c.score =
        kSimilarityWeight * Dot(vectors->data(), &(*vectors)[c.row * dim], dim) +
        kCoverageWeight * coverage.Of(found_terms[i]) +
        kPassageWeight * PassageShare(response->passages[c.passage], response->passages.front()) -
        (EndsLikeASentence(c.text) ? 0.0f : kFragmentPenalty);
  }
  for (const Candidate& c : Choose(std::move(candidates), *vectors, dim, request.sentences)) {
    AppendSentence(c, response);
  }
  return absl::OkStatus();
}

// Tells the caller who follows the answer, as a generated one would.
void Report(const AskRequest& request, const AskResponse& response) {
  if (request.on_passages) request.on_passages(response.passages);
  for (size_t i = 0; i < response.sentences.size(); ++i) {
    if (request.on_text) request.on_text((i > 0 ? " " : "") + response.sentences[i].text);
    if (request.on_sentence) request.on_sentence(response.sentences[i]);
  }
  if (request.on_usage) request.on_usage(response.usage, response.timings);
}

}  // namespace

absl::StatusOr<AskResponse> AnswerExtractively(const SearchContext& context,
                                               const AskRequest& request) {
  if (request.sentences < 1 || request.sentences > kMaxSentencesAsked) {
    return absl::InvalidArgumentError(absl::StrCat("sentences must be 1 to ", kMaxSentencesAsked));
  }
  Stopwatch watch;
  SearchRequest search;
  search.collection = request.collection;
  search.query = request.question;
  search.k = request.passages;
  search.filter = request.filter;
  search.rerank = request.rerank;
  search.is_cancelled = request.is_cancelled;
  absl::StatusOr<SearchResponse> found = RunSearch(context, search);
  if (!found.ok()) return found.status();
  AskResponse response;
  response.mode = AskMode::kExtractive;
  response.passages = std::move(found->hits);
  response.timings.retrieve = watch.Lap();
  if (absl::Status s = ChooseSentences(context, request, &response); !s.ok()) return s;
  response.timings.select = watch.Lap();
  response.timings.total = response.timings.retrieve + response.timings.select;
  Report(request, response);
  return response;
}

}  // namespace cairn::engine
