#include "engine/kv/kv_builder.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "engine/answer/answer_prompt.h"
#include "engine/kv/kv_blob.h"

namespace cairn::engine {
namespace {

constexpr size_t kDocumentBytes = size_t{4} << 20;  // Of text, read at a time.
constexpr size_t kTokensTogether = 512;
constexpr size_t kWindow = 4096;
// Layers whose attention is looked at, for Cache-Craft's rules.
constexpr size_t kAttentionLayers = 2;
// Of the budget: the rest is for what is stored beside a build.
constexpr double kFull = 0.98;

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

KvBlob BlobOf(const ChunkKvBuffer& kv, double seconds) {
  KvBlob blob;
  blob.metadata.shape = kv.shape();
  blob.metadata.encoding = kv.encoding();
  blob.metadata.tokens = static_cast<uint32_t>(kv.tokens());
  blob.metadata.first_position = kv.first_position();
  if (kv.attention() != nullptr) blob.metadata.attention = *kv.attention();
  for (size_t l = 0; l < kv.shape().layers; ++l) {
    AlignedBytes bytes(kv.layer(l).size());
    std::memcpy(bytes.data(), kv.layer(l).data(), bytes.size());
    blob.layers.push_back(std::move(bytes));
  }
  blob.seconds = seconds;
  return blob;
}

}  // namespace

absl::StatusOr<KvBuildReport> KvBuilder::Run(index::CollectionId collection,
                                             const KvBuildOptions& options) {
  const Clock::time_point begin = Clock::now();
  if (absl::Status s = Prepare(options); !s.ok()) return s;
  KvBuildProgress progress;
  index::ChunkId from = 0;
  while (true) {
    std::vector<index::StoredDocument> documents;
    {
      // Released between reads: it keeps deleted rows on disk.
      const std::shared_ptr<const index::RowSnapshot> snapshot =
          context_.store->rows().TakeSnapshot();
      const index::CollectionRows rows(&context_.store->rows(), collection, snapshot.get());
      if (from == 0) {
        absl::StatusOr<uint64_t> count = rows.CountDocuments();
        if (!count.ok()) return count.status();
        progress.total_documents = *count;
      }
      absl::StatusOr<std::vector<index::StoredDocument>> read =
          rows.ReadByChunk(from, kDocumentBytes);
      if (!read.ok()) return read.status();
      documents = *std::move(read);
    }
    if (documents.empty()) break;
    for (const index::StoredDocument& document : documents) {
      if (options.is_cancelled && options.is_cancelled()) {
        return absl::CancelledError("the building was stopped; the next goes on where it was");
      }
      if (absl::Status s = BuildDocument(document); !s.ok()) return s;
      progress.documents = report_.documents;
      progress.chunks = report_.chunks;
      if (options.on_progress) options.on_progress(progress);
      from = document.row.first_chunk + document.row.chunk_count;
    }
  }
  report_.seconds = Since(begin);
  return report_;
}

absl::Status KvBuilder::Prepare(const KvBuildOptions& options) {
  report_ = {};
  DocumentReaderOptions reading;
  reading.source = context_.source;
  reading.encoding = context_.encoding;
  reading.window = kWindow;
  reading.attention_layers = kAttentionLayers;
  reading.is_cancelled = options.is_cancelled;
  const Decoder* decoder = context_.generator->decoder();
  const size_t window = std::min(kWindow, decoder->context_length());
  const KvLayout layout = decoder->kv_layout();
  // While it slides, both halves are there.
  absl::StatusOr<std::unique_ptr<KvPool>> pool =
      KvPool::Create(layout, (2 * window / kKvPageTokens + 4) * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  reader_ = nullptr;
  pool_ = *std::move(pool);
  absl::StatusOr<std::unique_ptr<DocumentReader>> reader = absl::InternalError("not run");
  absl::Status ran = context_.generator->WithDecoder([&](Decoder* model) {
    reader = DocumentReader::Create(model, pool_.get(), context_.preface, reading);
  });
  if (!ran.ok()) return ran;
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);
  return absl::OkStatus();
}

bool KvBuilder::HasRoom() const {
  return static_cast<double>(context_.kv->Stats().disk.bytes) <
         kFull * static_cast<double>(context_.disk_bytes);
}

absl::StatusOr<std::vector<KvBuilder::Chunk>> KvBuilder::ChunksOf(
    const index::StoredDocument& document) {
  std::vector<Chunk> chunks;
  std::vector<uint32_t> before;
  for (size_t i = 0; i < document.chunks.size(); ++i) {
    Chunk chunk;
    chunk.id = document.row.first_chunk + i;
    chunk.tokens = EncodePassage(context_.generator->tokenizer(), document.chunks[i].text);
    if (chunk.tokens.size() > reader_->room()) {
      ++report_.skipped;
      continue;
    }
    absl::StatusOr<std::vector<KvKey>> keys =
        context_.kv->OfChunk(context_.identity->collection(), chunk.id, context_.configuration);
    if (!keys.ok()) return keys.status();
    chunk.known = !keys->empty();
    if (!chunk.known) {
      // The same text may have been read for another chunk.
      const KvKey key = context_.identity->Key(context_.configuration, before, chunk.tokens);
      absl::StatusOr<bool> shared =
          context_.kv->AddOwner(key, {chunk.id, context_.configuration, context_.model});
      if (!shared.ok() && !absl::IsNotFound(shared.status())) return shared.status();
      chunk.known = shared.ok() && *shared;
    }
    report_.known += chunk.known;
    if (context_.source == KvSource::kDocument) {
      before.insert(before.end(), chunk.tokens.begin(), chunk.tokens.end());
    }
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

absl::Status KvBuilder::BuildDocument(const index::StoredDocument& document) {
  absl::StatusOr<std::vector<Chunk>> chunks = ChunksOf(document);
  if (!chunks.ok()) return chunks.status();
  // Behind the last that is missing nothing need be read.
  while (!chunks->empty() && chunks->back().known) chunks->pop_back();
  if (context_.source != KvSource::kDocument) {
    std::erase_if(*chunks, [](const Chunk& chunk) { return chunk.known; });
  }
  reader_->Begin();
  std::vector<uint32_t> before;
  for (size_t i = 0; i < chunks->size();) {
    if (!HasRoom()) {
      report_.skipped += static_cast<uint64_t>(
          std::count_if(chunks->begin() + static_cast<ptrdiff_t>(i), chunks->end(),
                        [](const Chunk& chunk) { return !chunk.known; }));
      return absl::OkStatus();
    }
    size_t end = i, tokens = 0;
    do {
      tokens += (*chunks)[end++].tokens.size();
    } while (end < chunks->size() && tokens + (*chunks)[end].tokens.size() <= kTokensTogether);
    if (absl::Status s = Compute(absl::MakeConstSpan(*chunks).subspan(i, end - i), before);
        !s.ok()) {
      return s;
    }
    for (; i < end; ++i) {
      if (context_.source != KvSource::kDocument) continue;
      before.insert(before.end(), (*chunks)[i].tokens.begin(), (*chunks)[i].tokens.end());
    }
  }
  ++report_.documents;
  return absl::OkStatus();
}

absl::Status KvBuilder::Compute(absl::Span<const Chunk> chunks, absl::Span<const uint32_t> before) {
  std::vector<absl::Span<const uint32_t>> pieces;
  size_t tokens = 0;
  for (const Chunk& chunk : chunks) {
    pieces.push_back(chunk.tokens);
    tokens += chunk.tokens.size();
  }
  absl::StatusOr<std::vector<std::shared_ptr<const ChunkKvBuffer>>> read =
      absl::InternalError("not run");
  double seconds = 0;
  absl::Status ran = context_.generator->WithDecoder([&](Decoder*) {
    const Clock::time_point begin = Clock::now();
    read = reader_->Read(pieces);
    seconds = Since(begin);
  });
  if (!ran.ok()) return ran;
  if (!read.ok()) return read.status();
  report_.tokens += tokens;
  std::vector<uint32_t> all(before.begin(), before.end());
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (!chunks[i].known) {
      const double share =
          static_cast<double>(chunks[i].tokens.size()) / static_cast<double>(tokens);
      if (absl::Status s = Store(chunks[i], all, *(*read)[i], seconds * share); !s.ok()) return s;
    }
    if (context_.source == KvSource::kDocument) {
      all.insert(all.end(), chunks[i].tokens.begin(), chunks[i].tokens.end());
    }
  }
  return absl::OkStatus();
}

absl::Status KvBuilder::Store(const Chunk& chunk, absl::Span<const uint32_t> before,
                              const ChunkKvBuffer& kv, double seconds) {
  const KvKey key = context_.identity->Key(context_.configuration, before, chunk.tokens);
  const absl::Status put = context_.kv->Put(key, {chunk.id, context_.configuration, context_.model},
                                            BlobOf(kv, seconds));
  if (absl::IsNotFound(put)) return absl::OkStatus();  // Deleted meanwhile.
  if (!put.ok()) return put;
  ++report_.chunks;
  report_.bytes += kv.bytes();
  return absl::OkStatus();
}

}  // namespace cairn::engine
