#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "cairn/v1/admin.pb.h"
#include "cairn/v1/collections.pb.h"
#include "services/wire/field_checks.h"
#include "services/wire/messages.h"

namespace cairn::services {
namespace {

constexpr EnumTable<v1::Chunker, std::string_view, 3> kChunkers{{
    {v1::CHUNKER_STRUCTURE, "structure"},
    {v1::CHUNKER_SENTENCE, "sentence"},
    {v1::CHUNKER_FIXED, "fixed"},
}};
constexpr EnumTable<v1::VectorIndex, std::string_view, 3> kVectorIndexes{{
    {v1::VECTOR_INDEX_HNSW, "hnsw"},
    {v1::VECTOR_INDEX_FLAT, "flat"},
    {v1::VECTOR_INDEX_IVF_PQ, "ivf-pq"},
}};
constexpr EnumTable<v1::VectorEncoding, std::string_view, 3> kVectorEncodings{{
    {v1::VECTOR_ENCODING_INT8, "int8"},
    {v1::VECTOR_ENCODING_BFLOAT16, "bfloat16"},
    {v1::VECTOR_ENCODING_FLOAT32, "float32"},
}};

constexpr uint32_t kFewestChunkTokens = 8;
constexpr uint32_t kMostChunkTokens = 65'536;
constexpr size_t kMaxAnalyzerBytes = 64;

constexpr int64_t kMillisecondsPerSecond = 1000;
constexpr int32_t kNanosecondsPerMillisecond = 1'000'000;

// Empty: the default, or one that is not known.
template <typename Wire, size_t kSize>
std::string NameOf(const EnumTable<Wire, std::string_view, kSize>& table, Wire value) {
  return std::string(ReadEnum("", table, value, std::string_view()).value_or(std::string_view()));
}

template <typename Wire, size_t kSize>
absl::Status ReadName(std::string_view field, const EnumTable<Wire, std::string_view, kSize>& table,
                      Wire value, std::optional<std::string>* out) {
  const absl::StatusOr<std::string_view> name = ReadEnum(field, table, value, std::string_view());
  if (!name.ok()) return name.status();
  if (!name->empty()) *out = std::string(*name);
  return absl::OkStatus();
}

void WriteStatistics(const CollectionInfo& in, v1::CollectionStatistics* out) {
  out->set_documents(in.documents);
  out->set_chunks(in.chunks);
  out->set_terms(in.terms);
  out->set_average_terms(in.average_terms);
  out->set_memory_bytes(in.memory_bytes);
  out->set_mapped_bytes(in.mapped_bytes);
  out->set_segments(in.segments);
  out->set_tail_chunks(in.tail_chunks);
  out->set_dead_chunks(in.dead_chunks);
}

void ReadStatistics(const v1::CollectionStatistics& in, CollectionInfo* out) {
  out->documents = in.documents();
  out->chunks = in.chunks();
  out->terms = in.terms();
  out->average_terms = in.average_terms();
  out->memory_bytes = in.memory_bytes();
  out->mapped_bytes = in.mapped_bytes();
  out->segments = in.segments();
  out->tail_chunks = in.tail_chunks();
  out->dead_chunks = in.dead_chunks();
}

// 0 for what no timestamp of this age can be.
int64_t ReadTimestamp(const google::protobuf::Timestamp& in) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / kMillisecondsPerSecond - 1;
  if (in.seconds() > kMost || in.seconds() < -kMost) return 0;
  return in.seconds() * kMillisecondsPerSecond + in.nanos() / kNanosecondsPerMillisecond;
}

}  // namespace

absl::StatusOr<CollectionOptions> ReadCollectionSettings(const v1::CollectionSettings& in) {
  CollectionOptions out;
  const std::string prefix = "collection.settings.";
  absl::Status s = ReadName(prefix + "chunker", kChunkers, in.chunker(), &out.chunker);
  if (s.ok() && in.has_chunk_tokens()) {
    s = CheckRange(prefix + "chunk_tokens", uint64_t{in.chunk_tokens()}, kFewestChunkTokens,
                   kMostChunkTokens);
    out.chunk_tokens = in.chunk_tokens();
  }
  if (s.ok() && in.has_overlap_tokens()) {
    s = CheckRange(prefix + "overlap_tokens", uint64_t{in.overlap_tokens()}, 0, kMostChunkTokens);
    out.overlap_tokens = in.overlap_tokens();
  }
  if (s.ok() && in.analyzer().size() > kMaxAnalyzerBytes) {
    s = BadField(prefix + "analyzer", "is not the name of an analyser");
  }
  if (!in.analyzer().empty()) out.analyzer = in.analyzer();
  if (s.ok()) {
    s = ReadName(prefix + "vector_index", kVectorIndexes, in.vector_index(), &out.vector_index);
  }
  if (s.ok()) {
    s = ReadName(prefix + "vector_encoding", kVectorEncodings, in.vector_encoding(),
                 &out.vector_encoding);
  }
  if (!s.ok()) return s;
  return out;
}

