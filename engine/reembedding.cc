#include "engine/reembedding.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/batch/ordered_batches.h"
#include "engine/preparation.h"

namespace cairn::engine {
namespace {

constexpr int kMaxReembeddingThreads = 1024;
// Text read from the store at once.
constexpr size_t kPageBytes = size_t{1} << 20;
constexpr size_t kPageDocuments = 1000;
// Written in one batch: what a stop may cost, against one sync for each.
constexpr size_t kGroupDocuments = 256;
constexpr size_t kGroupBytes = size_t{4} << 20;
// While more than this differs, and not more often, rounds go on without keeping writers out.
constexpr size_t kFewDocuments = 256;
constexpr int kMostRounds = 4;

// A chunk of a document on its way. The document's last one has it written.
struct ReembeddedChunk {
  std::shared_ptr<index::PreparedDocument> document;
  size_t chunk = 0;
};

index::PreparedDocument FromRows(index::StoredDocument stored) {
  index::PreparedDocument prepared;
  prepared.document.text = stored.Text();
  prepared.document.id = std::move(stored.id);
  prepared.document.title = std::move(stored.row.title);
  prepared.document.source_uri = std::move(stored.row.source_uri);
  prepared.document.media_type = std::move(stored.row.media_type);
  prepared.document.metadata = std::move(stored.row.metadata);
  prepared.content_hash = std::move(stored.row.content_hash);
  prepared.first_chunk = stored.row.first_chunk;
  for (index::ChunkRow& row : stored.chunks) {
    chunking::Chunk& chunk = prepared.chunks.emplace_back().chunk;
    chunk.span = row.span;
    chunk.headings = std::move(row.headings);
    chunk.token_count = row.token_count;
  }
  return prepared;
}

// The documents of a collection one after the other, by id.
class DocumentCursor {
 public:
  explicit DocumentCursor(const index::CollectionRows& rows) : rows_(rows) {}

  absl::Status Next() {
    if (++at_ < page_.size()) return absl::OkStatus();
    const std::string after = page_.empty() ? "" : page_.back().first;
    if (started_ && page_.empty()) return absl::OkStatus();
    started_ = true;
    absl::StatusOr<index::DocumentRows> page = rows_.ReadDocuments(after, kPageDocuments);
    if (!page.ok()) return page.status();
    page_ = std::move(page->documents);
    at_ = 0;
    return absl::OkStatus();
  }
  bool at_end() const { return at_ >= page_.size(); }
  const std::string& id() const { return page_[at_].first; }
  const index::DocumentRow& row() const { return page_[at_].second; }

 private:
  const index::CollectionRows rows_;
  std::vector<std::pair<std::string, index::DocumentRow>> page_;
  size_t at_ = 0;
  bool started_ = false;
};

class Reembedder {
 public:
  Reembedder(index::Store* store, index::Reembedding* reembedding, const Preparation& preparation,
             const ReembedOptions& options, int threads)
      : store_(store),
        source_(reembedding->source()),
        target_(reembedding->target()),
        reembedding_(reembedding),
        preparation_(preparation),
        options_(options) {
    batches_.threads = threads;
    report_.resumed = target_.Stats().documents;
  }

  absl::Status Run() {
    absl::Status s = Copy();
    for (int round = 0; s.ok() && round < kMostRounds; ++round) {
      const size_t before = changes_;
      s = Round();
      if (changes_ - before < kFewDocuments) break;
    }
    if (!s.ok()) return s;
    const index::Collection::WritePause pause(&source_);
    return FinishAlone();
  }

  const ReembedReport& report() const { return report_; }

 private:
  bool cancelled() const { return options_.cancel != nullptr && *options_.cancel; }

  absl::Status Round() {
    if (cancelled()) return absl::CancelledError("cancelled");
    missing_ = 0;
    if (absl::Status s = Compare(); !s.ok()) return s;
    return Copy();
  }

  // With writers kept out.
  absl::Status FinishAlone() {
    while (true) {
      const size_t before = changes_;
      if (absl::Status s = Round(); !s.ok()) return s;
      if (changes_ == before) break;
    }
    if (missing_ > 0) {
      return absl::DataLossError(
          absl::StrCat(missing_,
                       " documents of the collection cannot be copied (cairn verify lists all "
                       "damage); it is as it was"));
    }
    return reembedding_->Commit();
  }

