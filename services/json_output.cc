#include "services/json_output.h"

#include <variant>

namespace cairn::services {
namespace {

Json ComponentJson(const SearchComponent& c) {
  if (!c.known) return nullptr;
  const Json rank = c.rank == 0 ? Json(nullptr) : Json(c.rank);
  return {{"rank", rank}, {"score", c.raw}, {"normalized", c.normalized}};
}

}  // namespace

Json ToJson(const Metadata& metadata) {
  Json out = Json::object();
  for (const auto& [name, value] : metadata) {
    std::visit([&, &key = name](const auto& v) { out[key] = v; }, value);
  }
  return out;
}

Json ToJson(const SearchHit& hit, SearchMode mode) {
  Json out = {{"document", hit.document_id},
              {"chunk", hit.chunk_id},
              {"ordinal", hit.ordinal},
              {"begin", hit.begin},
              {"end", hit.end},
              {"score", hit.score},
              {"title", hit.title},
              {"headings", hit.headings},
              {"source", hit.source_uri},
              {"metadata", ToJson(hit.metadata)},
              {"text", hit.text}};
  if (mode == SearchMode::kHybrid) {
    out["lexical"] = ComponentJson(hit.lexical);
    out["vector"] = ComponentJson(hit.vector);
  }
  if (hit.rerank.rank > 0) {
    out["rerank"] = {{"rank", hit.rerank.rank}, {"score", hit.rerank.score}};
  }
  return out;
}

Json ToJson(const Citation& c) {
  return {{"document", c.document_id}, {"chunk", c.chunk_id},
          {"begin", c.begin},          {"end", c.end},
          {"title", c.title},          {"source", c.source_uri},
          {"passage", c.passage},      {"support", c.support}};
}

Json ToJson(const AskResponse& response) {
  Json sentences = Json::array();
  for (const AnswerSentence& s : response.sentences) {
    Json citations = Json::array();
    for (const Citation& c : s.citations) citations.push_back(ToJson(c));
    sentences.push_back({{"text", s.text},
                         {"score", s.score},
                         {"supported", s.supported},
                         {"citations", std::move(citations)}});
  }
  Json passages = Json::array();
  for (const SearchHit& h : response.passages) passages.push_back(ToJson(h, SearchMode::kHybrid));
  const bool generated = response.mode == AskMode::kGenerated;
  const char* const finish = response.finish == AnswerFinish::kCancelled ? "cancelled"
                             : response.finish == AnswerFinish::kLength  ? "length"
                                                                         : "complete";
  const AskTimings& t = response.timings;
  return {{"mode", generated ? "generated" : "extractive"},
          {"finish", finish},
          {"answer", response.answer},
          {"sentences", std::move(sentences)},
          {"unsupported_sentences", response.unsupported_sentences},
          {"dropped_citations", response.dropped_citations},
          {"usage",
           {{"prompt_tokens", response.usage.prompt_tokens},
            {"cached_tokens", response.usage.cached_tokens},
            {"generated_tokens", response.usage.generated_tokens},
            {"reuse", ToJson(response.usage.reuse)}}},
          {"microseconds",
           {{"retrieve", t.retrieve},
            {"select", t.select},
            {"prefill", t.prefill},
            {"decode", t.decode},
            {"check", t.check},
            {"total", t.total}}},
          {"passages", std::move(passages)}};
}

Json ToJson(const StoredDocument& document) {
  Json chunks = Json::array();
  for (const StoredChunk& c : document.chunks) {
    chunks.push_back({{"chunk", c.id},
                      {"begin", c.begin},
                      {"end", c.end},
                      {"tokens", c.tokens},
                      {"headings", c.headings}});
  }
  return {{"document", document.id},
          {"title", document.title},
          {"source", document.source_uri},
          {"media_type", document.media_type},
          {"metadata", ToJson(document.metadata)},
          {"chunks", std::move(chunks)},
          {"text", document.text}};
}

Json ToJson(const StoreInfo& info) {
  Json collections = Json::array();
  for (const CollectionInfo& c : info.collections) {
    collections.push_back({{"name", c.name},
                           {"documents", c.documents},
                           {"chunks", c.chunks},
                           {"terms", c.terms},
                           {"average_terms", c.average_terms},
                           {"memory_bytes", c.memory_bytes},
                           {"mapped_bytes", c.mapped_bytes},
                           {"segments", c.segments},
                           {"tail_chunks", c.tail_chunks},
                           {"dead_chunks", c.dead_chunks},
                           {"vector_index", c.vector_index},
                           {"vector_encoding", c.vector_encoding},
                           {"chunker", c.chunker},
                           {"chunk_tokens", c.chunk_tokens},
                           {"overlap_tokens", c.overlap_tokens},
                           {"analyzer", c.analyzer},
                           {"embedder", c.embedder_fingerprint},
                           {"dimensions", c.dim}});
    if (!c.reembedding.has_value()) continue;
    collections.back()["reembedding"] = {{"model", c.reembedding->model},
                                         {"embedder", c.reembedding->embedder_fingerprint},
                                         {"dimensions", c.reembedding->dim},
                                         {"documents", c.reembedding->documents}};
  }
  return {{"uuid", info.uuid},
          {"disk_bytes", info.disk_bytes},
          {"collections", std::move(collections)}};
}

Json ToJson(const VerifyResult& result) {
  return {{"sound", result.problem_count == 0}, {"collections", result.collections},
          {"documents", result.documents},      {"chunks", result.chunks},
          {"vectors", result.vectors},          {"terms", result.terms},
          {"segments", result.segments},        {"problem_count", result.problem_count},
          {"problems", result.problems}};
}

Json ToJson(const IngestReport& report) {
  return {{"created", report.created},         {"replaced", report.replaced},
          {"unchanged", report.unchanged},     {"issues", report.issues},
          {"chunks", report.chunks},           {"bytes", report.bytes},
          {"embed_calls", report.embed_calls}, {"embed_busy", report.embed_busy}};
}

Json ToJson(const ReembedReport& report) {
  return {{"changed", report.changed},
          {"resumed", report.resumed},
          {"documents", report.documents},
          {"chunks", report.chunks}};
}

Json ToJson(const ReuseReport& report) {
  return {{"exact_tokens", report.exact_tokens},
          {"reused_tokens", report.reused_tokens},
          {"recomputed_tokens", report.recomputed_tokens},
          {"fresh_tokens", report.fresh_tokens},
          {"loaded_bytes", report.loaded_bytes},
          {"method", report.method},
          {"reason", report.reason},
          {"share", report.share},
          {"microseconds",
           {{"load", report.load}, {"select", report.select}, {"compute", report.compute}}}};
}

Json ToJson(const KvBuildReport& report) {
  return {{"documents", report.documents}, {"chunks", report.chunks}, {"known", report.known},
          {"tokens", report.tokens},       {"bytes", report.bytes},   {"skipped", report.skipped},
          {"seconds", report.seconds}};
}

Json ToJson(const KvInfo& info) {
  return {{"disk",
           {{"chunks", info.disk_blobs},
            {"bytes", info.disk_bytes},
            {"evictions", info.disk_evictions}}},
          {"memory",
           {{"chunks", info.memory_blobs},
            {"bytes", info.memory_bytes},
            {"evictions", info.memory_evictions}}},
          {"memory_hits", info.memory_hits},
          {"disk_hits", info.disk_hits},
          {"misses", info.misses},
          {"loaded_bytes", info.loaded_bytes},
          {"bad", info.bad_blobs}};
}

Json ToJson(const KvVerifyResult& result) {
  return {{"sound", result.bad == 0},
          {"chunks", result.blobs},
          {"bytes", result.bytes},
          {"bad", result.bad},
          {"problems", result.problems}};
}

std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cairn::services
