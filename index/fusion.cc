#include "index/fusion.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace cairn::index {
namespace {

constexpr float kLeastBm25 = 0;
constexpr float kLeastCosine = -1;

// phi of one list, by what it needs to know of the list.
class Phi {
 public:
  Phi(absl::Span<const ScoredChunk> list, float least, const FusionOptions& options)
      : options_(options) {
    if (list.empty()) return;
    low_ = options.normalization == Normalization::kMinMax ? list.back().score : least;
    range_ = list.front().score - low_;
  }

  ComponentScore InList(size_t position, float score) const {
    const auto rank = static_cast<uint32_t>(position + 1);
    return {rank, true, score,
            options_.method == FusionMethod::kRrf
                ? 1.0f / (options_.rrf_constant + static_cast<float>(rank))
                : Of(score)};
  }

  // A chunk below the list's end has at most the list's last score, so phi is 0 for kMinMax.
  ComponentScore Apart(float score) const {
    return {0, true, score, score < low_ ? 0.0f : std::max(Of(score), 0.0f)};
  }

 private:
  float Of(float score) const { return range_ > 0 ? (score - low_) / range_ : 1.0f; }

  const FusionOptions& options_;
  float low_ = 0;
  float range_ = 0;
};

}  // namespace

std::vector<FusedChunk> Fuse(absl::Span<const ScoredChunk> lexical,
                             absl::Span<const ScoredChunk> vector,
                             absl::Span<const float> lexical_cosines,
                             const FusionOptions& options) {
  const bool rrf = options.method == FusionMethod::kRrf;
  const Phi lexical_phi(lexical, kLeastBm25, options);
  const Phi vector_phi(vector, kLeastCosine, options);
  std::vector<FusedChunk> fused;
  fused.reserve(lexical.size() + vector.size());
  absl::flat_hash_map<ChunkId, size_t> position;
  position.reserve(lexical.size());
  for (size_t i = 0; i < lexical.size(); ++i) {
    FusedChunk& f = fused.emplace_back();
    f.chunk = lexical[i].chunk;
    f.document = lexical[i].document;
    f.lexical = lexical_phi.InList(i, lexical[i].score);
    if (!rrf && !lexical_cosines.empty() && !std::isnan(lexical_cosines[i])) {
      f.vector = vector_phi.Apart(lexical_cosines[i]);
    }
    position.emplace(f.chunk, i);
  }
  for (size_t i = 0; i < vector.size(); ++i) {
    const auto it = position.find(vector[i].chunk);
    FusedChunk& f = it != position.end() ? fused[it->second] : fused.emplace_back();
    f.chunk = vector[i].chunk;
    f.document = vector[i].document;
    f.vector = vector_phi.InList(i, vector[i].score);
  }
  const float lexical_weight = rrf ? 1.0f : 1.0f - options.alpha;
  const float vector_weight = rrf ? 1.0f : options.alpha;
  for (FusedChunk& f : fused) {
    f.score = vector_weight * f.vector.normalized + lexical_weight * f.lexical.normalized;
  }
  std::sort(fused.begin(), fused.end(), [](const FusedChunk& a, const FusedChunk& b) {
    return a.score != b.score ? a.score > b.score : a.chunk < b.chunk;
  });
  return fused;
}

std::vector<FusedChunk> FromLexical(absl::Span<const ScoredChunk> lexical) {
  std::vector<FusedChunk> out(lexical.size());
  for (size_t i = 0; i < lexical.size(); ++i) {
    const ScoredChunk& c = lexical[i];
    out[i].chunk = c.chunk;
    out[i].document = c.document;
    out[i].score = c.score;
    out[i].lexical = {static_cast<uint32_t>(i + 1), true, c.score, c.score};
  }
  return out;
}

std::vector<FusedChunk> FromVector(absl::Span<const ScoredChunk> vector) {
  std::vector<FusedChunk> out(vector.size());
  for (size_t i = 0; i < vector.size(); ++i) {
    const ScoredChunk& c = vector[i];
    out[i].chunk = c.chunk;
    out[i].document = c.document;
    out[i].score = c.score;
    out[i].vector = {static_cast<uint32_t>(i + 1), true, c.score, c.score};
  }
  return out;
}

std::vector<FusedChunk> BestChunkPerDocument(std::vector<FusedChunk> chunks) {
  absl::flat_hash_set<ChunkId> seen;
  seen.reserve(chunks.size());
  size_t kept = 0;
  for (const FusedChunk& c : chunks) {
    if (seen.insert(c.document).second) chunks[kept++] = c;
  }
  chunks.resize(kept);
  return chunks;
}

}  // namespace cairn::index