  // Takes out of the target what the source does not have, and writes documents without chunks.
  absl::Status Compare() {
    const auto snapshot = store_->rows().TakeSnapshot();
    const index::CollectionRows rows = source_.RowsAt(snapshot.get());
    DocumentCursor now(rows);
    DocumentCursor copied(target_.RowsAt(snapshot.get()));
    if (absl::Status s = now.Next(); !s.ok()) return s;
    if (absl::Status s = copied.Next(); !s.ok()) return s;
    std::vector<std::string> stale;
    while (!now.at_end() || !copied.at_end()) {
      if (cancelled()) return absl::CancelledError("cancelled");
      const bool only_copied = now.at_end() || (!copied.at_end() && copied.id() < now.id());
      const bool only_now = copied.at_end() || (!now.at_end() && now.id() < copied.id());
      const bool same = !only_copied && !only_now &&
                        now.row().first_chunk == copied.row().first_chunk &&
                        now.row().content_hash == copied.row().content_hash;
      if (!only_now && !same) stale.push_back(copied.id());
      const bool wanted = !only_copied && !same;
      if (wanted && now.row().chunk_count > 0) ++missing_;  // Copy finds it.
      // One that is in the way under the same id goes first: it is written in the next round.
      if (wanted && now.row().chunk_count == 0 && only_now) {
        if (absl::Status s = Add(FromRows({now.id(), now.row(), {}})); !s.ok()) return s;
      }
      if (!only_copied) {
        if (absl::Status s = now.Next(); !s.ok()) return s;
      }
      if (!only_now) {
        if (absl::Status s = copied.Next(); !s.ok()) return s;
      }
      if (stale.size() >= kPageDocuments) {
        if (absl::Status s = Remove(&stale); !s.ok()) return s;
      }
    }
    if (absl::Status s = Remove(&stale); !s.ok()) return s;
    return Flush();
  }

  absl::Status Remove(std::vector<std::string>* stale) {
    std::vector<bool> deleted;
    absl::Status s = target_.Delete(*stale, &deleted);
    changes_ += stale->size();
    stale->clear();
    return s;
  }

  // Copies the documents whose chunks are beyond those of the target.
  absl::Status Copy() {
    next_ = target_.EndOfChunks();
    waiting_.clear();
    OrderedBatches<ReembeddedChunk> run(
        batches_,
        [&](const ReembeddedChunk& item) {
          return preparation_.CutTokens(item.document->chunks[item.chunk].chunk.token_count);
        },
        [](const ReembeddedChunk& item) {
          return item.document->chunks[item.chunk].chunk.span.size();
        });
    absl::Status s = run.Run([&] { return Read(); },
                             [&](absl::Span<ReembeddedChunk* const> batch) { return Work(batch); },
                             [&](ReembeddedChunk& item) { return Write(&item); }, options_.cancel);
    // What is embedded is worth keeping whatever ended the run.
    const absl::Status flushed = Flush();
    return s.ok() ? flushed : s;
  }

  absl::StatusOr<std::optional<ReembeddedChunk>> Read() {
    if (waiting_.empty()) {
      if (absl::Status s = ReadPage(); !s.ok()) return s;
    }
    if (waiting_.empty()) return std::nullopt;
    std::optional<ReembeddedChunk> item = std::move(waiting_.front());
    waiting_.pop_front();
    return item;
  }

  absl::Status ReadPage() {
    const auto snapshot = store_->rows().TakeSnapshot();
    absl::StatusOr<std::vector<index::StoredDocument>> page =
        source_.RowsAt(snapshot.get()).ReadByChunk(next_, kPageBytes);
    if (!page.ok()) return page.status();
    for (index::StoredDocument& stored : *page) {
      next_ = stored.row.first_chunk + stored.row.chunk_count;
      const auto document = std::make_shared<index::PreparedDocument>(FromRows(std::move(stored)));
      for (size_t i = 0; i < document->chunks.size(); ++i) waiting_.push_back({document, i});
    }
    return absl::OkStatus();
  }

