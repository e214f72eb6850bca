#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/answer/extractive_answer.h"
#include "engine/answer/generated_answer.h"
#include "engine/collection_settings.h"
#include "engine/collections.h"
#include "engine/generation/shared_generator.h"
#include "engine/ingest.h"
#include "engine/kv/background_builder.h"
#include "engine/kv/chunk_caches.h"
#include "engine/maintenance.h"
#include "engine/model/open_model.h"
#include "engine/model/static_embedder.h"
#include "engine/model_calls.h"
#include "engine/preparation.h"
#include "engine/reembedding.h"
#include "engine/search.h"
#include "index/store.h"
#include "index/store_snapshot.h"

namespace cairn {
namespace {

absl::StatusOr<std::unique_ptr<engine::Embedder>> OpenModel(const std::string& path) {
  if (path.empty()) return engine::StaticEmbedder::Default();
  return engine::OpenEmbedder(path);
}

}  // namespace

struct Engine::Impl {
  // What reads the generator's model ends before it does.
  ~Impl() {
    builder = nullptr;
    if (caches != nullptr) caches->StopGates();
  }

  struct Open {
    std::shared_ptr<index::Collection> collection;
    std::shared_ptr<const engine::Preparation> preparation;

    engine::SearchContext Context(const engine::Embedder& embedder,
                                  const engine::Reranker* reranker) const {
      return {collection.get(), &preparation->analyzer(), &embedder, reranker};
    }
  };

  // Those below end before those above: the generator's thread reads caches, which lie in the
  // store.
  std::unique_ptr<index::Store> store;
  std::unique_ptr<engine::ChunkCaches> caches;  // Null: none are kept.
  std::unique_ptr<engine::Embedder> embedder;
  std::unique_ptr<engine::SharedGenerator> generator;  // Null: answers are extractive.
  std::string embedder_path;                           // EngineOptions::embedder
  std::unique_ptr<engine::Reranker> reranker;          // Null: none.

  std::function<void(const std::string&)> on_kv_problem;  // KvReuseOptions::on_problem

  // Of what `caches` does; FailedPrecondition where they are off.
  absl::Status CheckCaches() const {
    if (caches != nullptr) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the engine was opened without keeping keys and values of chunks");
  }
  // After an ingestion, however it ended.
  void BuildSoon(std::string_view collection) const {
    if (builder != nullptr) builder->Add(collection);
  }

  absl::Mutex mutex;
  // By collection id, which is never used again: a new collection of an old name gets its own.
  absl::flat_hash_map<index::CollectionId, std::shared_ptr<const engine::Preparation>> preparations
      ABSL_GUARDED_BY(mutex);

  std::unique_ptr<engine::BackgroundBuilder> builder;  // Null: nothing is built of itself.

  absl::StatusOr<Open> Find(std::string_view name) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::StatusOr<std::shared_ptr<index::Collection>> collection = store->Find(name);
    if (!collection.ok()) return collection.status();
    absl::MutexLock lock(&mutex);
    std::shared_ptr<const engine::Preparation>& known = preparations[(*collection)->id()];
    if (known == nullptr) {
      absl::StatusOr<std::unique_ptr<engine::Preparation>> made =
          engine::Preparation::Create((*collection)->settings(), embedder.get());
      if (!made.ok()) return made.status();
      known = *std::move(made);
    }
    return Open{*collection, known};
  }

  // Rows alone, without reading the collection into memory.
  absl::StatusOr<index::CollectionRows> FindRows(std::string_view name,
                                                 const index::RowSnapshot* snapshot) {
    absl::StatusOr<index::CollectionRow> row = store->Describe(name);
    if (!row.ok()) return row.status();
    return index::CollectionRows(&store->rows(), row->id, snapshot);
  }

