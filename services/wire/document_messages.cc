#include <google/rpc/status.pb.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cairn/v1/documents.pb.h"
#include "chunking/readers/text_checks.h"
#include "services/wire/field_checks.h"
#include "services/wire/messages.h"
#include "services/wire/metadata_map.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

// Formats of InputDocument by the media types that stand for them.
struct FormatName {
  std::string_view media_type;
  std::string_view format;
};
constexpr FormatName kFormats[] = {
    {"text/plain", "text"}, {"text/markdown", "markdown"}, {"text/html", "html"}};

constexpr EnumTable<v1::IngestAck::Outcome, IngestOutcome::Kind, 4> kOutcomes{{
    {v1::IngestAck::OUTCOME_CREATED, IngestOutcome::Kind::kCreated},
    {v1::IngestAck::OUTCOME_REPLACED, IngestOutcome::Kind::kReplaced},
    {v1::IngestAck::OUTCOME_UNCHANGED, IngestOutcome::Kind::kUnchanged},
    {v1::IngestAck::OUTCOME_REFUSED, IngestOutcome::Kind::kRefused},
}};

absl::StatusOr<std::string> ReadFormat(const std::string& media_type) {
  if (media_type.empty()) return std::string("text");
  for (const FormatName& name : kFormats) {
    if (name.media_type == media_type) return std::string(name.format);
  }
  return BadField("document.media_type",
                  "must be \"text/plain\", \"text/markdown\" or \"text/html\"");
}

// What is no format stays as it is, for the other side to refuse.
std::string MediaTypeOf(const std::string& format) {
  for (const FormatName& name : kFormats) {
    if (name.format == format) return std::string(name.media_type);
  }
  return format;
}

}  // namespace

absl::StatusOr<MetadataValue> ReadMetadataValue(const v1::MetadataValue& in,
                                                std::string_view field) {
  switch (in.kind_case()) {
    case v1::MetadataValue::kBoolValue:
      return in.bool_value();
    case v1::MetadataValue::kIntValue:
      return int64_t{in.int_value()};
    case v1::MetadataValue::kDoubleValue:
      if (!std::isfinite(in.double_value())) return BadField(field, "is not a finite number");
      return in.double_value();
    case v1::MetadataValue::kStringValue:
      return in.string_value();
    case v1::MetadataValue::kStringList:
      return std::vector<std::string>(in.string_list().values().begin(),
                                      in.string_list().values().end());
    case v1::MetadataValue::KIND_NOT_SET:
      break;
  }
  return BadField(field, "has no value");
}

void WriteMetadataValue(const MetadataValue& in, v1::MetadataValue* out) {
  out->Clear();
  if (const auto* boolean = std::get_if<bool>(&in)) {
    out->set_bool_value(*boolean);
  } else if (const auto* integer = std::get_if<int64_t>(&in)) {
    out->set_int_value(*integer);
  } else if (const auto* number = std::get_if<double>(&in)) {
    out->set_double_value(*number);
  } else if (const auto* text = std::get_if<std::string>(&in)) {
    out->set_string_value(*text);
  } else if (const auto* list = std::get_if<std::vector<std::string>>(&in)) {
    out->mutable_string_list()->mutable_values()->Assign(list->begin(), list->end());
  }
}

absl::StatusOr<Metadata> ReadMetadataMap(
    const google::protobuf::Map<std::string, v1::MetadataValue>& in, std::string_view field) {
  // Names come from outside and may be of any length.
  constexpr size_t kMostOfName = 64;
  Metadata metadata;
  for (const auto& [name, value] : in) {
    absl::StatusOr<MetadataValue> read = ReadMetadataValue(
        value, absl::StrCat(chunking::AbslView(field), "[\"",
                            absl::Utf8SafeCHexEscape(name.substr(0, kMostOfName)), "\"]"));
    if (!read.ok()) return read.status();
    metadata.emplace(name, *std::move(read));
  }
  return metadata;
}

void WriteMetadataMap(const Metadata& in,
                      google::protobuf::Map<std::string, v1::MetadataValue>* out) {
  out->clear();
  for (const auto& [name, value] : in) WriteMetadataValue(value, &(*out)[name]);
}

