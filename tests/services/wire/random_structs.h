// Random values of the engine's structs, and all of their fields as text, to compare them by.
#ifndef CAIRN_TESTS_SERVICES_WIRE_RANDOM_STRUCTS_H_
#define CAIRN_TESTS_SERVICES_WIRE_RANDOM_STRUCTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "services/wire/messages.h"

namespace cairn::services {

class RandomStructs {
 public:
  explicit RandomStructs(uint32_t seed) : rng_(seed) {}

  uint64_t Below(uint64_t bound) { return rng_() % bound; }
  bool Coin() { return Below(2) == 1; }
  // Of any magnitude.
  uint64_t Number() { return rng_() >> Below(64); }
  uint32_t Number32() { return static_cast<uint32_t>(Number()); }
  double Real() { return (Coin() ? 1 : -1) * static_cast<double>(Number()) / 1024; }
  float RealIn(float least, float most) {
    return std::uniform_real_distribution<float>(least, most)(rng_);
  }
  std::string Text() {
    static const char* const kPieces[] = {"a", "Z",  " ",    "\n",   "\"",
                                          "ß", "漢", "🪨", "\x7f", "%"};
    std::string text;
    for (uint64_t n = Below(12); n > 0; --n) text += kPieces[Below(std::size(kPieces))];
    return text;
  }
  std::string NonEmpty() { return "x" + Text(); }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts(Below(4));
    for (std::string& text : texts) text = Text();
    return texts;
  }
  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(rng_());
    return bytes;
  }
  template <typename T>
  T OneOf(std::vector<T> choices) {
    return choices[Below(choices.size())];
  }

  MetadataValue Value();
  Metadata Fields();
  InputDocument Input();
  IngestOutcome Outcome();
  IngestReport Report();
  CollectionOptions Options();
  CollectionInfo Collection();
  StoredDocument Stored();
  SearchCall Call();
  SearchComponent Component();
  SearchHit Hit();
  SearchResponse Response();
  AskRequest Ask();
  AnswerSentence Sentence();
  ReuseReport Reuse();
  AskResponse Summary();
  VerifyResult Verified();

 private:
  std::mt19937_64 rng_;
};

// Floats exactly, strings between quotes: equal texts are equal values.
class Shown {
 public:
  Shown() { out_ << std::hexfloat; }

  template <typename... T>
  Shown& Add(const T&... values) {
    (Put(values), ...);
    return *this;
  }
  std::string text() const { return out_.str(); }

 private:
  void Put(const std::string& text) { out_ << '"' << text << "\" "; }
  void Put(bool value) { out_ << (value ? "true " : "false "); }
  void Put(double value) { out_ << value << ' '; }
  void Put(float value) { out_ << value << ' '; }
  template <typename T>
  requires std::is_integral_v<T>
  void Put(T value) { out_ << +value << ' '; }
  template <typename T>
  requires std::is_enum_v<T>
  void Put(T value) { out_ << '#' << static_cast<int>(value) << ' '; }
  template <typename T>
  void Put(const std::optional<T>& value) {
    if (value.has_value()) {
      Put(*value);
    } else {
      out_ << "unset ";
    }
  }
  template <typename T>
  void Put(const std::vector<T>& values) {
    out_ << "[ ";
    for (const T& value : values) Put(value);
    out_ << "] ";
  }
  void Put(const MetadataValue& value) {
    out_ << 'v' << value.index() << ' ';
    std::visit([this](const auto& v) { Put(v); }, value);
  }
  template <typename T, typename Less>
  void Put(const std::map<std::string, T, Less>& map) {
    out_ << "{ ";
    for (const auto& [name, value] : map) Add(name, value);
    out_ << "} ";
  }
  void Put(const SearchComponent& c) { Add(c.rank, c.known, c.raw, c.normalized); }
  void Put(const SearchHit& h) {
    Add(h.document_id, h.chunk_id, h.score, h.lexical, h.vector, h.rerank.rank, h.rerank.score,
        h.ordinal, h.begin, h.end, h.text, h.title, h.headings, h.source_uri, h.metadata);
  }
  void Put(const Citation& c) {
    Add(c.document_id, c.chunk_id, c.begin, c.end, c.title, c.source_uri, c.passage, c.support);
  }

  std::ostringstream out_;
};

template <typename... T>
std::string Show(const T&... values) {
  return Shown().Add(values...).text();
}

inline std::string ShowStruct(const InputDocument& d) {
  return Show(d.id, d.title, d.text, d.metadata, d.source_uri, d.format);
}
inline std::string ShowStruct(const IngestOutcome& o) {
  return Show(o.sequence, o.document_id, o.kind, o.first_chunk, o.chunk_count, o.reason);
}
inline std::string ShowStruct(const IngestReport& r) {
  return Show(r.created, r.replaced, r.unchanged, r.issues, r.chunks, r.bytes, r.embed_calls,
              r.embed_busy);
}
inline std::string ShowStruct(const CollectionOptions& o) {
  return Show(o.chunker, o.chunk_tokens, o.overlap_tokens, o.analyzer, o.vector_index,
              o.vector_encoding);
}
inline std::string ShowStruct(const CollectionInfo& c) {
  return Show(c.name, c.chunker, c.chunk_tokens, c.overlap_tokens, c.analyzer,
              c.embedder_fingerprint, c.dim, c.documents, c.chunks, c.terms, c.average_terms,
              c.memory_bytes, c.mapped_bytes, c.segments, c.tail_chunks, c.dead_chunks,
              c.vector_index, c.vector_encoding, c.notes.description, c.notes.labels,
              c.create_time_ms, c.update_time_ms);
}
inline std::string ShowStruct(const SearchCall& call) {
  const SearchRequest& r = call.request;
  return Show(r.collection, r.query, r.k, r.mode, r.granularity, r.filter, r.with_text, r.exact,
              r.fusion, r.alpha, r.rerank, r.k1, r.b, call.explain);
}
inline std::string ShowStruct(const SearchHit& h) { return Show(h); }
inline std::string ShowStruct(const SearchResponse& r) {
  return Show(r.hits, r.timings.analyze, r.timings.embed, r.timings.candidates, r.timings.rerank,
              r.timings.fetch, r.alpha);
}
inline std::string ShowStruct(const AskRequest& r) {
  return Show(r.collection, r.question, r.passages, r.filter, r.rerank, r.mode, r.sentences,
              r.max_tokens, r.temperature, r.seed, r.token_budget, r.reuse);
}
inline std::string ShowStruct(const AnswerSentence& s) {
  return Show(s.text, s.score, s.citations, s.supported);
}
inline std::string ShowStruct(const ReuseReport& r) {
  return Show(r.exact_tokens, r.reused_tokens, r.recomputed_tokens, r.fresh_tokens, r.loaded_bytes,
              r.method, r.reason, r.share, r.load, r.select, r.compute);
}
inline std::string ShowSummary(const AskResponse& r) {
  return Show(r.mode, r.unsupported_sentences, r.dropped_citations, r.finish, r.usage.prompt_tokens,
              r.usage.cached_tokens, r.usage.generated_tokens, ShowStruct(r.usage.reuse),
              r.timings.retrieve, r.timings.select, r.timings.prefill, r.timings.decode,
              r.timings.check, r.timings.total);
}
inline std::string ShowStruct(const VerifyResult& r) {
  return Show(r.collections, r.documents, r.chunks, r.vectors, r.terms, r.segments, r.problems,
              r.problem_count);
}

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_WIRE_RANDOM_STRUCTS_H_
