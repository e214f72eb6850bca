#include "index/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "index/row_codec.h"

namespace cairn::index {
namespace {

constexpr uint64_t kMaxDim = 1 << 16;
constexpr uint64_t kMax32 = std::numeric_limits<uint32_t>::max();

enum MetadataType : uint8_t { kFalse, kTrue, kInt, kDouble, kText, kList };

void AppendBigEndian(uint64_t value, int bytes, std::string* out) {
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t ZigZag(int64_t v) {
  return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63);
}
int64_t UnZigZag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }

void WriteStrings(const std::vector<std::string>& list, RowWriter* writer) {
  writer->Varint(list.size());
  for (const std::string& s : list) writer->String(s);
}

std::vector<std::string> ReadStrings(RowReader* reader) {
  std::vector<std::string> list(reader->Count(1));
  for (std::string& s : list) s = reader->String();
  return list;
}

void WriteMetadata(const chunking::Metadata& metadata, RowWriter* writer) {
  writer->Varint(metadata.size());
  for (const auto& [name, value] : metadata) {
    writer->String(name);
    if (const bool* b = std::get_if<bool>(&value)) {
      writer->Byte(*b ? kTrue : kFalse);
    } else if (const int64_t* i = std::get_if<int64_t>(&value)) {
      writer->Byte(kInt);
      writer->Varint(ZigZag(*i));
    } else if (const double* d = std::get_if<double>(&value)) {
      writer->Byte(kDouble);
      writer->Double(*d);
    } else if (const std::string* s = std::get_if<std::string>(&value)) {
      writer->Byte(kText);
      writer->String(*s);
    } else {
      writer->Byte(kList);
      WriteStrings(std::get<std::vector<std::string>>(value), writer);
    }
  }
}

chunking::MetadataValue ReadMetadataValue(RowReader* reader) {
  switch (reader->Byte()) {
    case kFalse:
      return false;
    case kTrue:
      return true;
    case kInt:
      return UnZigZag(reader->Varint());
    case kDouble:
      return reader->Double();
    case kText:
      return std::string(reader->String());
    case kList:
      return ReadStrings(reader);
    default:
      reader->Fail();
      return false;
  }
}

chunking::Metadata ReadMetadata(RowReader* reader) {
  chunking::Metadata metadata;
  const size_t count = reader->Count(2);
  for (size_t i = 0; i < count && reader->ok(); ++i) {
    std::string name(reader->String());
    // Names ascend: so a row has one encoding only, and the hint makes insertion constant time.
    if (!metadata.empty() && name <= metadata.rbegin()->first) reader->Fail();
    chunking::MetadataValue value = ReadMetadataValue(reader);
    metadata.emplace_hint(metadata.end(), std::move(name), std::move(value));
  }
  return metadata;
}

void WriteCollection(const CollectionRow& row, RowWriter* writer) {
  const CollectionSettings& s = row.settings;
  writer->Varint(row.id);
  writer->String(s.chunker);
  writer->Varint(s.chunk_tokens);
  writer->Varint(s.overlap_tokens);
  writer->String(s.analyzer);
  writer->String(s.embedder_fingerprint);
  writer->Varint(s.dim);
  writer->Byte(static_cast<uint8_t>(s.vector_index));
  writer->Byte(static_cast<uint8_t>(s.vector_encoding));
}

// To the row's end.
absl::StatusOr<CollectionRow> ReadCollection(RowReader* reader) {
  CollectionRow row;
  row.id = static_cast<CollectionId>(reader->Varint(kMax32));
  row.settings.chunker = reader->String();
  row.settings.chunk_tokens = static_cast<uint32_t>(reader->Varint(kMax32));
  row.settings.overlap_tokens = static_cast<uint32_t>(reader->Varint(kMax32));
  row.settings.analyzer = reader->String();
  row.settings.embedder_fingerprint = reader->String();
  row.settings.dim = static_cast<uint32_t>(reader->Varint(kMaxDim));
  // Rows of format 1 end here.
  if (reader->remaining() > 0) {
    const uint8_t kind = reader->Byte();
    const uint8_t encoding = reader->Byte();
    if (kind > static_cast<uint8_t>(VectorIndexKind::kIvfPq) ||
        encoding > static_cast<uint8_t>(VectorEncoding::kInt8)) {
      return absl::DataLossError("collection row with an unknown vector index");
    }
    row.settings.vector_index = static_cast<VectorIndexKind>(kind);
    row.settings.vector_encoding = static_cast<VectorEncoding>(encoding);
  }
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  // The largest id has no key after its own: it is never given out.
  if (row.id == 0 || row.id == kMax32) return absl::DataLossError("collection id out of range");
  return row;
}

}  // namespace