absl::StatusOr<InputDocument> ReadInputDocument(v1::InputDocument in) {
  if (absl::Status s = CheckRequired("document.id", in.id()); !s.ok()) return s;
  absl::StatusOr<std::string> format = ReadFormat(in.media_type());
  if (!format.ok()) return format.status();
  absl::StatusOr<Metadata> metadata = ReadMetadataMap(in.metadata(), "document.metadata");
  if (!metadata.ok()) return metadata.status();
  InputDocument out;
  out.id = std::move(*in.mutable_id());
  out.title = std::move(*in.mutable_title());
  out.metadata = *std::move(metadata);
  out.source_uri = std::move(*in.mutable_source_uri());
  out.format = *std::move(format);
  if (in.has_raw()) {
    if (!chunking::IsUtf8(in.raw())) return BadField("document.raw", "is not valid UTF-8");
    out.text = std::move(*in.mutable_raw());
  } else if (in.has_text()) {
    out.text = std::move(*in.mutable_text());
  }
  return out;
}

void WriteInputDocument(const InputDocument& in, v1::InputDocument* out) {
  out->Clear();
  out->set_id(in.id);
  out->set_title(in.title);
  // A message with bytes that are no UTF-8 where it has a string would break the whole stream.
  if (chunking::IsUtf8(in.text)) {
    out->set_text(in.text);
  } else {
    out->set_raw(in.text);
  }
  out->set_media_type(MediaTypeOf(in.format));
  WriteMetadataMap(in.metadata, out->mutable_metadata());
  out->set_source_uri(in.source_uri);
}

void WriteIngestAck(const IngestOutcome& in, v1::IngestAck* out) {
  out->Clear();
  out->set_sequence(in.sequence);
  out->set_document_id(in.document_id);
  out->set_outcome(WriteEnum(kOutcomes, in.kind));
  for (uint32_t i = 0; i < in.chunk_count; ++i) out->add_chunk_ids(in.first_chunk + i);
  if (in.kind == IngestOutcome::Kind::kRefused) {
    WriteRpcStatus(absl::InvalidArgumentError(in.reason), out->mutable_error());
  }
}

IngestOutcome ReadIngestAck(const v1::IngestAck& in) {
  IngestOutcome out;
  out.sequence = in.sequence();
  out.document_id = in.document_id();
  // An outcome that is not known is not one to rely on.
  out.kind =
      ReadEnum(std::string_view("outcome"), kOutcomes, in.outcome(), IngestOutcome::Kind::kRefused)
          .value_or(IngestOutcome::Kind::kRefused);
  // A document's chunks have consecutive ids.
  if (in.chunk_ids_size() > 0) out.first_chunk = in.chunk_ids(0);
  out.chunk_count = static_cast<uint32_t>(in.chunk_ids_size());
  out.reason = in.error().message();
  return out;
}

void WriteIngestSummary(const IngestReport& in, uint64_t refused, v1::IngestSummary* out) {
  out->Clear();
  out->set_created(in.created);
  out->set_replaced(in.replaced);
  out->set_unchanged(in.unchanged);
  out->set_refused(refused);
  out->set_chunks(in.chunks);
  out->set_bytes(in.bytes);
  out->set_embed_calls(in.embed_calls);
  out->set_embed_busy(in.embed_busy);
  out->set_warnings(in.issues - std::min(in.issues, refused));
}

IngestReport ReadIngestSummary(const v1::IngestSummary& in) {
  IngestReport out;
  out.created = in.created();
  out.replaced = in.replaced();
  out.unchanged = in.unchanged();
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  out.issues = in.warnings() > most - in.refused() ? most : in.refused() + in.warnings();
  out.chunks = in.chunks();
  out.bytes = in.bytes();
  out.embed_calls = in.embed_calls();
  out.embed_busy = in.embed_busy();
  return out;
}

void WriteDocument(const StoredDocument& in, std::string_view name, bool full, v1::Document* out) {
  out->Clear();
  out->set_name(std::string(name));
  out->set_id(in.id);
  out->set_title(in.title);
  out->set_media_type(in.media_type);
  out->set_source_uri(in.source_uri);
  WriteMetadataMap(in.metadata, out->mutable_metadata());
  out->set_chunk_count(Uint32Of(in.chunks.size()));
  if (!full) return;
  out->set_text(in.text);
  for (const StoredChunk& chunk : in.chunks) {
    v1::DocumentChunk* c = out->add_chunks();
    c->set_chunk_id(chunk.id);
    c->mutable_span()->set_begin(chunk.begin);
    c->mutable_span()->set_end(chunk.end);
    c->set_tokens(chunk.tokens);
    c->mutable_headings()->Assign(chunk.headings.begin(), chunk.headings.end());
  }
}

void WriteDocument(const DocumentSummary& in, std::string_view name, v1::Document* out) {
  out->Clear();
  out->set_name(std::string(name));
  out->set_id(in.id);
  out->set_title(in.title);
  out->set_media_type(in.media_type);
  out->set_source_uri(in.source_uri);
  WriteMetadataMap(in.metadata, out->mutable_metadata());
  out->set_chunk_count(in.chunk_count);
}

}  // namespace cairn::services
