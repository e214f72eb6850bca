#include "engine/model/decoder.h"

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/elementwise.h"
#include "kernels/read_memory.h"

namespace cairn::engine {
namespace {

using kernels::Activations;
using kernels::ComputeType;
using kernels::PackedMatrix;

constexpr size_t kMostThreads = 1024;

// Bytes for the activations of a pass.
constexpr uint64_t kRowsBudget = uint64_t{128} << 20;

// What a thread takes of a matrix at a time while reading it is all the work: enough to stream,
// little enough that threads end together.
constexpr size_t kPieceBytes = 256 << 10;

size_t ThreadsOf(const DecoderOptions& options) {
  const size_t wanted = options.threads != 0
                            ? options.threads
                            : std::max<size_t>(1, std::thread::hardware_concurrency());
  return std::min(wanted, kMostThreads);
}

// At most `wanted` rows, at least one, such that what a pass keeps of its rows fits in
// kRowsBudget: the widths come from a file.
size_t RowsWithinBudget(const ModelConfig& config, size_t wanted) {
  const uint64_t heads = uint64_t{config.heads} + 2 * uint64_t{config.kv_heads};
  const uint64_t floats = (heads + config.heads) * config.head_dim +
                          3 * uint64_t{config.intermediate_size} + 2 * uint64_t{config.hidden_size};
  return std::clamp<size_t>(kRowsBudget / (floats * sizeof(float)), 1, std::max<size_t>(wanted, 1));
}

// What one input of several products is computed in: the plainest of theirs.
template <class... Types>
ComputeType Plainest(ComputeType first, Types... rest) {
  return std::min({first, rest...});
}

// Tiles that a thread takes of `matrix` at a time; two make a panel for many rows.
size_t PieceTiles(const PackedMatrix& matrix, size_t rows) {
  if (rows > kernels::kVectorRows) return 2;
  return std::max<size_t>(1, kPieceBytes / std::max<size_t>(1, matrix.tile_bytes()));
}

size_t PiecesOf(const PackedMatrix& matrix, size_t rows) {
  const size_t tiles = PieceTiles(matrix, rows);
  return (matrix.tiles() + tiles - 1) / tiles;
}

}  // namespace

// Takes pieces of the matrices' tiles, as if these lay behind each other, and calls
// compute(matrix's number, tile_begin, tile_end).
template <class Compute>
void Decoder::SharePieces(size_t member, std::initializer_list<const PackedMatrix*> matrices,
                          size_t rows, Compute compute) {
  size_t total = 0;
  for (const PackedMatrix* m : matrices) total += PiecesOf(*m, rows);
  for (size_t piece; (piece = team_.Take(member, total)) < total;) {
    size_t number = 0;
    for (const PackedMatrix* m : matrices) {
      const size_t pieces = PiecesOf(*m, rows);
      if (piece < pieces) {
        const size_t begin = piece * PieceTiles(*m, rows);
        compute(number, begin, std::min(m->tiles(), begin + PieceTiles(*m, rows)));
        break;
      }
      piece -= pieces;
      ++number;
    }
  }
}

Decoder::Decoder(const Checkpoint& checkpoint, const DecoderOptions& options)
    : config_(checkpoint.config()),
      compute_(options.compute),
      kv_type_(options.kv_type.value_or(kernels::DefaultKvType())),
      context_length_(options.context_length != 0 ? options.context_length
                                                  : config_.context_length),
      max_rows_(RowsWithinBudget(config_, options.max_rows)),
      rope_(config_),
      team_(ThreadsOf(options)),
      members_(team_.size()) {}

absl::StatusOr<std::unique_ptr<Decoder>> Decoder::Create(const Checkpoint& checkpoint,
                                                         const DecoderOptions& options) {
  const ModelConfig& config = checkpoint.config();
  if (config.head_dim > kernels::kMaxHeadDim) {
    return absl::InvalidArgumentError(absl::StrCat("heads of ", config.head_dim,
                                                   " dimensions; at most ", kernels::kMaxHeadDim,
                                                   " are supported"));
  }
  if (config.hidden_size % 2 != 0 || config.intermediate_size % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("hidden sizes ", config.hidden_size, " and ",
                                                   config.intermediate_size, " must be even"));
  }
  try {
    return Load(checkpoint, options);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the model's weights");
  }
}