std::string CollectionPrefix(CollectionId collection) {
  std::string key;
  AppendBigEndian(collection, 4, &key);
  return key;
}

std::string CollectionEnd(CollectionId collection) { return CollectionPrefix(collection + 1); }

std::string DocumentKey(CollectionId collection, std::string_view document_id) {
  return CollectionPrefix(collection).append(document_id);
}

std::string ChunkKey(CollectionId collection, ChunkId chunk) {
  std::string key = CollectionPrefix(collection);
  AppendBigEndian(chunk, 8, &key);
  return key;
}

std::string TermKey(CollectionId collection, std::string_view term) {
  return CollectionPrefix(collection).append(term);
}

std::string CollectionNameKey(std::string_view name) {
  return std::string("collection/").append(name);
}

std::string ReembeddingKey(std::string_view name) {
  return std::string("reembedding/").append(name);
}

std::string_view CountersKey() { return "counters"; }

std::string ManifestKey(CollectionId collection) {
  return "manifest/" + CollectionPrefix(collection);
}

std::string NotesKey(CollectionId collection) { return "notes/" + CollectionPrefix(collection); }

absl::StatusOr<CollectionId> CollectionOfNotesKey(std::string_view key) {
  constexpr std::string_view kPrefix = "notes/";
  if (key.substr(0, kPrefix.size()) != kPrefix || key.size() != kPrefix.size() + 4) {
    return absl::DataLossError("notes key of a wrong shape");
  }
  CollectionId collection = 0;
  for (char c : key.substr(kPrefix.size())) collection = collection << 8 | static_cast<uint8_t>(c);
  return collection;
}

std::string TermCountKey(CollectionId collection) {
  return "term_count/" + CollectionPrefix(collection);
}

absl::StatusOr<ChunkId> ChunkIdOfKey(std::string_view key) {
  if (key.size() != 12) return absl::DataLossError("chunk key of a wrong length");
  ChunkId chunk = 0;
  for (char c : key.substr(4)) chunk = chunk << 8 | static_cast<uint8_t>(c);
  return chunk;
}

std::string Encode(std::string_view key, const CountersRow& row) {
  RowWriter writer;
  writer.Varint(row.next_chunk);
  writer.Varint(row.next_collection);
  return std::move(writer).Finish(key);
}

absl::StatusOr<CountersRow> DecodeCounters(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  CountersRow row;
  row.next_chunk = reader->Varint();
  row.next_collection = static_cast<CollectionId>(reader->Varint(kMax32));
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return row;
}

std::string Encode(std::string_view key, const CollectionRow& row) {
  RowWriter writer;
  WriteCollection(row, &writer);
  return std::move(writer).Finish(key);
}

absl::StatusOr<CollectionRow> DecodeCollection(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  return ReadCollection(&*reader);
}

std::string Encode(std::string_view key, const ReembeddingRow& row) {
  RowWriter writer;
  writer.Varint(row.source);
  writer.String(row.model);
  WriteCollection(row.collection, &writer);
  return std::move(writer).Finish(key);
}

absl::StatusOr<ReembeddingRow> DecodeReembedding(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  ReembeddingRow row;
  row.source = static_cast<CollectionId>(reader->Varint(kMax32));
  row.model = reader->String();
  absl::StatusOr<CollectionRow> collection = ReadCollection(&*reader);
  if (!collection.ok()) return collection.status();
  row.collection = *std::move(collection);
  return row;
}