  // Begins an ingestion: checks its options, clears its report, finds or makes its collection.
  absl::StatusOr<Open> FindOrCreate(const IngestOptions& options) {
    if (options.report != nullptr) *options.report = {};
    if (absl::Status s = engine::CheckOptions(options); !s.ok()) return s;
    const CollectionOptions& asked = options.create;
    absl::StatusOr<index::CollectionRow> row = store->Describe(options.collection);
    if (absl::IsNotFound(row.status())) {
      absl::StatusOr<index::CollectionSettings> settings = engine::NewSettings(asked, *embedder);
      if (!settings.ok()) return settings.status();
      absl::Status created = store->Create(options.collection, *settings).status();
      // Another thread may have been first; its settings are checked like any other's.
      if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
      row = store->Describe(options.collection);
    }
    if (!row.ok()) return row.status();
    const absl::Status agreed =
        engine::CheckSettings(options.collection, asked, row->settings, *embedder);
    if (!agreed.ok()) return agreed;
    return Find(options.collection);
  }
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const std::string& store_directory,
                                                     const EngineOptions& options) {
  auto impl = std::make_unique<Impl>();
  absl::StatusOr<std::unique_ptr<engine::Embedder>> embedder = OpenModel(options.embedder);
  if (!embedder.ok()) return embedder.status();
  impl->embedder = *std::move(embedder);
  if (!options.generator.empty()) {
    engine::DecoderOptions decoder;
    decoder.threads = options.generator_threads;
    decoder.context_length = options.generator_context;
    absl::StatusOr<std::unique_ptr<engine::SharedGenerator>> generator =
        engine::SharedGenerator::Open(options.generator, decoder);
    if (!generator.ok()) return generator.status();
    impl->generator = *std::move(generator);
  }
  impl->embedder_path = options.embedder;
  if (!options.reranker.empty()) {
    absl::StatusOr<std::unique_ptr<engine::Reranker>> reranker =
        engine::OpenReranker(options.reranker);
    if (!reranker.ok()) return reranker.status();
    impl->reranker = *std::move(reranker);
  }
  index::StoreOptions store;
  store.rows.create_if_missing = options.create_if_missing;
  store.rows.read_only = options.read_only;
  store.rows.min_free_bytes = options.min_free_bytes;
  if (options.seal_chunks > 0) store.index.seal_chunks = options.seal_chunks;
  absl::StatusOr<std::unique_ptr<index::Store>> opened = index::Store::Open(store_directory, store);
  if (!opened.ok()) return opened.status();
  impl->store = *std::move(opened);
  if (options.kv.enabled) {
    absl::StatusOr<std::unique_ptr<engine::ChunkCaches>> caches =
        engine::ChunkCaches::Open(impl->store.get(), impl->generator.get(), options.kv);
    if (!caches.ok()) return caches.status();
    impl->caches = *std::move(caches);
    impl->on_kv_problem = options.kv.on_problem;
  }
  if (options.kv.enabled && options.kv.build_on_ingest) {
    if (!impl->caches->can_reuse()) {
      return absl::InvalidArgumentError("building keys and values on ingestion needs a generator");
    }
    if (options.kv.source == engine::KvSourceName(engine::KvSource::kPrompt)) {
      return absl::InvalidArgumentError(
          "keys and values that have seen a prompt are kept by answers, not built on ingestion");
    }
    Impl* const self = impl.get();
    impl->builder = std::make_unique<engine::BackgroundBuilder>(
        [self](const std::string& name, const std::function<bool()>& stopping) {
          absl::StatusOr<Impl::Open> open = self->Find(name);
          if (!open.ok()) return;  // Deleted since.
          KvBuildOptions build;
          build.collection = name;
          build.is_cancelled = stopping;
          const absl::Status built = self->caches->Build(*open->collection, build).status();
          // What it did not come to is computed when it is read, and built the next time.
          if (!built.ok() && !absl::IsCancelled(built) && self->on_kv_problem) {
            self->on_kv_problem(absl::StrCat("keys and values of collection ", name,
                                             " were not made: ", built.message()));
          }
        });
  }
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

absl::StatusOr<IngestReport> Engine::IngestPaths(absl::Span<const std::string> paths,
                                                 const IngestOptions& options) {
  absl::StatusOr<Impl::Open> open = impl_->FindOrCreate(options);
  if (!open.ok()) return open.status();
  absl::StatusOr<IngestReport> report =
      engine::IngestPaths(open->collection.get(), *open->preparation, paths, options);
  impl_->BuildSoon(options.collection);
  return report;
}

absl::StatusOr<IngestReport> Engine::IngestDocuments(absl::Span<const InputDocument> documents,
                                                     const IngestOptions& options) {
  absl::StatusOr<Impl::Open> open = impl_->FindOrCreate(options);
  if (!open.ok()) return open.status();
  absl::StatusOr<IngestReport> report =
      engine::IngestDocuments(open->collection.get(), *open->preparation, documents, options);
  impl_->BuildSoon(options.collection);
  return report;
}

absl::StatusOr<IngestReport> Engine::IngestStream(const DocumentSource& next,
                                                  const IngestOptions& options) {
  absl::StatusOr<Impl::Open> open = impl_->FindOrCreate(options);
  if (!open.ok()) return open.status();
  absl::StatusOr<IngestReport> report =
      engine::IngestStream(open->collection.get(), *open->preparation, next, options);
  impl_->BuildSoon(options.collection);
  return report;
}

absl::Status Engine::CheckOptions(const IngestOptions& options) {
  if (absl::Status s = engine::CheckOptions(options); !s.ok()) return s;
  // Any model will do: none decides which settings there are.
  absl::StatusOr<std::unique_ptr<engine::StaticEmbedder>> embedder =
      engine::StaticEmbedder::Default();
  if (!embedder.ok()) return embedder.status();
  return engine::NewSettings(options.create, **embedder).status();
}

absl::StatusOr<SearchResponse> Engine::Search(const SearchRequest& request) const {
  absl::StatusOr<Impl::Open> open = impl_->Find(request.collection);
  if (!open.ok()) return open.status();
  return engine::RunSearch(open->Context(*impl_->embedder, impl_->reranker.get()), request);
}

absl::StatusOr<AskResponse> Engine::Ask(const AskRequest& request) const {
  absl::StatusOr<Impl::Open> open = impl_->Find(request.collection);
  if (!open.ok()) return open.status();
  const engine::SearchContext context = open->Context(*impl_->embedder, impl_->reranker.get());
  engine::SharedGenerator* const generator = impl_->generator.get();
  if (request.mode == AskMode::kExtractive ||
      (request.mode == AskMode::kAuto && generator == nullptr)) {
    return engine::AnswerExtractively(context, request);
  }
  if (generator == nullptr) {
    return absl::FailedPreconditionError(
        "the engine was opened without a language model, which a generated answer needs");
  }
  return engine::AnswerWithModel(context, generator, impl_->caches.get(), request);
}

absl::StatusOr<std::vector<std::vector<float>>> Engine::Embed(absl::Span<const std::string> texts,
                                                              TextUse use) const {
  return engine::EmbedTexts(*impl_->embedder, texts, use);
}

absl::StatusOr<std::vector<float>> Engine::Rerank(const std::string& query,
                                                  absl::Span<const std::string> passages,
                                                  const std::function<bool()>& is_cancelled) const {
  if (impl_->reranker == nullptr) {
    return absl::FailedPreconditionError(
        "nothing to rerank with: open the store with a reranker (--reranker)");
  }
  return engine::ScorePassages(*impl_->reranker, query, passages, is_cancelled);
}

const std::string& Engine::embedder_fingerprint() const { return impl_->embedder->fingerprint(); }
size_t Engine::embedder_dim() const { return impl_->embedder->dim(); }
bool Engine::has_reranker() const { return impl_->reranker != nullptr; }
absl::StatusOr<KvBuildReport> Engine::BuildKv(const KvBuildOptions& options) {
  if (absl::Status s = impl_->CheckCaches(); !s.ok()) return s;
  absl::StatusOr<Impl::Open> open = impl_->Find(options.collection);
  if (!open.ok()) return open.status();
  return impl_->caches->Build(*open->collection, options);
}

absl::StatusOr<std::vector<ReuseGateResult>> Engine::CheckReuse() {
  if (absl::Status s = impl_->CheckCaches(); !s.ok()) return s;
  absl::StatusOr<engine::ReuseGateReport> report = impl_->caches->Gates();
  if (!report.ok()) return report.status();
  std::vector<ReuseGateResult> results;
  for (const engine::ReuseGate& gate : report->gates) {
    results.push_back({gate.name, gate.difference, gate.holds()});
  }
  return results;
}

absl::StatusOr<KvInfo> Engine::DescribeKv(std::string_view collection) const {
  if (absl::Status s = impl_->CheckCaches(); !s.ok()) return s;
  absl::StatusOr<index::CollectionRow> row = impl_->store->Describe(collection);
  if (!row.ok()) return row.status();
  return impl_->caches->Describe(row->id);
}

absl::StatusOr<KvVerifyResult> Engine::VerifyKv() {
  if (absl::Status s = impl_->CheckCaches(); !s.ok()) return s;
  return impl_->caches->Verify();
}

absl::StatusOr<uint64_t> Engine::EvictKv(uint64_t bytes) {
  if (absl::Status s = impl_->CheckCaches(); !s.ok()) return s;
  return impl_->caches->Evict(bytes);
}

bool Engine::has_generator() const { return impl_->generator != nullptr; }

absl::StatusOr<StoredDocument> Engine::Get(std::string_view collection, std::string_view id) const {
  const std::shared_ptr<const index::RowSnapshot> snapshot = impl_->store->rows().TakeSnapshot();
  absl::StatusOr<index::CollectionRows> rows = impl_->FindRows(collection, snapshot.get());
  if (!rows.ok()) return rows.status();
  absl::StatusOr<index::DocumentRow> row = rows->GetDocument(id);
  if (!row.ok()) return row.status();
  std::vector<index::ChunkId> ids(row->chunk_count);
  for (uint32_t i = 0; i < row->chunk_count; ++i) ids[i] = row->first_chunk + i;
  std::vector<index::ChunkId> found;
  std::vector<index::ChunkRow> chunks;
  if (absl::Status s = rows->GetChunks(ids, &found, &chunks); !s.ok()) return s;
  if (found.size() != ids.size()) {
    return absl::DataLossError(absl::StrCat("document \"", std::string(id),
                                            "\" lacks chunks (cairn verify lists all damage)"));
  }
  StoredDocument document;
  document.id = id;
  document.title = row->title;
  document.source_uri = row->source_uri;
  document.media_type = row->media_type;
  document.metadata = std::move(row->metadata);
  document.text = index::DocumentText(*row, chunks);
  for (size_t i = 0; i < chunks.size(); ++i) {
    index::ChunkRow& c = chunks[i];
    document.chunks.push_back(
        {found[i], c.span.begin, c.span.end, c.token_count, std::move(c.headings)});
  }
  return document;
}

absl::StatusOr<std::vector<std::string>> Engine::List(std::string_view collection,
                                                      std::string_view after, size_t limit,
                                                      std::string_view filter) const {
  absl::StatusOr<index::CollectionRows> rows = impl_->FindRows(collection, nullptr);
  if (!rows.ok()) return rows.status();
  if (filter.empty()) return rows->ListDocuments(after, limit, nullptr);
  absl::StatusOr<index::Filter> parsed = index::Filter::Parse(filter);
  if (!parsed.ok()) return parsed.status();
  return rows->ListDocuments(after, limit, &*parsed);
}

absl::StatusOr<std::vector<std::string>> Engine::ListCollections() const {
  return impl_->store->List();
}

absl::StatusOr<std::vector<bool>> Engine::Delete(std::string_view collection,
                                                 absl::Span<const std::string> ids) {
  absl::StatusOr<Impl::Open> open = impl_->Find(collection);
  if (!open.ok()) return open.status();
  std::vector<bool> deleted;
  if (absl::Status s = open->collection->Delete(ids, &deleted); !s.ok()) return s;
  return deleted;
}

absl::Status Engine::DeleteCollection(std::string_view collection) {
  return impl_->store->Drop(collection);
}

absl::StatusOr<ReembedReport> Engine::Reembed(const ReembedOptions& options) {
  const std::string model = options.embedder.empty() ? "the built-in model" : options.embedder;
  if (options.embedder == impl_->embedder_path) {
    return engine::RunReembedding(impl_->store.get(), *impl_->embedder, model, options);
  }
  absl::StatusOr<std::unique_ptr<engine::Embedder>> embedder = OpenModel(options.embedder);
  if (!embedder.ok()) return embedder.status();
  return engine::RunReembedding(impl_->store.get(), **embedder, model, options);
}

absl::Status Engine::AbortReembedding(std::string_view collection) {
  return impl_->store->AbandonReembedding(collection);
}

absl::StatusOr<StoreInfo> Engine::Stats() const {
  StoreInfo info;
  info.uuid = impl_->store->rows().uuid();
  info.disk_bytes = impl_->store->DiskBytes();
  absl::StatusOr<std::vector<std::string>> names = impl_->store->List();
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    absl::StatusOr<CollectionInfo> collection =
        engine::DescribeCollection(impl_->store.get(), name);
    if (absl::IsNotFound(collection.status())) continue;  // Deleted meanwhile.
    if (!collection.ok()) return collection.status();
    info.collections.push_back(*std::move(collection));
  }
  return info;
}

