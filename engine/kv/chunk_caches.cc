#include "engine/kv/chunk_caches.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_builder.h"
#include "engine/kv/selection.h"

namespace cairn::engine {
namespace {

// Part of every configuration: raised when passages come to be encoded in another way.
constexpr char kPassageVersion[] = "passage-1";

constexpr size_t kMaxProblems = 1000;

// Of a chunk: each is looked at whenever the chunk is in a prompt.
constexpr size_t kMostVariants = 16;
// A chunk of which so much or more would have to be computed again is computed whole, and kept as a
// further variant. One that knows nothing of what stands before it is at least at 1/2.
constexpr double kNewVariant = 0.5;
constexpr double kAlpha = 1;  // Of Cache-Craft's overhead.
// Of keys and values that answers computed, and that are not written yet.
constexpr uint64_t kWaitingBytes = uint64_t{256} << 20;

absl::Status NoGenerator() {
  return absl::FailedPreconditionError(
      "keys and values belong to a language model: open the store with a generator");
}

}  // namespace

ChunkCaches::ChunkCaches(index::Store* store, SharedGenerator* generator, KvEncoding encoding,
                         KvSource source, const KvReuseOptions& options)
    : store_(store),
      generator_(generator),
      encoding_(encoding),
      source_(source),
      disk_bytes_(options.disk_bytes),
      variants_(options.variants) {}

absl::StatusOr<std::unique_ptr<ChunkCaches>> ChunkCaches::Open(index::Store* store,
                                                               SharedGenerator* generator,
                                                               const KvReuseOptions& options) {
  const std::optional<KvEncoding> encoding = ParseKvEncoding(options.encoding);
  if (!encoding.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no encoding of keys and values \"",
                                                   options.encoding, "\", but f16, int8, f32"));
  }
  const std::optional<KvSource> source = ParseKvSource(options.source);
  if (!source.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no source of keys and values \"",
                                                   options.source,
                                                   "\", but document, preface, isolated, prompt"));
  }
  if (options.variants < 1 || options.variants > kMostVariants) {
    return absl::InvalidArgumentError(absl::StrCat("between 1 and ", kMostVariants,
                                                   " variants of a chunk's keys and values, not ",
                                                   options.variants));
  }
  std::unique_ptr<ChunkCaches> caches(
      new ChunkCaches(store, generator, *encoding, *source, options));
  KvStoreOptions kv;
  kv.memory_bytes = options.memory_bytes;
  kv.disk_bytes = options.disk_bytes;
  kv.on_problem = options.on_problem;
  absl::StatusOr<std::unique_ptr<KvStore>> opened = KvStore::Open(store, kv);
  if (!opened.ok()) return opened.status();
  caches->kv_ = *std::move(opened);
  if (caches->can_reuse()) {
    if (generator->checkpoint() == nullptr) return NoGenerator();
    caches->model_ = generator->checkpoint()->fingerprint();
    caches->gates_ =
        std::make_unique<ModelGates>(&store->rows(), generator->checkpoint(), options.on_problem);
    absl::StatusOr<std::vector<uint32_t>> preface = PromptPreface(*generator);
    if (!preface.ok()) return preface.status();
    caches->preface_ = *std::move(preface);
    if (*source == KvSource::kPrompt && !store->rows().read_only()) {
      caches->writer_ =
          std::make_unique<KvWriter>(caches->kv_.get(), kWaitingBytes, options.on_problem);
    }
  }
  return caches;
}

absl::StatusOr<ChunkCaches::Names> ChunkCaches::NamesOf(uint32_t collection,
                                                        std::string_view scope) {
  absl::StatusOr<KvIdentity> identity = kv_->Identity(collection);
  if (!identity.ok()) return identity.status();
  KvConfiguration configuration;
  configuration.model_fingerprint = model_;
  // The model's digest names its tokenizer too.
  configuration.tokenizer_fingerprint = absl::StrCat(model_, "/", kPassageVersion);
  configuration.encoding = encoding_;
  configuration.source = source_;
  if (source_ != KvSource::kIsolated) configuration.preface = preface_;
  if (source_ == KvSource::kPrompt) configuration.scope = scope;
  const KvConfigurationId id = identity->Configuration(configuration);
  return Names{*std::move(identity), id};
}

