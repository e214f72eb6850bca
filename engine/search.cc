#include "engine/search.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/preparation.h"
#include "engine/reranking.h"
#include "engine/stopwatch.h"
#include "index/cancellation.h"
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
// Hits named between two looks at the cancellation.
constexpr size_t kNamesBetweenLooks = 4096;

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
  if (request.rerank.value_or(0) > kMaxRerank) {
    return absl::InvalidArgumentError(absl::StrCat("rerank must be at most ", kMaxRerank));
  }
  if (request.rerank.value_or(0) > 0 && context.reranker == nullptr) {
    return absl::FailedPreconditionError(
        "nothing to rerank with: open the store with a reranker (--reranker)");
  }
  if (request.mode == SearchMode::kLexical) return absl::OkStatus();
  const index::CollectionSettings& settings = context.collection->settings();
  if (settings.embedder_fingerprint == context.embedder->fingerprint()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "collection ", context.collection->name(), " was embedded with another model (",
      settings.embedder_fingerprint, ", not ", context.embedder->fingerprint(),
      "): open the store with that model, search lexically, or embed it anew (reembed)"));
}

// Candidates of the depth given, fused. `exhausted`: no list was cut off, so a deeper search finds
// nothing more.
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
  return ranked;
}

// The first `rerank` candidates, all of them, and what can be a hit after them, at most k:
// of documents only their best chunks where these are asked for.
std::vector<index::FusedChunk> KeepUseful(std::vector<index::FusedChunk> ranked, size_t rerank,
                                          const SearchRequest& request) {
  if (request.granularity == Granularity::kChunk) {
    ranked.resize(std::min(ranked.size(), std::max(request.k, rerank)));
    return ranked;
  }
  const auto middle = ranked.begin() + static_cast<std::ptrdiff_t>(std::min(ranked.size(), rerank));
  std::vector<index::FusedChunk> rest =
      index::BestChunkPerDocument(std::vector<index::FusedChunk>(middle, ranked.end()));
  rest.resize(std::min(rest.size(), request.k));
  ranked.erase(middle, ranked.end());
  ranked.insert(ranked.end(), rest.begin(), rest.end());
  return ranked;
}

