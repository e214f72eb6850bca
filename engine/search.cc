#include "engine/search.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/preparation.h"
#include "index/filter.h"
#include "index/fusion.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxK = 1'000'000;
constexpr size_t kMaxQueryBytes = 1 << 20;
// Fusion looks this deep into each list even when fewer hits are asked for: a chunk that both
// searches rank in the middle may well be the best of all.
constexpr size_t kMinFusionDepth = 100;
// Hits whose rows are read at once: what is held besides the response itself stays small.
constexpr size_t kFetchBatch = 1000;

class Stopwatch {
 public:
  // Microseconds since the last call, or since construction.
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::micro>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

absl::Status CheckRequest(const SearchContext& context, const SearchRequest& request) {
  if (request.k < 1 || request.k > kMaxK) {
    return absl::InvalidArgumentError(absl::StrCat("k must be 1 to ", kMaxK));
  }
  if (request.query.size() > kMaxQueryBytes) {
    return absl::InvalidArgumentError("the query is longer than 1 MiB");
  }
  if (request.alpha.has_value() && !(*request.alpha >= 0 && *request.alpha <= 1)) {
    return absl::InvalidArgumentError("alpha must be 0 to 1");
  }
  if (!(request.k1 >= 0 && request.k1 <= 1000) || !(request.b >= 0 && request.b <= 1)) {
    return absl::InvalidArgumentError("k1 must be 0 to 1000, and b 0 to 1");
  }
  if (request.mode == SearchMode::kLexical) return absl::OkStatus();
  const index::CollectionSettings& settings = context.collection->settings();
  if (settings.embedder_fingerprint == context.embedder->fingerprint()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("collection ", context.collection->name(), " was embedded with another model (",
                   settings.embedder_fingerprint, ", not ", context.embedder->fingerprint(),
                   "): open the store with that model, or search lexically"));
}

// Candidates of the depth given, fused, and grouped where asked; not yet cut to k.
// `exhausted`: no list was cut off, so a deeper search finds nothing more.
absl::StatusOr<std::vector<index::FusedChunk>> RankToDepth(
    const index::Collection::View& view, index::CandidateQuery query, size_t depth,
    const SearchRequest& request, const index::FusionOptions& fusion, bool* exhausted) {
  query.lexical_k = request.mode == SearchMode::kVector ? 0 : depth;
  query.vector_k = request.mode == SearchMode::kLexical ? 0 : depth;
  query.cosines_of_lexical =
      request.mode == SearchMode::kHybrid && fusion.method == index::FusionMethod::kConvex;
  absl::StatusOr<index::Candidates> found = view.Search(query);
  if (!found.ok()) return found.status();
  *exhausted = found->lexical.size() < depth && found->vector.size() < depth;
  std::vector<index::FusedChunk> ranked;
  switch (request.mode) {
    case SearchMode::kLexical:
      ranked = index::FromLexical(found->lexical);
      break;
    case SearchMode::kVector:
      ranked = index::FromVector(found->vector);
      break;
    case SearchMode::kHybrid:
      ranked = index::Fuse(found->lexical, found->vector, found->lexical_cosines, fusion);
      break;
  }
  if (request.granularity == Granularity::kDocument) {
    ranked = index::BestChunkPerDocument(std::move(ranked));
  }
  return ranked;
}

SearchComponent ToComponent(const index::ComponentScore& c) {
  return {c.rank, c.known, c.raw, c.normalized};
}

// Fills in what the rows hold, and appends the hits to `live`. The rows are of the index's own
// snapshot: a hit without them is damage, which costs the hit and no more.
absl::Status FetchBatch(const index::CollectionRows& collection, absl::Span<SearchHit> hits,
                        std::vector<SearchHit>* live) {
  std::vector<index::ChunkId> ids;
  ids.reserve(hits.size());
  for (const SearchHit& h : hits) ids.push_back(h.chunk_id);
  std::vector<index::ChunkId> found;
  std::vector<index::ChunkRow> rows;
  if (absl::Status s = collection.GetChunks(ids, &found, &rows); !s.ok()) return s;
  absl::flat_hash_map<std::string, std::optional<index::DocumentRow>> documents;
  size_t h = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    while (hits[h].chunk_id != found[i]) ++h;
    SearchHit& hit = hits[h];
    auto [it, inserted] = documents.try_emplace(hit.document_id);
    if (inserted) {
      absl::StatusOr<index::DocumentRow> row = collection.GetDocument(hit.document_id);
      if (row.ok()) {
        it->second = *std::move(row);
      } else if (!absl::IsNotFound(row.status())) {
        return row.status();
      }
    }
    if (!it->second.has_value()) continue;
    hit.ordinal = rows[i].ordinal;
    hit.begin = rows[i].span.begin;
    hit.end = rows[i].span.end;
    hit.text = std::move(rows[i].text);
    hit.headings = std::move(rows[i].headings);
    hit.title = it->second->title;
    hit.source_uri = it->second->source_uri;
    hit.metadata = it->second->metadata;
    live->push_back(std::move(hit));
  }
  return absl::OkStatus();
}

