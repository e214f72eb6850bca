#include "engine/kv/kv_builder.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/answer/answer_prompt.h"
#include "engine/kv/kv_blob.h"

namespace cairn::engine {
namespace {

constexpr size_t kDocumentBytes = size_t{4} << 20;  // Of text, read at a time.
constexpr size_t kTokensTogether = 512;
constexpr size_t kTextsTogether = 64;
constexpr size_t kWindow = 4096;
// Layers whose attention is looked at, for Cache-Craft's rules.
constexpr size_t kAttentionLayers = 2;
// Of the budget: the rest is for what is stored beside a build.
constexpr double kFull = 0.98;

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

absl::StatusOr<KvBuildReport> KvBuilder::Run(index::CollectionId collection,
                                             const KvBuildOptions& options) {
  const Clock::time_point begin = Clock::now();
  if (absl::Status s = Prepare(options); !s.ok()) return s;
  KvBuildProgress progress;
  const auto tell = [&] {
    progress.documents = report_.documents;
    progress.chunks = report_.chunks;
    if (options.on_progress) options.on_progress(progress);
  };
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
      tell();
      from = document.row.first_chunk + document.row.chunk_count;
    }
  }
  if (absl::Status s = ComputeQueued(); !s.ok()) return s;
  tell();
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
      chunk.key = context_.identity->Key(context_.configuration, before, chunk.tokens);
      if (IsQueued(chunk.key)) {
        if (absl::Status s = ComputeQueued(); !s.ok()) return s;
      }
      absl::StatusOr<bool> shared =
          context_.kv->AddOwner(chunk.key, {chunk.id, context_.configuration, context_.model});
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
  if (context_.source == KvSource::kDocument) {
    Text text = {.chunks = *std::move(chunks)};
    for (const Chunk& chunk : text.chunks) text.tokens += chunk.tokens.size();
    const bool is_short = text.tokens <= std::min(kTokensTogether, reader_->room());
    return is_short ? Queue(std::move(text)) : ComputeLong(text);
  }
  std::erase_if(*chunks, [](const Chunk& chunk) { return chunk.known; });
  if (chunks->empty()) return Queue({});
  for (size_t c = 0; c < chunks->size(); ++c) {
    Text text = {.chunks = {std::move((*chunks)[c])}, .ends_document = c + 1 == chunks->size()};
    text.tokens = text.chunks[0].tokens.size();
    if (absl::Status s = Queue(std::move(text)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status KvBuilder::Queue(Text text) {
  if (text.chunks.empty()) {
    ++report_.documents;
    return absl::OkStatus();
  }
  if (!queue_.empty() &&
      (queued_tokens_ + text.tokens > kTokensTogether || queue_.size() == kTextsTogether)) {
    if (absl::Status s = ComputeQueued(); !s.ok()) return s;
  }
  queued_tokens_ += text.tokens;
  queue_.push_back(std::move(text));
  return absl::OkStatus();
}

absl::Status KvBuilder::ComputeQueued() {
  const std::vector<Text> texts = std::exchange(queue_, {});
  const size_t tokens = std::exchange(queued_tokens_, 0);
  if (texts.empty()) return absl::OkStatus();
  if (!HasRoom()) {
    for (const Text& text : texts) Skip(text.chunks);
    return absl::OkStatus();
  }
  std::vector<std::vector<absl::Span<const uint32_t>>> pieces(texts.size());
  for (size_t t = 0; t < texts.size(); ++t) {
    for (const Chunk& chunk : texts[t].chunks) pieces[t].push_back(chunk.tokens);
  }
  const std::vector<DocumentReader::Pieces> documents(pieces.begin(), pieces.end());
  reader_->Begin();  // Gives back the pages of a long text.
  absl::StatusOr<std::vector<DocumentReader::PiecesKv>> read = absl::InternalError("not run");
  double seconds = 0;
  absl::Status ran = RunTimed([&] { read = reader_->ReadTogether(documents); }, &seconds);
  if (!ran.ok()) return ran;
  if (!read.ok()) return read.status();
  report_.tokens += tokens;
  for (size_t t = 0; t < texts.size(); ++t) {
    ran = Store(texts[t].chunks, (*read)[t],
                seconds / static_cast<double>(std::max<size_t>(tokens, 1)));
    if (!ran.ok()) return ran;
    report_.documents += texts[t].ends_document;
  }
  return absl::OkStatus();
}

absl::Status KvBuilder::ComputeLong(const Text& text) {
  reader_->Begin();
  const absl::Span<const Chunk> chunks = text.chunks;
  for (size_t i = 0; i < chunks.size();) {
    if (!HasRoom()) {
      Skip(chunks.subspan(i));
      return absl::OkStatus();
    }
    std::vector<absl::Span<const uint32_t>> pieces;
    size_t end = i, tokens = 0;
    do {
      tokens += chunks[end].tokens.size();
      pieces.push_back(chunks[end++].tokens);
    } while (end < chunks.size() && tokens + chunks[end].tokens.size() <= kTokensTogether);
    absl::StatusOr<DocumentReader::PiecesKv> read = absl::InternalError("not run");
    double seconds = 0;
    absl::Status ran = RunTimed([&] { read = reader_->Read(pieces); }, &seconds);
    if (!ran.ok()) return ran;
    if (!read.ok()) return read.status();
    report_.tokens += tokens;
    ran = Store(chunks.subspan(i, end - i), *read,
                seconds / static_cast<double>(std::max<size_t>(tokens, 1)));
    if (!ran.ok()) return ran;
    i = end;
  }
  ++report_.documents;
  return absl::OkStatus();
}

template <typename Work>
absl::Status KvBuilder::RunTimed(Work work, double* seconds) {
  return context_.generator->WithDecoder([&](Decoder*) {
    const Clock::time_point begin = Clock::now();
    work();
    *seconds = Since(begin);
  });
}

absl::Status KvBuilder::Store(absl::Span<const Chunk> chunks, const DocumentReader::PiecesKv& kv,
                              double seconds) {
  for (size_t c = 0; c < chunks.size(); ++c) {
    const Chunk& chunk = chunks[c];
    if (chunk.known) continue;
    const absl::Status put =
        context_.kv->Put(chunk.key, {chunk.id, context_.configuration, context_.model},
                         BlobOf(*kv[c], seconds * static_cast<double>(chunk.tokens.size())));
    if (absl::IsNotFound(put)) continue;  // Deleted meanwhile.
    if (!put.ok()) return put;
    ++report_.chunks;
    report_.bytes += kv[c]->bytes();
  }
  return absl::OkStatus();
}

bool KvBuilder::IsQueued(const KvKey& key) const {
  for (const Text& text : queue_) {
    for (const Chunk& chunk : text.chunks) {
      if (!chunk.known && chunk.key == key) return true;
    }
  }
  return false;
}

void KvBuilder::Skip(absl::Span<const Chunk> chunks) {
  report_.skipped += static_cast<uint64_t>(
      std::count_if(chunks.begin(), chunks.end(), [](const Chunk& chunk) { return !chunk.known; }));
}

}  // namespace cairn::engine