absl::Status Engine::AwaitSeals(std::string_view collection) {
  absl::StatusOr<std::shared_ptr<index::Collection>> found = impl_->store->Find(collection);
  return found.ok() ? (*found)->AwaitSeals() : found.status();
}

absl::Status Engine::Restore(const std::string& snapshot, const std::string& store_directory) {
  return index::RestoreStore(snapshot, store_directory);
}

absl::StatusOr<DocumentPage> Engine::ListDocuments(std::string_view collection,
                                                   std::string_view after, size_t limit,
                                                   std::string_view filter,
                                                   size_t max_scanned) const {
  absl::StatusOr<index::CollectionRows> rows = impl_->FindRows(collection, nullptr);
  if (!rows.ok()) return rows.status();
  return engine::ListDocuments(*rows, after, limit, filter, max_scanned);
}

absl::StatusOr<CollectionInfo> Engine::CreateCollection(std::string_view name,
                                                        const CollectionOptions& options,
                                                        const CollectionNotes& notes) {
  if (absl::Status s = engine::CheckNotes(notes); !s.ok()) return s;
  absl::StatusOr<index::CollectionSettings> settings = NewSettings(options, *impl_->embedder);
  if (!settings.ok()) return settings.status();
  absl::Status s = impl_->store->Create(name, *settings, engine::ToRemarks(notes)).status();
  if (!s.ok()) return s;
  return DescribeCollection(name);
}