absl::StatusOr<std::unique_ptr<Decoder>> Decoder::Load(const Checkpoint& checkpoint,
                                                       const DecoderOptions& options) {
  std::unique_ptr<Decoder> decoder(new Decoder(checkpoint, options));
  absl::StatusOr<TensorView> embeddings = checkpoint.Find("token_embd.weight");
  if (!embeddings.ok()) return embeddings.status();
  decoder->embeddings_ = *std::move(embeddings);
  absl::StatusOr<DecoderWeights> weights = LoadDecoderWeights(checkpoint, &decoder->team_);
  if (!weights.ok()) return weights.status();
  decoder->weights_ = *std::move(weights);
  return decoder;
}

KvLayout Decoder::kv_layout() const {
  return {.type = kv_type_,
          .layers = config_.layers,
          .kv_heads = config_.kv_heads,
          .head_dim = config_.head_dim};
}

ComputeType Decoder::ComputeFor(const PackedMatrix& matrix) const {
  const auto usual = [&] {
    if (kernels::IsQuantised(matrix.format())) return ComputeType::kI8;
    return matrix.format() == kernels::BlockFormat::kF32 ? ComputeType::kF32 : ComputeType::kBF16;
  };
  return kernels::SupportedCompute(compute_.has_value() ? *compute_ : usual(), matrix.format(),
                                   kernels::ActiveIsa());
}

void Decoder::ReserveScratch(size_t rows) {
  const size_t head_width = size_t{config_.heads} * config_.head_dim;
  kernels::Grow(&qkv_, rows * qkv_width());
  kernels::Grow(&attended_, rows * head_width);
  kernels::Grow(&gate_, rows * config_.intermediate_size);
  kernels::Grow(&up_, rows * config_.intermediate_size);
  kernels::Grow(&normed_, team_.size() * std::max<size_t>(config_.hidden_size, head_width));
}

PassPlan Decoder::PlanRows(absl::Span<const PassSequence> sequences,
                           std::vector<PlannedSequence>* planned) const {
  PassPlan plan;
  for (const PassSequence& s : sequences) plan.rows += s.slots.size();
  kernels::Grow(&plan.cos, plan.rows * rope_.pairs());
  kernels::Grow(&plan.sin, plan.rows * rope_.pairs());
  plan.pages.reserve(sequences.size());
  size_t row = 0;
  for (const PassSequence& s : sequences) {
    const absl::Span<const uint32_t> positions = s.positions.empty() ? s.slots : s.positions;
    std::vector<const std::byte*>& pages = plan.pages.emplace_back();
    for (const KvPageRef& page : s.sequence->pages()) pages.push_back(page->tile(0, 0));
    planned->push_back({pages.data(), row, s.slots});
    for (size_t i = 0; i < s.slots.size(); ++i, ++row) {
      plan.row_page.push_back(s.sequence->pages()[s.slots[i] / kKvPageTokens]->tile(0, 0));
      plan.row_token.push_back(s.slots[i] % kKvPageTokens);
      rope_.Angles(positions[i], s.length != 0 ? s.length : size_t{positions.back()} + 1,
                   &plan.cos[row * rope_.pairs()], &plan.sin[row * rope_.pairs()]);
    }
  }
  return plan;
}

PassPlan Decoder::PlanPlaces(absl::Span<const PassSequence> sequences) const {
  std::vector<PlannedSequence> planned;
  return PlanRows(sequences, &planned);
}

