#include "tests/services/wire/random_structs.h"

namespace cairn::services {

MetadataValue RandomStructs::Value() {
  switch (Below(5)) {
    case 0:
      return Coin();
    case 1:
      return static_cast<int64_t>(Number());
    case 2:
      return Real();
    case 3:
      return Text();
    default:
      return Texts();
  }
}

Metadata RandomStructs::Fields() {
  Metadata fields;
  for (uint64_t n = Below(4); n > 0; --n) fields[NonEmpty()] = Value();
  return fields;
}

InputDocument RandomStructs::Input() {
  InputDocument d;
  d.id = NonEmpty();
  d.title = Text();
  d.text = Text();
  d.metadata = Fields();
  d.source_uri = Text();
  d.format = OneOf<std::string>({"text", "markdown", "html"});
  return d;
}

IngestOutcome RandomStructs::Outcome() {
  IngestOutcome o;
  o.sequence = Number();
  o.document_id = NonEmpty();
  o.kind = static_cast<IngestOutcome::Kind>(Below(4));
  o.chunk_count = static_cast<uint32_t>(Below(5));
  if (o.chunk_count > 0) o.first_chunk = Number() / 2;
  if (o.kind == IngestOutcome::Kind::kRefused) o.reason = Text();
  return o;
}

IngestReport RandomStructs::Report() {
  IngestReport r;
  r.created = Number();
  r.replaced = Number();
  r.unchanged = Number();
  r.issues = Number();
  r.chunks = Number();
  r.bytes = Number();
  r.embed_calls = Number();
  r.embed_busy = Real();
  return r;
}

CollectionOptions RandomStructs::Options() {
  CollectionOptions o;
  if (Coin()) o.chunker = OneOf<std::string>({"structure", "sentence", "fixed"});
  if (Coin()) o.chunk_tokens = static_cast<uint32_t>(8 + Below(65'529));
  if (Coin()) o.overlap_tokens = static_cast<uint32_t>(Below(65'537));
  if (Coin()) o.analyzer = NonEmpty();
  if (Coin()) o.vector_index = OneOf<std::string>({"hnsw", "flat", "ivf-pq"});
  if (Coin()) o.vector_encoding = OneOf<std::string>({"int8", "bfloat16", "float32"});
  return o;
}

CollectionInfo RandomStructs::Collection() {
  CollectionInfo c;
  c.name = NonEmpty();
  c.chunker = OneOf<std::string>({"structure", "sentence", "fixed"});
  c.chunk_tokens = Number32();
  c.overlap_tokens = Number32();
  c.analyzer = Text();
  c.embedder_fingerprint = Text();
  c.dim = Number32();
  c.documents = Number();
  c.chunks = Number();
  c.terms = Number();
  c.average_terms = Real();
  c.memory_bytes = Number();
  c.mapped_bytes = Number();
  c.segments = Number();
  c.tail_chunks = Number();
  c.dead_chunks = Number();
  c.vector_index = OneOf<std::string>({"hnsw", "flat", "ivf-pq"});
  c.vector_encoding = OneOf<std::string>({"int8", "bfloat16", "float32"});
  c.notes.description = Text();
  for (uint64_t n = Below(4); n > 0; --n) c.notes.labels[NonEmpty()] = Text();
  // Before 1970 too.
  c.create_time_ms = static_cast<int64_t>(Below(uint64_t{1} << 42)) - (int64_t{1} << 40);
  c.update_time_ms = static_cast<int64_t>(Below(uint64_t{1} << 42)) - (int64_t{1} << 40);
  return c;
}

StoredDocument RandomStructs::Stored() {
  StoredDocument d;
  d.id = NonEmpty();
  d.title = Text();
  d.text = Text();
  d.source_uri = Text();
  d.media_type = Text();
  d.metadata = Fields();
  for (uint64_t n = Below(4); n > 0; --n) {
    d.chunks.push_back({Number(), Number(), Number(), Number32(), Texts()});
  }
  return d;
}

SearchCall RandomStructs::Call() {
  SearchCall call;
  SearchRequest& r = call.request;
  r.query = NonEmpty();
  r.k = 1 + Below(10'000);
  r.mode = static_cast<SearchMode>(Below(3));
  r.granularity = static_cast<Granularity>(Below(2));
  r.filter = Text();
  r.with_text = Coin();
  r.exact = Coin();
  r.fusion = static_cast<Fusion>(Below(2));
  if (Coin()) r.alpha = RealIn(0, 1);
  if (Coin()) r.rerank = Below(10'001);
  r.k1 = RealIn(0, 1000);
  r.b = RealIn(0, 1);
  call.explain = Coin();
  return call;
}

SearchComponent RandomStructs::Component() {
  SearchComponent c;
  c.rank = Number32();
  c.known = Coin();
  if (c.known) c.raw = RealIn(-9, 9);
  c.normalized = RealIn(-9, 9);
  return c;
}

SearchHit RandomStructs::Hit() {
  SearchHit h;
  h.document_id = NonEmpty();
  h.chunk_id = Number();
  h.score = RealIn(-9, 9);
  h.lexical = Component();
  h.vector = Component();
  h.rerank.rank = Number32();
  h.rerank.score = RealIn(-9, 9);
  h.ordinal = Number32();
  h.begin = Number() / 2;
  h.end = h.begin + Number() / 2;
  h.text = Text();
  h.title = Text();
  h.headings = Texts();
  h.source_uri = Text();
  h.metadata = Fields();
  return h;
}

SearchResponse RandomStructs::Response() {
  SearchResponse r;
  for (uint64_t n = Below(4); n > 0; --n) r.hits.push_back(Hit());
  r.timings = {Real(), Real(), Real(), Real(), Real()};
  r.alpha = RealIn(0, 1);
  return r;
}

AskRequest RandomStructs::Ask() {
  AskRequest r;
  r.question = NonEmpty();
  r.passages = 1 + Below(1000);
  r.filter = Text();
  if (Coin()) r.rerank = Below(10'001);
  r.mode = static_cast<AskMode>(Below(3));
  r.sentences = 1 + Below(100);
  r.max_tokens = 1 + Below(4096);
  r.temperature = RealIn(0, 2);
  r.seed = Number();
  r.token_budget = 1 + Below(100'000);
  r.reuse = static_cast<ReuseQuality>(Below(3));
  return r;
}

AnswerSentence RandomStructs::Sentence() {
  AnswerSentence s;
  s.text = Text();
  s.score = RealIn(-9, 9);
  for (uint64_t n = Below(4); n > 0; --n) {
    Citation& c = s.citations.emplace_back();
    c.document_id = NonEmpty();
    c.chunk_id = Number();
    c.begin = Number();
    c.end = Number();
    c.title = Text();
    c.source_uri = Text();
    c.passage = Number32();
    c.support = RealIn(0, 1);
  }
  s.supported = !s.citations.empty();
  return s;
}

ReuseReport RandomStructs::Reuse() {
  ReuseReport r;
  r.exact_tokens = Number();
  r.reused_tokens = Number();
  r.recomputed_tokens = Number();
  r.fresh_tokens = Number();
  r.loaded_bytes = Number();
  r.method = Text();
  r.reason = Text();
  r.share = Real();
  r.load = Real();
  r.select = Real();
  r.compute = Real();
  return r;
}

AskResponse RandomStructs::Summary() {
  AskResponse r;
  r.mode = Coin() ? AskMode::kExtractive : AskMode::kGenerated;
  r.unsupported_sentences = Number();
  r.dropped_citations = Number();
  r.finish = static_cast<AnswerFinish>(Below(3));
  r.usage = {Number(), Number(), Number(), Reuse()};
  r.timings = {Real(), Real(), Real(), Real(), Real(), Real()};
  return r;
}

VerifyResult RandomStructs::Verified() {
  VerifyResult r;
  r.collections = Number();
  r.documents = Number();
  r.chunks = Number();
  r.vectors = Number();
  r.terms = Number();
  r.segments = Number();
  r.problems = Texts();
  r.problem_count = Number();
  return r;
}

}  // namespace cairn::services