absl::StatusOr<CollectionInfo> Engine::DescribeCollection(std::string_view name) const {
  return engine::DescribeCollection(impl_->store.get(), std::string(name));
}

absl::Status Engine::SetCollectionNotes(std::string_view name, const CollectionNotes& notes) {
  if (absl::Status s = engine::CheckNotes(notes); !s.ok()) return s;
  return impl_->store->SetRemarks(name, engine::ToRemarks(notes));
}

absl::StatusOr<std::vector<std::string>> Engine::ListCollections(std::string_view prefix,
                                                                 std::string_view after,
                                                                 size_t limit) const {
  return impl_->store->List(prefix, after, limit);
}

absl::StatusOr<VerifyResult> Engine::Verify(bool deep, const MaintenanceOptions& options) const {
  return engine::VerifyStore(impl_->store.get(), deep, options);
}

absl::Status Engine::Compact(const MaintenanceOptions& options) {
  return engine::CompactStore(impl_->store.get(), options);
}

absl::Status Engine::Reindex(const MaintenanceOptions& options) {
  return engine::ReindexStore(impl_->store.get(), options);
}

absl::Status Engine::Snapshot(const std::string& destination, const MaintenanceOptions& options) {
  return engine::SnapshotStore(impl_->store.get(), destination, options);
}

std::string_view Version() { return CAIRN_VERSION; }

}  // namespace cairn
