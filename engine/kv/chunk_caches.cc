#include "engine/kv/chunk_caches.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/gate_rows.h"
#include "engine/kv/kv_builder.h"
#include "engine/model/first_layers.h"

namespace cairn::engine {
namespace {

// Part of every configuration: raised when passages come to be encoded in another way.
constexpr char kPassageVersion[] = "passage-1";

// Of a model whose gates are run: more than that, and its first layers stand for it.
constexpr uint64_t kMaxGateBytes = uint64_t{4} << 30;
constexpr size_t kMaxProblems = 1000;

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
      disk_bytes_(options.disk_bytes) {}

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
                                                   "\", but document, preface, isolated"));
  }
  std::unique_ptr<ChunkCaches> caches(
      new ChunkCaches(store, generator, *encoding, *source, options));
  KvStoreOptions kv;
  kv.memory_bytes = options.memory_bytes;
  kv.disk_bytes = options.disk_bytes;
  absl::StatusOr<std::unique_ptr<KvStore>> opened = KvStore::Open(store, kv);
  if (!opened.ok()) return opened.status();
  caches->kv_ = *std::move(opened);
  if (caches->can_reuse()) {
    if (generator->checkpoint() == nullptr) return NoGenerator();
    caches->model_ = generator->checkpoint()->fingerprint();
    absl::StatusOr<std::vector<uint32_t>> preface = PromptPreface(*generator);
    if (!preface.ok()) return preface.status();
    caches->preface_ = *std::move(preface);
  }
  return caches;
}

absl::StatusOr<ChunkCaches::Names> ChunkCaches::NamesOf(uint32_t collection) {
  absl::StatusOr<KvIdentity> identity = kv_->Identity(collection);
  if (!identity.ok()) return identity.status();
  KvConfiguration configuration;
  configuration.model_fingerprint = model_;
  // The model's digest names its tokenizer too.
  configuration.tokenizer_fingerprint = absl::StrCat(model_, "/", kPassageVersion);
  configuration.encoding = encoding_;
  configuration.source = source_;
  if (source_ != KvSource::kIsolated) configuration.preface = preface_;
  const KvConfigurationId id = identity->Configuration(configuration);
  return Names{*std::move(identity), id};
}

absl::StatusOr<KvBuildReport> ChunkCaches::Build(const index::Collection& collection,
                                                 const KvBuildOptions& options) {
  if (!can_reuse()) return NoGenerator();
  absl::StatusOr<ReuseGateReport> gates = Gates();
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

absl::StatusOr<ReuseGateReport> ChunkCaches::RunGates() const {
  DecoderOptions exact;
  exact.compute = kernels::ComputeType::kF32;
  exact.kv_type = kernels::KvType::kF32;
  const FirstLayers checkpoint(generator_->checkpoint(), kMaxGateBytes);
  absl::StatusOr<std::unique_ptr<Decoder>> decoder = Decoder::Create(checkpoint, exact);
  if (!decoder.ok()) return decoder.status();
  return RunReuseGates(decoder->get());
}

absl::StatusOr<ReuseGateReport> ChunkCaches::Gates() {
  if (!can_reuse()) return NoGenerator();
  // Held while they run: others wait for what they give.
  absl::MutexLock lock(&gates_mutex_);
  if (gates_.has_value()) return *gates_;
  absl::StatusOr<std::optional<ReuseGateReport>> known = ReadGates(store_->rows(), model_);
  if (!known.ok()) return known.status();
  if (known->has_value()) {
    gates_ = **known;
    return *gates_;
  }
  absl::StatusOr<ReuseGateReport> report = RunGates();
  if (!report.ok()) return report.status();
  gates_ = *report;
  if (!store_->rows().read_only()) {
    if (absl::Status s = WriteGates(&store_->rows(), model_, *report); !s.ok()) return s;
  }
  return *report;
}

absl::StatusOr<std::vector<KvKey>> ChunkCaches::KeysOf(uint32_t collection, uint64_t chunk) {
  absl::StatusOr<Names> names = NamesOf(collection);
  if (!names.ok()) return names.status();
  return kv_->OfChunk(collection, chunk, names->configuration);
}

void ChunkCaches::Prefetch(uint32_t collection, absl::Span<const uint64_t> chunks) {
  if (!can_reuse()) return;
  for (uint64_t chunk : chunks) {
    absl::StatusOr<std::vector<KvKey>> keys = KeysOf(collection, chunk);
    if (keys.ok() && !keys->empty()) kv_->Prefetch({keys->data(), 1});
  }
}

absl::StatusOr<std::shared_ptr<BlendedPrompt>> ChunkCaches::Read(
    uint32_t collection, const AnswerPrompt& prompt, absl::Span<const SearchHit> passages,
    ReuseQuality quality) {
  BlendedPromptOptions options;
  options.quality = quality;
  options.source = source_;
  if (quality != ReuseQuality::kExact) {
    absl::StatusOr<ReuseGateReport> gates = Gates();
    options.gates = gates.ok() ? gates->Summary() : std::string(gates.status().message());
  }
  const ModelConfig& config = generator_->decoder()->config();
  const KvShape shape = {config.layers, config.kv_heads, config.head_dim};
  std::vector<BlendPart> parts;
  for (const PromptStretch& stretch : prompt.stretches) {
    BlendPart& part = parts.emplace_back();
    part.tokens = stretch.ids;
    if (!stretch.passage.has_value() || quality == ReuseQuality::kExact) continue;
    absl::StatusOr<std::vector<KvKey>> keys =
        KeysOf(collection, passages[*stretch.passage].chunk_id);
    // A passage that was cut is another text.
    if (keys.ok() && !keys->empty() && !prompt.cut) part.kv = kv_->Find(keys->front());
    if (part.kv != nullptr &&
        (!(part.kv->shape() == shape) || part.kv->tokens() != part.tokens.size())) {
      part.kv = nullptr;
    }
    options.missing_chunks += part.kv == nullptr;
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