std::string Encode(std::string_view key, const NotesRow& row) {
  RowWriter writer;
  // A clock before 1970 is a clock that was never set.
  writer.Varint(static_cast<uint64_t>(std::max<int64_t>(row.created_ms, 0)));
  writer.Varint(static_cast<uint64_t>(std::max<int64_t>(row.changed_ms, 0)));
  writer.String(row.description);
  writer.Varint(row.labels.size());
  for (const auto& [name, value] : row.labels) {
    writer.String(name);
    writer.String(value);
  }
  return std::move(writer).Finish(key);
}

absl::StatusOr<NotesRow> DecodeNotes(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  constexpr uint64_t kMaxTime = std::numeric_limits<int64_t>::max();
  NotesRow row;
  row.created_ms = static_cast<int64_t>(reader->Varint(kMaxTime));
  row.changed_ms = static_cast<int64_t>(reader->Varint(kMaxTime));
  row.description = reader->String();
  const size_t count = reader->Count(2);
  for (size_t i = 0; i < count && reader->ok(); ++i) {
    std::string name(reader->String());
    // Names ascend: so a row has one encoding only.
    if (!row.labels.empty() && name <= row.labels.rbegin()->first) reader->Fail();
    std::string value(reader->String());
    row.labels.emplace_hint(row.labels.end(), std::move(name), std::move(value));
  }
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return row;
}

std::string Encode(std::string_view key, const DocumentRow& row) {
  RowWriter writer;
  writer.Raw(row.content_hash);
  writer.Raw(row.text_hash);
  writer.Varint(row.first_chunk);
  writer.Varint(row.chunk_count);
  writer.Varint(row.text_bytes);
  writer.String(row.trailing);
  writer.String(row.title);
  writer.String(row.source_uri);
  writer.String(row.media_type);
  WriteMetadata(row.metadata, &writer);
  return std::move(writer).Finish(key);
}

absl::StatusOr<DocumentRow> DecodeDocument(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  DocumentRow row;
  row.content_hash = reader->Raw(16);
  row.text_hash = reader->Raw(16);
  row.first_chunk = reader->Varint();
  row.chunk_count = static_cast<uint32_t>(reader->Varint(kMax32));
  row.text_bytes = reader->Varint();
  row.trailing = reader->String();
  row.title = reader->String();
  row.source_uri = reader->String();
  row.media_type = reader->String();
  row.metadata = ReadMetadata(&*reader);
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  if (row.first_chunk > std::numeric_limits<ChunkId>::max() - row.chunk_count) {
    return absl::DataLossError("document row with chunk ids out of range");
  }
  return row;
}

std::string Encode(std::string_view key, const ChunkRow& row) {
  RowWriter writer;
  writer.String(row.document_id);
  writer.Varint(row.ordinal);
  writer.Varint(row.span.begin);
  writer.Varint(row.span.end);
  writer.Varint(row.token_count);
  WriteStrings(row.headings, &writer);
  writer.String(row.gap);
  writer.String(row.text);
  return std::move(writer).Finish(key);
}

absl::StatusOr<ChunkRow> DecodeChunk(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  ChunkRow row;
  row.document_id = reader->String();
  row.ordinal = static_cast<uint32_t>(reader->Varint(kMax32));
  row.span.begin = reader->Varint();
  row.span.end = reader->Varint();
  row.token_count = static_cast<uint32_t>(reader->Varint(kMax32));
  row.headings = ReadStrings(&*reader);
  row.gap = reader->String();
  row.text = reader->String();
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  if (row.span.end < row.span.begin || row.span.size() != row.text.size()) {
    return absl::DataLossError("chunk row whose span and text differ in length");
  }
  return row;
}

std::string Encode(std::string_view key, const ForwardRow& row) {
  RowWriter writer;
  writer.Varint(row.length);
  writer.Varint(row.terms.size());
  int64_t previous = -1;
  for (const TermCount& t : row.terms) {
    writer.Varint(static_cast<uint64_t>(t.term - previous));
    writer.Varint(t.count);
    previous = t.term;
  }
  return std::move(writer).Finish(key);
}

