#include <cstdint>
#include <string>
#include <utility>

#include "cairn/v1/search.pb.h"
#include "services/wire/field_checks.h"
#include "services/wire/messages.h"
#include "services/wire/metadata_map.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

constexpr size_t kDefaultK = 10;
constexpr size_t kMaxK = 10'000;
constexpr double kMaxK1 = 1000;

constexpr EnumTable<v1::SearchMode, SearchMode, 3> kModes{{
    {v1::SEARCH_MODE_HYBRID, SearchMode::kHybrid},
    {v1::SEARCH_MODE_LEXICAL, SearchMode::kLexical},
    {v1::SEARCH_MODE_VECTOR, SearchMode::kVector},
}};
constexpr EnumTable<v1::Granularity, Granularity, 2> kGranularities{{
    {v1::GRANULARITY_CHUNK, Granularity::kChunk},
    {v1::GRANULARITY_DOCUMENT, Granularity::kDocument},
}};
constexpr EnumTable<v1::FusionMethod, Fusion, 2> kFusions{{
    {v1::FUSION_METHOD_CONVEX, Fusion::kConvex},
    {v1::FUSION_METHOD_RRF, Fusion::kRrf},
}};
constexpr EnumTable<v1::PassageView, bool, 2> kViews{{
    {v1::PASSAGE_VIEW_IDS, false},
    {v1::PASSAGE_VIEW_FULL, true},
}};

// Of how hits are ranked.
absl::Status ReadRanking(const v1::SearchRequest& in, SearchRequest* out) {
  const absl::StatusOr<Fusion> fusion =
      ReadEnum("fusion.method", kFusions, in.fusion().method(), Fusion::kConvex);
  if (!fusion.ok()) return fusion.status();
  out->fusion = *fusion;
  absl::Status s;
  if (in.fusion().has_alpha()) {
    s = CheckRange("fusion.alpha", double{in.fusion().alpha()}, 0, 1);
    out->alpha = in.fusion().alpha();
  }
  if (s.ok() && in.bm25().has_k1()) {
    s = CheckRange("bm25.k1", double{in.bm25().k1()}, 0, kMaxK1);
    out->k1 = in.bm25().k1();
  }
  if (s.ok() && in.bm25().has_b()) {
    s = CheckRange("bm25.b", double{in.bm25().b()}, 0, 1);
    out->b = in.bm25().b();
  }
  if (s.ok() && in.has_rerank()) {
    s = CheckRange("rerank", uint64_t{in.rerank()}, 0, kMaxRerank);
    out->rerank = in.rerank();
  }
  return s;
}

void WriteComponent(const SearchComponent& in, v1::ComponentScore* out) {
  out->set_rank(in.rank);
  if (in.known) out->set_raw(in.raw);
  out->set_normalized(in.normalized);
}

SearchComponent ReadComponent(const v1::ComponentScore& in) {
  SearchComponent out;
  out.rank = in.rank();
  out.known = in.has_raw();
  out.raw = in.raw();
  out.normalized = in.normalized();
  return out;
}

}  // namespace

absl::StatusOr<SearchCall> ReadSearchRequest(const v1::SearchRequest& in) {
  if (absl::Status s = CheckRequired("query", in.query()); !s.ok()) return s;
  SearchCall call;
  SearchRequest& out = call.request;
  out.query = in.query();
  const absl::StatusOr<size_t> k = ReadCount("k", in.k(), 1, kMaxK, kDefaultK);
  if (!k.ok()) return k.status();
  out.k = *k;
  const absl::StatusOr<SearchMode> mode = ReadEnum("mode", kModes, in.mode(), SearchMode::kHybrid);
  if (!mode.ok()) return mode.status();
  out.mode = *mode;
  const absl::StatusOr<Granularity> granularity =
      ReadEnum("granularity", kGranularities, in.granularity(), Granularity::kChunk);
  if (!granularity.ok()) return granularity.status();
  out.granularity = *granularity;
  const absl::StatusOr<bool> with_text = ReadEnum("view", kViews, in.view(), true);
  if (!with_text.ok()) return with_text.status();
  out.with_text = *with_text;
  out.filter = in.filter();
  out.exact = in.exact();
  if (absl::Status s = ReadRanking(in, &out); !s.ok()) return s;
  call.explain = in.explain();
  return call;
}