PassPlan Decoder::Plan(absl::Span<const PassSequence> sequences) const {
  std::vector<PlannedSequence> planned;
  PassPlan plan = PlanRows(sequences, &planned);
  const size_t group = config_.heads / config_.kv_heads;
  bool full = false, windowed = false;
  for (uint32_t l = 0; l < config_.layers; ++l) {
    (config_.WindowOf(l) == 0 ? full : windowed) = true;
  }
  if (full) plan.full = PlanAttention(planned, plan.rows, group, 0);
  if (windowed) plan.windowed = PlanAttention(planned, plan.rows, group, config_.sliding_window);
  return plan;
}

void Decoder::Embed(absl::Span<const uint32_t> tokens, float* hidden) const {
  const size_t columns = config_.hidden_size;
  const size_t row_bytes = kernels::FormatBytes(embeddings_.format, columns);
  for (size_t i = 0; i < tokens.size(); ++i) {
    kernels::Dequantize(embeddings_.format, embeddings_.bytes.data() + tokens[i] * row_bytes,
                        columns, hidden + i * columns);
  }
}

void Decoder::RunLayers(const PassPlan& plan, size_t first, size_t last, float* hidden,
                        const PassCapture& capture) {
  ReserveScratch(plan.rows);
  const size_t partials = std::max(plan.full.partials, plan.windowed.partials) * config_.heads;
  kernels::Grow(&partials_, partials * config_.head_dim);
  kernels::Grow(&partial_logs_, partials);
  const size_t kv_width = plan.rows * config_.kv_heads * config_.head_dim;
  const size_t query_width = plan.rows * config_.heads * config_.head_dim;
  team_.Run([&](size_t member) {
    for (size_t l = first; l < last; ++l) {
      const auto at = [&](float* to, size_t width) {
        return to == nullptr ? nullptr : to + (l - first) * width;
      };
      const bool full = config_.WindowOf(static_cast<uint32_t>(l)) == 0;
      RunLayer(member, {.plan = plan,
                        .attention = full ? plan.full : plan.windowed,
                        .weights = weights_.layers[l],
                        .layer = l,
                        .hidden = hidden,
                        .capture = {.keys = at(capture.keys, kv_width),
                                    .values = at(capture.values, kv_width),
                                    .queries = at(capture.queries, query_width)}});
    }
  });
}

void Decoder::RunKeysAndValues(const PassPlan& plan, size_t layer, const float* hidden,
                               const PassCapture& capture) {
  ReserveScratch(plan.rows);
  // The stages that follow only read the residual stream.
  const LayerRun run = {
      .plan = plan,
      .attention = plan.full,
      .weights = weights_.layers[layer],
      .layer = layer,
      .hidden = const_cast<float*>(hidden),
      .capture = {.keys = capture.keys, .values = capture.values, .queries = nullptr}};
  team_.Run([&](size_t member) {
    ProjectHeads(member, run, /*queries=*/false);
    team_.Barrier();
    RotateAndStore(member, run, /*queries=*/false);
  });
}

void Decoder::NormStates(const float* hidden, size_t rows, float* states) const {
  const size_t width = config_.hidden_size;
  for (size_t r = 0; r < rows; ++r) {
    kernels::GetElementwiseKernels().rms_norm(hidden + r * width, weights_.output_norm.data(),
                                              width, config_.norm_epsilon, states + r * width);
  }
}

void Decoder::Logits(const float* hidden, size_t rows, float* logits) {
  ReserveScratch(rows);
  team_.Run([&](size_t member) {
    const Activations& activations = Encode(member, hidden, rows, config_.hidden_size,
                                            &weights_.output_norm, ComputeFor(weights_.output));
    Product(member, weights_.output, activations, logits, config_.vocabulary_size, false);
  });
}

