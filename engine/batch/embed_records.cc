#include "engine/batch/embed_records.h"

#include <bit>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/batch/json_lines.h"
#include "engine/batch/ordered_batches.h"
#include "engine/batch/text_records.h"

namespace cairn::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "rows are written as they are");

// Of English, in a subword token.
constexpr size_t kBytesPerToken = 4;

struct EmbeddedRecord {
  TextRecord record;
  std::vector<float> vector;
};

std::string JsonLine(const EmbeddedRecord& item) {
  std::string line = "{\"id\":" + nlohmann::json(item.record.id).dump() + ",\"vector\":[";
  char digits[32];
  for (size_t i = 0; i < item.vector.size(); ++i) {
    if (i > 0) line.push_back(',');
    const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), item.vector[i]);
    line.append(digits, end.ptr);
  }
  return line.append("]}\n");
}

absl::Status WriteVector(const EmbeddedRecord& item, VectorFormat format, std::ostream& out) {
  if (format == VectorFormat::kJsonl) {
    const std::string line = JsonLine(item);
    out.write(line.data(), static_cast<std::streamsize>(line.size()));
  } else {
    out.write(reinterpret_cast<const char*>(item.vector.data()),
              static_cast<std::streamsize>(item.vector.size() * sizeof(float)));
  }
  return out ? absl::OkStatus() : absl::DataLossError("cannot write the vectors");
}

absl::Status EmbedBatch(const Embedder& embedder, TextKind kind,
                        absl::Span<EmbeddedRecord* const> batch) {
  std::vector<std::string_view> texts;
  texts.reserve(batch.size());
  for (const EmbeddedRecord* item : batch) texts.push_back(item->record.text);
  const size_t dim = embedder.dim();
  std::vector<float> vectors(texts.size() * dim);
  if (absl::Status s = embedder.Embed(kind, texts, absl::MakeSpan(vectors)); !s.ok()) return s;
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto first = vectors.begin() + static_cast<std::ptrdiff_t>(i * dim);
    batch[i]->vector.assign(first, first + static_cast<std::ptrdiff_t>(dim));
    batch[i]->record.text = std::string();  // It has done its work.
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status EmbedRecords(const Embedder& embedder, chunking::ByteSource& in,
                          const std::string& name, std::ostream& out,
                          const EmbedRecordsOptions& options, BatchReport* report) {
  *report = {};
  JsonLines lines(in, name, options.skip_bad);
  const auto read = [&]() -> absl::StatusOr<std::optional<EmbeddedRecord>> {
    EmbeddedRecord item;
    absl::StatusOr<bool> more = lines.Next([&](const nlohmann::json& object) {
      absl::StatusOr<TextRecord> record = ParseTextRecord(object);
      if (record.ok()) item.record = *std::move(record);
      return record.status();
    });
    report->skipped = lines.skipped();
    report->bytes = lines.bytes();
    if (!more.ok()) return more.status();
    return *more ? std::optional<EmbeddedRecord>(std::move(item)) : std::nullopt;
  };
  const auto work = [&](absl::Span<EmbeddedRecord* const> batch) {
    return EmbedBatch(embedder, options.kind, batch);
  };
  const auto write = [&](EmbeddedRecord& item) {
    absl::Status s = WriteVector(item, options.format, out);
    if (!s.ok()) return s;
    item.vector = {};
    ++report->records;
    if (options.on_progress) options.on_progress(*report);
    return s;
  };
  OrderedBatchesOptions batches;
  batches.threads = options.threads;
  batches.window_items = options.window;
  const size_t most = embedder.max_tokens();
  OrderedBatches<EmbeddedRecord> run(
      batches,
      [&](const EmbeddedRecord& item) {
        const size_t tokens = item.record.text.size() / kBytesPerToken + 1;
        return most > 0 ? std::min(tokens, most) : tokens;
      },
      [&](const EmbeddedRecord& item) {
        return item.record.text.size() + item.record.id.size() + embedder.dim() * sizeof(float);
      });
  return run.Run(read, work, write, options.cancel);
}

}  // namespace cairn::engine