absl::StatusOr<KvBuildReport> ChunkCaches::Build(const index::Collection& collection,
                                                 const KvBuildOptions& options) {
  if (!can_reuse()) return NoGenerator();
  if (source_ == KvSource::kPrompt) {
    return absl::FailedPreconditionError(
        "keys and values that have seen a prompt are kept by answers, and cannot be built");
  }
  absl::StatusOr<ReuseGateReport> gates = Gates(options.is_cancelled);
  if (!gates.ok()) return gates.status();
  if (!gates->holds()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the model's keys and values cannot be moved: ", gates->Summary()));
  }
  absl::StatusOr<Names> names = NamesOf(collection.id());
  if (!names.ok()) return names.status();
  KvBuilderContext context;
  context.store = store_;
  context.generator = generator_;
  context.kv = kv_.get();
  context.identity = &names->identity;
  context.configuration = names->configuration;
  context.encoding = encoding_;
  context.source = source_;
  context.model = model_;
  context.preface = preface_;
  context.disk_bytes = disk_bytes_;
  return KvBuilder(context).Run(collection.id(), options);
}

void ChunkCaches::StopGates() {
  if (gates_ != nullptr) gates_->Stop();
}

absl::StatusOr<ReuseGateReport> ChunkCaches::Gates(const std::function<bool()>& is_cancelled) {
  return gates_ == nullptr ? NoGenerator() : gates_->Get(is_cancelled);
}

void ChunkCaches::Prefetch(uint32_t collection, std::string_view scope,
                           absl::Span<const uint64_t> chunks) {
  if (!can_reuse()) return;
  const absl::StatusOr<Names> names = NamesOf(collection, scope);
  if (!names.ok()) return;
  for (uint64_t chunk : chunks) {
    absl::StatusOr<std::vector<KvKey>> keys = kv_->OfChunk(collection, chunk, names->configuration);
    // Which of several it will be is not known before the prompt is.
    if (keys.ok() && keys->size() == 1) kv_->Prefetch(*keys);
  }
}

KvShape ChunkCaches::shape() const {
  const ModelConfig& config = generator_->decoder()->config();
  return {config.layers, config.kv_heads, config.head_dim};
}

VariantChoice ChunkCaches::Choose(absl::Span<const KvKey> keys, size_t tokens,
                                  absl::Span<const uint64_t> before) const {
  if (source_ != KvSource::kPrompt) return {.variant = 0, .overhead = 0};
  std::vector<std::optional<ChunkAttention>> attention;
  std::vector<const ChunkAttention*> variants;
  for (const KvKey& key : keys) attention.push_back(kv_->AttentionOf(key));
  for (const auto& known : attention) variants.push_back(known.has_value() ? &*known : nullptr);
  return BestVariant(variants, tokens, before, kAlpha);
}

bool ChunkCaches::Keeps(const BlendPart& part, size_t known, const KvWriter::Item& item) const {
  const uint64_t bytes = shape().layers * KvLayerBytes(encoding_, shape(), part.tokens.size());
  if (bytes > disk_bytes_ || !writer_->HasRoom(bytes)) return false;
  const std::vector<KvKey> coming = writer_->Waiting(item.key.collection, item.owner.chunk);
  return known + coming.size() < variants_ &&
         std::find(coming.begin(), coming.end(), item.key) == coming.end();
}

void ChunkCaches::Fill(const Names& names, const Before& before, ReuseQuality quality,
                       BlendPart* part, KvWriter::Item* item) {
  const absl::StatusOr<std::vector<KvKey>> keys =
      kv_->OfChunk(names.identity.collection(), item->owner.chunk, names.configuration);
  if (!keys.ok()) return;
  VariantChoice choice = {.variant = 0, .overhead = 1};
  if (!keys->empty()) choice = Choose(*keys, part->tokens.size(), before.passages);
  // What is not to be computed again is not computed to be kept, either.
  const bool wanted = keys->empty() || quality != ReuseQuality::kFast;
  if (writer_ != nullptr && wanted && choice.overhead >= kNewVariant) {
    item->key = names.identity.Key(names.configuration, before.tokens, part->tokens);
    item->owner.configuration = names.configuration;
    item->owner.model = model_;
    item->owner.seen = before.chunks;
    item->variants = variants_;
    part->keep = Keeps(*part, keys->size(), *item);
  }
  if (part->keep || keys->empty()) return;
  std::shared_ptr<const ChunkKv> kv = kv_->Find((*keys)[choice.variant]);
  if (kv == nullptr || kv->tokens() != part->tokens.size() || !(kv->shape() == shape())) return;
  part->kv = std::move(kv);
  part->fix_rows = CountOf(choice.overhead, part->tokens.size());
}