absl::Status FetchTexts(const index::CollectionRows& collection, std::vector<SearchHit>* hits) {
  std::vector<SearchHit> live;
  live.reserve(hits->size());
  const absl::Span<SearchHit> all = absl::MakeSpan(*hits);
  for (size_t begin = 0; begin < all.size(); begin += kFetchBatch) {
    absl::Status s = FetchBatch(collection, all.subspan(begin, kFetchBatch), &live);
    if (!s.ok()) return s;
  }
  *hits = std::move(live);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SearchResponse> RunSearch(const SearchContext& context,
                                         const SearchRequest& request) {
  if (absl::Status s = CheckRequest(context, request); !s.ok()) return s;
  SearchResponse response;
  Stopwatch watch;
  index::CandidateQuery query;
  query.bm25 = {request.k1, request.b};
  query.exact_vectors = request.exact;
  std::optional<index::Filter> filter;
  if (!request.filter.empty()) {
    absl::StatusOr<index::Filter> parsed = index::Filter::Parse(request.filter);
    if (!parsed.ok()) return parsed.status();
    filter = *std::move(parsed);
    query.filter = &*filter;
  }
  index::TermBag terms;
  if (request.mode != SearchMode::kVector) {
    terms = AnalyzeTerms(*context.analyzer, {std::string_view(request.query)});
    query.terms = &terms;
  }
  response.timings.analyze = watch.Lap();
  std::vector<float> vector;
  if (request.mode != SearchMode::kLexical) {
    vector.resize(context.embedder->dim());
    const std::string_view text = request.query;
    absl::Status s = context.embedder->Embed(TextKind::kQuery, {text}, absl::MakeSpan(vector));
    if (!s.ok()) return s;
    // All zeros: no known token, so nothing to compare.
    if (std::any_of(vector.begin(), vector.end(), [](float x) { return x != 0; })) {
      query.vector = vector;
    }
  }
  response.timings.embed = watch.Lap();

  index::FusionOptions fusion;
  fusion.method =
      request.fusion == Fusion::kRrf ? index::FusionMethod::kRrf : index::FusionMethod::kConvex;
  const FusionAdvice& advice = context.embedder->fusion();
  fusion.alpha = request.alpha.value_or(advice.alpha);
  fusion.normalization =
      advice.min_max ? index::Normalization::kMinMax : index::Normalization::kTheoretical;
  response.alpha = fusion.alpha;
  std::shared_ptr<const index::RowSnapshot> snapshot;
  {
    const index::Collection::View view(*context.collection);
    snapshot = view.snapshot();
    size_t depth =
        request.mode == SearchMode::kHybrid ? std::max(request.k, kMinFusionDepth) : request.k;
    std::vector<index::FusedChunk> ranked;
    bool exhausted = false;
    while (true) {
      absl::StatusOr<std::vector<index::FusedChunk>> r =
          RankToDepth(view, query, depth, request, fusion, &exhausted);
      if (!r.ok()) return r.status();
      ranked = *std::move(r);
      // Several chunks of one document may have filled the lists: look deeper.
      if (ranked.size() >= request.k || exhausted) break;
      depth *= 2;
    }
    if (ranked.size() > request.k) ranked.resize(request.k);
    response.hits.reserve(ranked.size());
    for (const index::FusedChunk& f : ranked) {
      SearchHit& hit = response.hits.emplace_back();
      hit.document_id = view.DocumentId(f.document);
      hit.chunk_id = f.chunk;
      hit.score = f.score;
      hit.lexical = ToComponent(f.lexical);
      hit.vector = ToComponent(f.vector);
    }
  }
  response.timings.candidates = watch.Lap();
  if (request.with_text) {
    if (absl::Status s = FetchTexts(context.collection->RowsAt(snapshot.get()), &response.hits);
        !s.ok())
      return s;
  }
  response.timings.fetch = watch.Lap();
  return response;
}

}  // namespace cairn::engine