void Decoder::ReadWeights() {
  std::vector<uint64_t> sums(team_.size());
  team_.Run([&](size_t member) {
    const auto read = [&](const PackedMatrix& m) {
      const kernels::Share share = kernels::ShareOf(m.tiles(), 1, member, team_.size());
      sums[member] ^=
          kernels::ReadMemory(m.tile(share.begin), (share.end - share.begin) * m.tile_bytes());
    };
    for (const LayerWeights& w : weights_.layers) {
      for (const PackedMatrix* m :
           {&w.query, &w.key, &w.value, &w.output, &w.gate, &w.up, &w.down}) {
        read(*m);
      }
    }
    read(weights_.output);
  });
}

void Decoder::WriteKv(const PassPlan& plan, size_t layer, const float* keys, const float* values) {
  const size_t tile_bytes = kv_layout().tile_bytes();
  const size_t head_dim = config_.head_dim, heads = config_.kv_heads;
  team_.Run([&](size_t member) {
    float key[kernels::kMaxHeadDim];
    const kernels::Share share = kernels::ShareOf(plan.rows, 1, member, team_.size());
    for (size_t r = share.begin; r < share.end; ++r) {
      for (size_t h = 0; h < heads; ++h) {
        const size_t at = (r * heads + h) * head_dim;
        std::copy_n(keys + at, head_dim, key);
        rope_.Rotate(&plan.cos[r * rope_.pairs()], &plan.sin[r * rope_.pairs()], key);
        kernels::StoreKv(kv_type_, plan.row_page[r] + (layer * heads + h) * tile_bytes, head_dim,
                         plan.row_token[r], key, values + at);
      }
    }
  });
}

// --- Stages of a layer ---------------------------------------------------------------------------

// Few rows: each thread encodes them all for itself, which is faster than to wait for one another.
const Activations& Decoder::Encode(size_t member, const float* x, size_t rows, size_t columns,
                                   const std::vector<float>* norm, ComputeType compute) {
  const bool own = rows <= kernels::kVectorRows;
  Activations& to = own ? members_[member].activations : shared_;
  if (own || member == 0) to.Reset(rows, columns, compute);
  if (!own) team_.Barrier();
  const kernels::Share share =
      own ? kernels::Share{0, rows} : kernels::ShareOf(rows, 1, member, team_.size());
  float* normed = normed_.data() + member * (normed_.size() / team_.size());
  const auto rms_norm = kernels::GetElementwiseKernels().rms_norm;
  for (size_t r = share.begin; r < share.end; ++r) {
    const float* row = x + r * columns;
    if (norm != nullptr) {
      rms_norm(row, norm->data(), columns, config_.norm_epsilon, normed);
      row = normed;
    }
    to.EncodeRow(r, row);
  }
  if (!own) team_.Barrier();
  return to;
}

void Decoder::Product(size_t member, const PackedMatrix& matrix, const Activations& activations,
                      float* out, size_t ld, bool accumulate) {
  SharePieces(member, {&matrix}, activations.rows(), [&](size_t, size_t begin, size_t end) {
    kernels::MatMul(matrix, begin, end, activations, out, ld, accumulate, &members_[member].matmul);
  });
}

void Decoder::ProjectHeads(size_t member, const LayerRun& run, bool queries) {
  const LayerWeights& w = run.weights;
  const size_t rows = run.plan.rows;
  const Activations& input =
      Encode(member, run.hidden, rows, config_.hidden_size, &w.attention_norm,
             Plainest(ComputeFor(w.query), ComputeFor(w.key), ComputeFor(w.value)));
  const PackedMatrix* matrices[] = {&w.key, &w.value, &w.query};
  const size_t columns[] = {w.query.rows(), w.query.rows() + w.key.rows(), 0};
  const auto compute = [&](size_t number, size_t begin, size_t end) {
    kernels::MatMul(*matrices[number], begin, end, input, qkv_.data() + columns[number],
                    qkv_width(), false, &members_[member].matmul);
  };
  if (queries) {
    SharePieces(member, {&w.key, &w.value, &w.query}, rows, compute);
  } else {
    SharePieces(member, {&w.key, &w.value}, rows, compute);
  }
}