void WriteSearchRequest(const SearchCall& in, v1::SearchRequest* out) {
  const SearchRequest& request = in.request;
  out->Clear();
  out->set_query(request.query);
  out->set_k(Int32Of(request.k));
  out->set_mode(WriteEnum(kModes, request.mode));
  out->set_granularity(WriteEnum(kGranularities, request.granularity));
  out->set_filter(request.filter);
  out->mutable_fusion()->set_method(WriteEnum(kFusions, request.fusion));
  if (request.alpha.has_value()) out->mutable_fusion()->set_alpha(*request.alpha);
  out->mutable_bm25()->set_k1(request.k1);
  out->mutable_bm25()->set_b(request.b);
  out->set_exact(request.exact);
  if (request.rerank.has_value()) out->set_rerank(Uint32Of(*request.rerank));
  out->set_view(WriteEnum(kViews, request.with_text));
  out->set_explain(in.explain);
}

void WriteSearchResponse(const SearchResponse& in, const SearchCall& call,
                         v1::SearchResponse* out) {
  out->Clear();
  for (const SearchHit& hit : in.hits) {
    WritePassage(hit, call.request.with_text, call.explain, out->add_passages());
  }
  if (!call.explain) return;
  v1::SearchTimings* timings = out->mutable_timings();
  timings->set_analyze(in.timings.analyze);
  timings->set_embed(in.timings.embed);
  timings->set_candidates(in.timings.candidates);
  timings->set_rerank(in.timings.rerank);
  timings->set_fetch(in.timings.fetch);
  out->set_alpha(in.alpha);
}

absl::StatusOr<SearchResponse> ReadSearchResponse(const v1::SearchResponse& in) {
  SearchResponse out;
  out.hits.reserve(static_cast<size_t>(in.passages_size()));
  for (const v1::Passage& passage : in.passages()) {
    absl::StatusOr<SearchHit> hit = ReadPassage(passage);
    if (!hit.ok()) return hit.status();
    out.hits.push_back(*std::move(hit));
  }
  out.timings.analyze = in.timings().analyze();
  out.timings.embed = in.timings().embed();
  out.timings.candidates = in.timings().candidates();
  out.timings.rerank = in.timings().rerank();
  out.timings.fetch = in.timings().fetch();
  out.alpha = in.alpha();
  return out;
}

void WritePassage(const SearchHit& in, bool with_text, bool explain, v1::Passage* out) {
  out->Clear();
  out->set_document_id(in.document_id);
  out->set_chunk_id(in.chunk_id);
  out->set_score(in.score);
  if (explain) {
    v1::ScoreDetails* scores = out->mutable_scores();
    WriteComponent(in.lexical, scores->mutable_lexical());
    WriteComponent(in.vector, scores->mutable_vector());
    scores->mutable_rerank()->set_rank(in.rerank.rank);
    scores->mutable_rerank()->set_score(in.rerank.score);
  }
  if (!with_text) return;
  out->mutable_span()->set_begin(in.begin);
  out->mutable_span()->set_end(in.end);
  out->set_ordinal(in.ordinal);
  out->set_text(in.text);
  out->set_title(in.title);
  out->mutable_headings()->Assign(in.headings.begin(), in.headings.end());
  out->set_source_uri(in.source_uri);
  WriteMetadataMap(in.metadata, out->mutable_metadata());
}

absl::StatusOr<SearchHit> ReadPassage(const v1::Passage& in) {
  absl::StatusOr<Metadata> metadata = ReadMetadataMap(in.metadata(), "passages.metadata");
  if (!metadata.ok()) return metadata.status();
  if (in.span().begin() > in.span().end()) {
    return BadField("passages.span", "ends before it begins");
  }
  SearchHit out;
  out.document_id = in.document_id();
  out.chunk_id = in.chunk_id();
  out.score = in.score();
  out.lexical = ReadComponent(in.scores().lexical());
  out.vector = ReadComponent(in.scores().vector());
  out.rerank.rank = in.scores().rerank().rank();
  out.rerank.score = in.scores().rerank().score();
  out.begin = in.span().begin();
  out.end = in.span().end();
  out.ordinal = in.ordinal();
  out.text = in.text();
  out.title = in.title();
  out.headings.assign(in.headings().begin(), in.headings().end());
  out.source_uri = in.source_uri();
  out.metadata = *std::move(metadata);
  return out;
}

}  // namespace cairn::services