absl::StatusOr<std::shared_ptr<BlendedPrompt>> ChunkCaches::Read(
    uint32_t collection, const AnswerPrompt& prompt, absl::Span<const SearchHit> passages,
    const AskRequest& request) {
  BlendedPromptOptions options;
  options.quality = request.reuse;
  options.source = source_;
  options.kept_encoding = encoding_;
  const bool reuses = request.reuse != ReuseQuality::kExact;
  if (reuses) {
    absl::StatusOr<ReuseGateReport> gates = Gates(request.is_cancelled);
    if (absl::IsCancelled(gates.status())) return gates.status();
    options.gates = gates.ok() ? gates->Summary() : std::string(gates.status().message());
  }
  // A store that is opened read-only may have no names yet: nothing is found then.
  const absl::StatusOr<Names> names = NamesOf(collection, request.cache_scope);
  std::vector<BlendPart> parts;
  Before before;
  std::vector<KvWriter::Item> kept(prompt.stretches.size());
  for (const PromptStretch& stretch : prompt.stretches) {
    BlendPart& part = parts.emplace_back();
    part.tokens = stretch.ids;
    if (stretch.passage.has_value() && reuses) {
      const uint64_t chunk = passages[*stretch.passage].chunk_id;
      KvWriter::Item& item = kept[parts.size() - 1];
      item.owner.chunk = chunk;
      part.passage = true;
      // A passage that was cut is another text.
      if (names.ok() && !prompt.cut) Fill(*names, before, request.reuse, &part, &item);
      part.keep = part.keep && options.gates == "ok";
      before.passages.push_back(HashTokens(part.tokens));
      before.chunks.push_back(chunk);
    }
    before.tokens.insert(before.tokens.end(), part.tokens.begin(), part.tokens.end());
  }
  if (writer_ != nullptr) {
    options.on_kept = [writer = writer_.get(), kept = std::move(kept)](
                          size_t part, std::shared_ptr<const ChunkKvBuffer> kv, double seconds) {
      KvWriter::Item item = kept[part];
      item.kv = std::move(kv);
      item.seconds = seconds;
      writer->Add(std::move(item));
    };
  }
  return std::make_shared<BlendedPrompt>(generator_->decoder(), &controller_, std::move(parts),
                                         std::move(options));
}

KvInfo ChunkCaches::Describe(uint32_t collection) const {
  const KvStoreStats all = kv_->Stats();
  const KvCollectionStats own = kv_->Stats(collection);
  KvInfo info;
  info.memory_blobs = all.memory.blobs;
  info.memory_bytes = all.memory.bytes;
  info.memory_evictions = all.memory.evictions;
  info.disk_blobs = all.disk.blobs;
  info.disk_bytes = all.disk.bytes;
  info.disk_evictions = all.disk.evictions;
  info.memory_hits = own.memory_hits;
  info.disk_hits = own.disk_hits;
  info.misses = own.misses;
  info.loaded_bytes = own.bytes_loaded;
  info.bad_blobs = own.bad_blobs;
  return info;
}

absl::StatusOr<KvVerifyResult> ChunkCaches::Verify() {
  KvVerifyResult result;
  absl::StatusOr<KvVerifyReport> report =
      kv_->Verify(!store_->rows().read_only(), [&](const std::string& problem) {
        if (result.problems.size() < kMaxProblems) result.problems.push_back(problem);
      });
  if (!report.ok()) return report.status();
  result.blobs = report->blobs;
  result.bytes = report->bytes;
  result.bad = report->bad;
  return result;
}

}  // namespace cairn::engine