absl::Status DecodeForward(std::string_view key, std::string_view bytes, ForwardRow* row) {
  row->terms.clear();
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  row->length = static_cast<uint32_t>(reader->Varint(kMax32));
  const size_t count = reader->Count(2);
  row->terms.reserve(count);
  uint64_t next = 0;  // Smallest id the following term may have.
  uint64_t occurrences = 0;
  for (size_t i = 0; i < count && reader->ok(); ++i) {
    const uint64_t delta = reader->Varint(kMax32);
    const uint64_t times = reader->Varint(kMax32);
    if (delta == 0 || times == 0 || next + delta - 1 > kMax32) {
      reader->Fail();
      break;
    }
    row->terms.push_back({static_cast<TermId>(next + delta - 1), static_cast<uint32_t>(times)});
    next += delta;
    occurrences += times;
  }
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  if (occurrences != row->length) return absl::DataLossError("forward row of a wrong length");
  return absl::OkStatus();
}

std::string EncodeTerm(std::string_view key, TermId term) {
  RowWriter writer;
  writer.Varint(term);
  return std::move(writer).Finish(key);
}

absl::StatusOr<TermId> DecodeTerm(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  const auto term = static_cast<TermId>(reader->Varint(kMax32));
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return term;
}

std::string EncodeVector(std::string_view key, absl::Span<const float> vector) {
  RowWriter writer;
  writer.Raw({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
  return std::move(writer).Finish(key);
}

absl::Status DecodeVector(std::string_view key, std::string_view bytes, absl::Span<float> out) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  if (reader->remaining() != out.size() * sizeof(float)) {
    return absl::DataLossError("vector row of a wrong dimension");
  }
  // An empty span may have a null pointer, which memcpy must not see.
  if (!out.empty()) {
    std::memcpy(out.data(), reader->Raw(reader->remaining()).data(), out.size() * sizeof(float));
  }
  for (float x : out) {
    if (!std::isfinite(x)) return absl::DataLossError("vector row with a non-finite value");
  }
  return absl::OkStatus();
}

std::string Encode(std::string_view key, const ManifestRow& row) {
  RowWriter writer;
  writer.Varint(row.epoch);
  writer.Varint(row.next_file);
  writer.Varint(row.segments.size());
  for (const SegmentRow& s : row.segments) {
    writer.Varint(s.file);
    writer.Varint(s.digest.bytes);
    writer.Raw({reinterpret_cast<const char*>(s.digest.hash.data()), s.digest.hash.size()});
    writer.Varint(s.begin);
    writer.Varint(s.end);
    writer.Varint(s.slots);
  }
  return std::move(writer).Finish(key);
}

absl::StatusOr<ManifestRow> DecodeManifest(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  ManifestRow row;
  row.epoch = reader->Varint();
  row.next_file = reader->Varint();
  row.segments.resize(reader->Count(21));
  ChunkId end = 0;
  bool sound = true;
  for (SegmentRow& s : row.segments) {
    s.file = reader->Varint();
    s.digest.bytes = reader->Varint();
    const std::string_view hash = reader->Raw(s.digest.hash.size());
    std::copy(hash.begin(), hash.end(), s.digest.hash.begin());
    s.begin = reader->Varint();
    s.end = reader->Varint();
    s.slots = reader->Varint(kMax32);
    sound = sound && s.begin >= end && s.end > s.begin && s.file < row.next_file;
    end = s.end;
  }
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  if (!sound) return absl::DataLossError("manifest that contradicts itself");
  return row;
}

std::string EncodeMetadata(const chunking::Metadata& metadata) {
  RowWriter writer;
  WriteMetadata(metadata, &writer);
  return std::move(writer).Finish("");
}

absl::StatusOr<chunking::Metadata> DecodeMetadata(std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open("", bytes);
  if (!reader.ok()) return reader.status();
  chunking::Metadata metadata = ReadMetadata(&*reader);
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return metadata;
}

}  // namespace cairn::index