// Candidates enough to choose k hits from after reranking the first `rerank`.
absl::StatusOr<std::vector<index::FusedChunk>> Rank(const index::Collection::View& view,
                                                    const index::CandidateQuery& query,
                                                    size_t rerank, const SearchRequest& request,
                                                    const index::FusionOptions& fusion) {
  size_t depth = std::max(request.k, rerank);
  if (request.mode == SearchMode::kHybrid) depth = std::max(depth, kMinFusionDepth);
  while (true) {
    bool exhausted = false;
    absl::StatusOr<std::vector<index::FusedChunk>> ranked =
        RankToDepth(view, query, depth, request, fusion, &exhausted);
    if (!ranked.ok()) return ranked.status();
    const size_t found = request.granularity == Granularity::kChunk
                             ? ranked->size()
                             : index::BestChunkPerDocument(*ranked).size();
    // Several chunks of one document may have filled the lists: look deeper.
    if (found >= request.k || exhausted) return KeepUseful(*std::move(ranked), rerank, request);
    depth *= 2;
  }
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

// Of the hits from `first` on.
absl::Status FetchTexts(const index::CollectionRows& collection, size_t first,
                        const index::Cancellation& cancellation, std::vector<SearchHit>* hits) {
  std::vector<SearchHit> wanted(
      std::make_move_iterator(hits->begin() + static_cast<std::ptrdiff_t>(first)),
      std::make_move_iterator(hits->end()));
  hits->resize(first);
  const absl::Span<SearchHit> all = absl::MakeSpan(wanted);
  for (size_t begin = 0; begin < all.size(); begin += kFetchBatch) {
    absl::Status s = cancellation.Check();
    if (s.ok()) s = FetchBatch(collection, all.subspan(begin, kFetchBatch), hits);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

// Reads the first `count` hits and reorders them; then the list is what was asked for, and its
// reranked hits, which come first, have their texts.
absl::Status Rerank(const SearchContext& context, const SearchRequest& request, size_t count,
                    const index::CollectionRows& rows, const index::Cancellation& cancellation,
                    std::vector<SearchHit>* hits) {
  const auto middle = hits->begin() + static_cast<std::ptrdiff_t>(std::min(count, hits->size()));
  const std::vector<SearchHit> rest(std::make_move_iterator(middle),
                                    std::make_move_iterator(hits->end()));
  hits->erase(middle, hits->end());
  if (absl::Status s = FetchTexts(rows, 0, cancellation, hits); !s.ok()) return s;
  count = hits->size();
  hits->insert(hits->end(), rest.begin(), rest.end());
  std::function<bool()> is_cancelled;
  if (request.is_cancelled) is_cancelled = [&] { return cancellation.Requested(); };
  absl::Status s = RerankHits(*context.reranker, request.query, count, hits, is_cancelled);
  if (!s.ok()) return s;
  if (request.granularity == Granularity::kDocument) KeepFirstOfEachDocument(hits);
  if (hits->size() > request.k) hits->resize(request.k);
  return absl::OkStatus();
}

void DropTexts(std::vector<SearchHit>* hits) {
  for (SearchHit& hit : *hits) {
    SearchHit bare;
    bare.document_id = std::move(hit.document_id);
    bare.chunk_id = hit.chunk_id;
    bare.score = hit.score;
    bare.lexical = hit.lexical;
    bare.vector = hit.vector;
    bare.rerank = hit.rerank;
    hit = std::move(bare);
  }
}

// The vector of the query; empty when it has no known token, so nothing to compare.
absl::StatusOr<std::vector<float>> EmbedQuery(const Embedder& embedder, std::string_view text) {
  std::vector<float> vector(embedder.dim());
  absl::Status s = embedder.Embed(TextKind::kQuery, {text}, absl::MakeSpan(vector));
  if (!s.ok()) return s;
  if (std::all_of(vector.begin(), vector.end(), [](float x) { return x == 0; })) vector.clear();
  return vector;
}

index::FusionOptions FusionOf(const SearchRequest& request, const FusionAdvice& advice) {
  index::FusionOptions fusion;
  fusion.method =
      request.fusion == Fusion::kRrf ? index::FusionMethod::kRrf : index::FusionMethod::kConvex;
  fusion.alpha = request.alpha.value_or(advice.alpha);
  fusion.normalization =
      advice.min_max ? index::Normalization::kMinMax : index::Normalization::kTheoretical;
  return fusion;
}

// The hits without their texts, in fused order; `snapshot` receives the rows they are of.
absl::StatusOr<std::vector<SearchHit>> FindHits(
    const SearchContext& context, const index::CandidateQuery& query, size_t rerank,
    const SearchRequest& request, const index::FusionOptions& fusion,
    std::shared_ptr<const index::RowSnapshot>* snapshot) {
  const index::Collection::View view(*context.collection);
  *snapshot = view.snapshot();
  absl::StatusOr<std::vector<index::FusedChunk>> ranked =
      Rank(view, query, rerank, request, fusion);
  if (!ranked.ok()) return ranked.status();
  std::vector<SearchHit> hits;
  hits.reserve(ranked->size());
  for (const index::FusedChunk& f : *ranked) {
    if (hits.size() % kNamesBetweenLooks == 0) {
      if (absl::Status s = index::CheckCancellation(query.cancellation); !s.ok()) return s;
    }
    SearchHit& hit = hits.emplace_back();
    hit.document_id = view.DocumentId(f.document);
    hit.chunk_id = f.chunk;
    hit.score = f.score;
    hit.lexical = ToComponent(f.lexical);
    hit.vector = ToComponent(f.vector);
  }
  return hits;
}

}  // namespace

absl::StatusOr<SearchResponse> RunSearch(const SearchContext& context,
                                         const SearchRequest& request) {
  if (absl::Status s = CheckRequest(context, request); !s.ok()) return s;
  const size_t rerank = context.reranker == nullptr ? 0 : request.rerank.value_or(kDefaultRerank);
  const index::Cancellation cancellation(request.is_cancelled);
  if (absl::Status s = cancellation.Check(); !s.ok()) return s;
  SearchResponse response;
  Stopwatch watch;
  index::CandidateQuery query;
  if (request.is_cancelled) query.cancellation = &cancellation;
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
  if (absl::Status s = cancellation.Check(); !s.ok()) return s;
  absl::StatusOr<std::vector<float>> vector = std::vector<float>();
  if (request.mode != SearchMode::kLexical) vector = EmbedQuery(*context.embedder, request.query);
  if (!vector.ok()) return vector.status();
  query.vector = *vector;
  response.timings.embed = watch.Lap();

  const index::FusionOptions fusion = FusionOf(request, context.embedder->fusion());
  response.alpha = fusion.alpha;
  std::shared_ptr<const index::RowSnapshot> snapshot;
  absl::StatusOr<std::vector<SearchHit>> hits =
      FindHits(context, query, rerank, request, fusion, &snapshot);
  if (!hits.ok()) return hits.status();
  response.hits = *std::move(hits);
  response.timings.candidates = watch.Lap();
  if (context.on_candidates) {
    std::vector<uint64_t> chunks;
    for (size_t i = 0; i < std::min(response.hits.size(), request.k); ++i) {
      chunks.push_back(response.hits[i].chunk_id);
    }
    context.on_candidates(chunks);
  }
  const index::CollectionRows rows = context.collection->RowsAt(snapshot.get());
  if (rerank > 0) {
    absl::Status s = Rerank(context, request, rerank, rows, cancellation, &response.hits);
    if (!s.ok()) return s;
    response.timings.rerank = watch.Lap();
  }
  if (request.with_text) {
    const auto fused = std::find_if(response.hits.begin(), response.hits.end(),
                                    [](const SearchHit& h) { return h.rerank.rank == 0; });
    const auto read = static_cast<size_t>(fused - response.hits.begin());
    if (absl::Status s = FetchTexts(rows, read, cancellation, &response.hits); !s.ok()) {
      return s;
    }
  } else if (rerank > 0) {
    DropTexts(&response.hits);
  }
  response.timings.fetch = watch.Lap();
  return response;
}

}  // namespace cairn::engine