  absl::Status Work(absl::Span<ReembeddedChunk* const> batch) const {
    std::vector<ChunkToEmbed> chunks;
    chunks.reserve(batch.size());
    for (const ReembeddedChunk* item : batch) {
      chunks.push_back({item->document.get(), item->chunk});
      preparation_.Analyze(chunks.back());
    }
    return preparation_.Embed(chunks);
  }

  absl::Status Write(ReembeddedChunk* item) {
    if (item->chunk + 1 < item->document->chunks.size()) return absl::OkStatus();
    report_.chunks += item->document->chunks.size();
    return Add(std::move(*item->document));
  }

  absl::Status Add(index::PreparedDocument document) {
    group_bytes_ += document.document.text.size();
    group_.push_back(std::move(document));
    if (group_.size() < kGroupDocuments && group_bytes_ < kGroupBytes) return absl::OkStatus();
    return Flush();
  }

  absl::Status Flush() {
    if (group_.empty()) return absl::OkStatus();
    std::vector<index::WriteOutcome> outcomes;
    absl::Status s = target_.Upsert(group_, &outcomes);
    changes_ += group_.size();
    report_.documents += outcomes.size();
    group_.clear();
    group_bytes_ = 0;
    if (s.ok() && options_.on_progress) {
      options_.on_progress({report_.resumed + report_.documents, source_.Stats().documents});
    }
    return s;
  }

  index::Store* const store_;
  index::Collection& source_;
  index::Collection& target_;
  index::Reembedding* const reembedding_;
  const Preparation& preparation_;
  const ReembedOptions& options_;
  OrderedBatchesOptions batches_;
  ReembedReport report_;

  index::ChunkId next_ = 0;              // To be read.
  std::deque<ReembeddedChunk> waiting_;  // Read.
  std::vector<index::PreparedDocument> group_;
  size_t group_bytes_ = 0;
  size_t changes_ = 0;  // Documents written and deleted.
  size_t missing_ = 0;  // That the last comparison found, with chunks.
};

// Whether the collection has the model's vectors already.
absl::StatusOr<bool> IsDone(const index::Store& store, const std::string& collection,
                            const Embedder& embedder) {
  absl::StatusOr<index::CollectionRow> row = store.Describe(collection);
  if (!row.ok()) return row.status();
  if (row->settings.embedder_fingerprint != embedder.fingerprint()) return false;
  absl::StatusOr<index::ReembeddingRow> other = store.DescribeReembedding(collection);
  if (absl::IsNotFound(other.status())) return true;
  if (!other.ok()) return other.status();
  return absl::FailedPreconditionError(absl::StrCat(
      "collection ", collection, " has this model's vectors, and is being re-embedded with ",
      other->model, " (", other->collection.settings.embedder_fingerprint,
      "): give that up to keep them (reembed --abort)"));
}

}  // namespace

absl::StatusOr<ReembedReport> RunReembedding(index::Store* store, const Embedder& embedder,
                                             const std::string& model,
                                             const ReembedOptions& options) {
  if (options.threads < 0 || options.threads > kMaxReembeddingThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", options.threads, "; it must be 0 to ", kMaxReembeddingThreads));
  }
  absl::StatusOr<bool> done = IsDone(*store, options.collection, embedder);
  if (!done.ok()) return done.status();
  if (*done) return ReembedReport{};
  absl::StatusOr<std::unique_ptr<index::Reembedding>> reembedding = store->Reembed(
      options.collection, embedder.fingerprint(), static_cast<uint32_t>(embedder.dim()), model);
  if (!reembedding.ok()) return reembedding.status();
  absl::StatusOr<std::unique_ptr<Preparation>> preparation =
      Preparation::Create((*reembedding)->target().settings(), &embedder);
  if (!preparation.ok()) return preparation.status();
  const int threads = options.threads > 0
                          ? options.threads
                          : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  Reembedder reembedder(store, reembedding->get(), **preparation, options, threads);
  if (absl::Status s = reembedder.Run(); !s.ok()) return s;
  ReembedReport report = reembedder.report();
  report.changed = true;
  return report;
}

}  // namespace cairn::engine