void Decoder::GateAndUp(size_t member, const LayerRun& run) {
  const LayerWeights& w = run.weights;
  const size_t rows = run.plan.rows, intermediate = config_.intermediate_size;
  const Activations& input =
      Encode(member, run.hidden, rows, config_.hidden_size, &w.feed_forward_norm,
             Plainest(ComputeFor(w.gate), ComputeFor(w.up)));
  kernels::MatmulScratch* scratch = &members_[member].matmul;
  const auto silu_multiply = kernels::GetElementwiseKernels().silu_multiply;
  SharePieces(member, {&w.gate}, rows, [&](size_t, size_t begin, size_t end) {
    kernels::MatMul(w.gate, begin, end, input, gate_.data(), intermediate, false, scratch);
    kernels::MatMul(w.up, begin, end, input, up_.data(), intermediate, false, scratch);
    const size_t first = begin * kernels::kTileRows;
    const size_t last = std::min(intermediate, end * kernels::kTileRows);
    for (size_t r = 0; r < rows; ++r) {
      float* gate = gate_.data() + r * intermediate + first;
      silu_multiply(gate, up_.data() + r * intermediate + first, last - first, gate);
    }
  });
}

void Decoder::RunLayer(size_t member, const LayerRun& run) {
  const LayerWeights& w = run.weights;
  const size_t rows = run.plan.rows;
  ProjectHeads(member, run, /*queries=*/true);
  team_.Barrier();
  RotateAndStore(member, run, /*queries=*/true);
  team_.Barrier();
  Attend(member, run);
  {
    const Activations& attended =
        Encode(member, attended_.data(), rows, w.query.rows(), nullptr, ComputeFor(w.output));
    Product(member, w.output, attended, run.hidden, config_.hidden_size, true);
  }
  team_.Barrier();
  GateAndUp(member, run);
  team_.Barrier();
  const Activations& activated =
      Encode(member, gate_.data(), rows, config_.intermediate_size, nullptr, ComputeFor(w.down));
  Product(member, w.down, activated, run.hidden, config_.hidden_size, true);
  team_.Barrier();
}

void Decoder::PrepareHead(const LayerRun& run, size_t row, float* head,
                          const std::vector<float>& norm) const {
  if (!norm.empty()) {
    kernels::GetElementwiseKernels().rms_norm(head, norm.data(), config_.head_dim,
                                              config_.norm_epsilon, head);
  }
  rope_.Rotate(&run.plan.cos[row * rope_.pairs()], &run.plan.sin[row * rope_.pairs()], head);
}

void Decoder::RotateAndStore(size_t member, const LayerRun& run, bool queries) {
  const size_t kv_heads = config_.kv_heads, head_dim = config_.head_dim;
  const size_t group = config_.heads / kv_heads;
  const size_t tile_bytes = kv_layout().tile_bytes();
  const kernels::ElementwiseKernels& kernels = kernels::GetElementwiseKernels();
  const kernels::Share share = kernels::ShareOf(run.plan.rows * kv_heads, 1, member, team_.size());
  for (size_t item = share.begin; item < share.end; ++item) {
    const size_t row = item / kv_heads, kv_head = item % kv_heads;
    float* qkv = qkv_.data() + row * qkv_width();
    const size_t query_at = kv_head * group * head_dim;
    const size_t key_at = (config_.heads + kv_head) * head_dim;
    const size_t value_at = key_at + kv_heads * head_dim;
    if (const std::vector<float>& bias = run.weights.qkv_bias; !bias.empty()) {
      if (queries) kernels.add(&bias[query_at], group * head_dim, qkv + query_at);
      kernels.add(&bias[key_at], head_dim, qkv + key_at);
      kernels.add(&bias[value_at], head_dim, qkv + value_at);
    }
    for (size_t h = 0; queries && h < group; ++h) {
      PrepareHead(run, row, qkv + query_at + h * head_dim, run.weights.query_norm);
    }
    if (queries && run.capture.queries != nullptr) {
      std::copy_n(qkv + query_at, group * head_dim, run.capture.queries + item * group * head_dim);
    }
    float* key = qkv + key_at;
    if (run.capture.keys != nullptr) {
      float* to = run.capture.keys + item * head_dim;
      std::copy_n(key, head_dim, to);
      if (!run.weights.key_norm.empty()) {
        kernels.rms_norm(to, run.weights.key_norm.data(), head_dim, config_.norm_epsilon, to);
      }
    }
    if (run.capture.values != nullptr) {
      std::copy_n(qkv + value_at, head_dim, run.capture.values + item * head_dim);
    }
    PrepareHead(run, row, key, run.weights.key_norm);
    kernels::StoreKv(kv_type_,
                     run.plan.row_page[row] + (run.layer * kv_heads + kv_head) * tile_bytes,
                     head_dim, run.plan.row_token[row], key, qkv + value_at);
  }
}

