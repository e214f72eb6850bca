#include "engine/reranking.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "engine/preparation.h"

namespace cairn::engine {
namespace {

// Moves the scores of the hits from `first` on below all before.
void LowerRest(size_t first, std::vector<SearchHit>* hits) {
  if (first == 0 || first >= hits->size()) return;
  const float top = (*hits)[first].score;
  const float below = (*hits)[first - 1].score - 1;
  for (size_t i = first; i < hits->size(); ++i) {
    SearchHit& hit = (*hits)[i];
    hit.score = below - (top - hit.score);
  }
}

}  // namespace

absl::Status RerankHits(const Reranker& reranker, std::string_view query, size_t count,
                        std::vector<SearchHit>* hits, const std::function<bool()>& is_cancelled) {
  count = std::min(count, hits->size());
  if (count == 0) return absl::OkStatus();
  std::vector<std::string> texts;
  texts.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const SearchHit& hit = (*hits)[i];
    texts.push_back(ChunkContext(hit.title, hit.headings, hit.text).append(hit.text));
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> scores(count);
  absl::Status s = reranker.Score(query, views, absl::MakeSpan(scores), is_cancelled);
  if (!s.ok()) return s;
  for (size_t i = 0; i < count; ++i) {
    if (!std::isfinite(scores[i])) {
      return absl::InternalError("the reranker gave a score that is not a finite number");
    }
    (*hits)[i].score = scores[i];
    (*hits)[i].rerank.score = scores[i];
  }
  std::sort(hits->begin(), hits->begin() + static_cast<std::ptrdiff_t>(count),
            [](const SearchHit& a, const SearchHit& b) {
              return a.score != b.score ? a.score > b.score : a.chunk_id < b.chunk_id;
            });
  for (size_t i = 0; i < count; ++i) (*hits)[i].rerank.rank = static_cast<uint32_t>(i + 1);
  LowerRest(count, hits);
  return absl::OkStatus();
}

void KeepFirstOfEachDocument(std::vector<SearchHit>* hits) {
  absl::flat_hash_set<std::string> seen;
  const auto repeated = [&](const SearchHit& hit) { return !seen.insert(hit.document_id).second; };
  hits->erase(std::remove_if(hits->begin(), hits->end(), repeated), hits->end());
}

}  // namespace cairn::engine