void WriteCollectionSettings(const CollectionOptions& in, v1::CollectionSettings* out) {
  out->Clear();
  out->set_chunker(WriteEnum(kChunkers, in.chunker.value_or("")));
  if (in.chunk_tokens.has_value()) out->set_chunk_tokens(*in.chunk_tokens);
  if (in.overlap_tokens.has_value()) out->set_overlap_tokens(*in.overlap_tokens);
  out->set_analyzer(in.analyzer.value_or(""));
  out->set_vector_index(WriteEnum(kVectorIndexes, in.vector_index.value_or("")));
  out->set_vector_encoding(WriteEnum(kVectorEncodings, in.vector_encoding.value_or("")));
}

void WriteCollection(const CollectionInfo& in, std::string_view name, bool with_statistics,
                     v1::Collection* out) {
  out->Clear();
  out->set_name(std::string(name));
  out->set_description(in.notes.description);
  for (const auto& [label, value] : in.notes.labels) (*out->mutable_labels())[label] = value;
  v1::CollectionSettings* settings = out->mutable_settings();
  settings->set_chunker(WriteEnum(kChunkers, in.chunker));
  settings->set_chunk_tokens(in.chunk_tokens);
  settings->set_overlap_tokens(in.overlap_tokens);
  settings->set_analyzer(in.analyzer);
  settings->set_vector_index(WriteEnum(kVectorIndexes, in.vector_index));
  settings->set_vector_encoding(WriteEnum(kVectorEncodings, in.vector_encoding));
  out->set_embedder_fingerprint(in.embedder_fingerprint);
  out->set_dimensions(in.dim);
  if (in.create_time_ms != 0) WriteTimestamp(in.create_time_ms, out->mutable_create_time());
  if (in.update_time_ms != 0) WriteTimestamp(in.update_time_ms, out->mutable_update_time());
  if (with_statistics) WriteStatistics(in, out->mutable_statistics());
}

CollectionInfo ReadCollection(const v1::Collection& in) {
  constexpr std::string_view kPrefix = "collections/";
  CollectionInfo out;
  out.name = in.name();
  if (out.name.compare(0, kPrefix.size(), kPrefix) == 0) out.name.erase(0, kPrefix.size());
  out.notes.description = in.description();
  out.notes.labels.insert(in.labels().begin(), in.labels().end());
  const v1::CollectionSettings& settings = in.settings();
  out.chunker = NameOf(kChunkers, settings.chunker());
  out.chunk_tokens = settings.chunk_tokens();
  out.overlap_tokens = settings.overlap_tokens();
  out.analyzer = settings.analyzer();
  out.vector_index = NameOf(kVectorIndexes, settings.vector_index());
  out.vector_encoding = NameOf(kVectorEncodings, settings.vector_encoding());
  out.embedder_fingerprint = in.embedder_fingerprint();
  out.dim = in.dimensions();
  if (in.has_create_time()) out.create_time_ms = ReadTimestamp(in.create_time());
  if (in.has_update_time()) out.update_time_ms = ReadTimestamp(in.update_time());
  ReadStatistics(in.statistics(), &out);
  return out;
}

void WriteVerifyResult(const VerifyResult& in, v1::VerifyStoreResponse* out) {
  out->Clear();
  out->set_collections(in.collections);
  out->set_documents(in.documents);
  out->set_chunks(in.chunks);
  out->set_vectors(in.vectors);
  out->set_terms(in.terms);
  out->set_segments(in.segments);
  out->mutable_problems()->Assign(in.problems.begin(), in.problems.end());
  out->set_problem_count(in.problem_count);
}

VerifyResult ReadVerifyResult(const v1::VerifyStoreResponse& in) {
  VerifyResult out;
  out.collections = in.collections();
  out.documents = in.documents();
  out.chunks = in.chunks();
  out.vectors = in.vectors();
  out.terms = in.terms();
  out.segments = in.segments();
  out.problems.assign(in.problems().begin(), in.problems().end());
  out.problem_count = in.problem_count();
  return out;
}

void WriteTimestamp(int64_t unix_milliseconds, google::protobuf::Timestamp* out) {
  // Nanoseconds count forwards, before 1970 too.
  int64_t seconds = unix_milliseconds / kMillisecondsPerSecond;
  int64_t rest = unix_milliseconds % kMillisecondsPerSecond;
  if (rest < 0) {
    rest += kMillisecondsPerSecond;
    --seconds;
  }
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(rest) * kNanosecondsPerMillisecond);
}

}  // namespace cairn::services