void Decoder::Attend(size_t member, const LayerRun& run) {
  const std::vector<AttentionJob>& jobs = run.attention.jobs;
  const size_t kv_heads = config_.kv_heads;
  const size_t count = jobs.size() * kv_heads;
  for (size_t i; (i = team_.Take(member, count)) < count;) {
    // The last jobs of a prefill see most: they come first, so that the threads end together.
    AttendJob(&members_[member], run, jobs[jobs.size() - 1 - i / kv_heads], i % kv_heads);
  }
  team_.Barrier();
  if (run.attention.partials == 0) return;
  Merge(member, run.attention);
  team_.Barrier();
}

void Decoder::AttendJob(Member* own, const LayerRun& run, const AttentionJob& job, size_t kv_head) {
  const size_t head_dim = config_.head_dim;
  const size_t group = config_.heads / config_.kv_heads;
  const size_t offset = (run.layer * config_.kv_heads + kv_head) * kv_layout().tile_bytes();
  const size_t pairs = job.parts * group;  // Of a row and a query head.
  for (size_t begin = 0; begin < pairs; begin += kernels::kAttentionRows) {
    const size_t count = std::min(kernels::kAttentionRows, pairs - begin);
    own->attention.Begin(kv_type_, head_dim, count);
    for (size_t i = 0; i < count; ++i) {
      const AttentionPart& part = run.attention.parts[job.first_part + (begin + i) / group];
      const AttentionRow& row = run.attention.rows[part.row];
      const size_t head = kv_head * group + (begin + i) % group;
      own->attention.SetRow(i, qkv_.data() + part.row * qkv_width() + head * head_dim, row.first,
                            row.limit);
    }
    own->attention.Attend(job.pages, offset, job.tile_begin, job.tile_end);
    for (size_t i = 0; i < count; ++i) {
      const AttentionPart& part = run.attention.parts[job.first_part + (begin + i) / group];
      const AttentionRow& row = run.attention.rows[part.row];
      const size_t head = kv_head * group + (begin + i) % group;
      if (row.partials == 1) {
        own->attention.Finish(i, attended_.data() + (part.row * config_.heads + head) * head_dim);
        continue;
      }
      const size_t at = size_t{row.base} * config_.heads + head * row.partials + part.ordinal;
      partial_logs_[at] = own->attention.FinishPartial(i, partials_.data() + at * head_dim);
    }
  }
}

void Decoder::Merge(size_t member, const AttentionPlan& plan) {
  const size_t heads = config_.heads, head_dim = config_.head_dim;
  const kernels::Share share = kernels::ShareOf(plan.rows.size() * heads, 1, member, team_.size());
  for (size_t item = share.begin; item < share.end; ++item) {
    const AttentionRow& row = plan.rows[item / heads];
    if (row.partials == 1) continue;
    const size_t at = size_t{row.base} * heads + item % heads * row.partials;
    kernels::MergeAttention(&partial_logs_[at], &partials_[at * head_dim], row.partials, head_dim,
                            attended_.data() + item * head_dim);
  }
}

}  // namespace cairn::engine
