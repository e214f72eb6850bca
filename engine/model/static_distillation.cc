#include "engine/model/static_distillation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/parallel_pieces.h"
#include "engine/model/principal_components.h"
#include "engine/model/teacher_vectors.h"
#include "engine/model/token_kinds.h"
#include "engine/model/token_regression.h"

namespace cairn::engine {
namespace {

using TokenLists = std::vector<std::vector<uint32_t>>;

// A component below this share of the first one's variance is rounding errors.
constexpr double kLeastVariance = 1e-10;
constexpr size_t kPieceTexts = 256;

// Special tokens around a text.
constexpr size_t kFraming = 2;

size_t MostTokens(const Embedder& teacher, const DistillationOptions& options) {
  const size_t limit = teacher.max_tokens();
  const size_t room = limit == 0 ? options.max_text_tokens : limit - std::min(limit, kFraming);
  return std::max<size_t>(1, std::min(options.max_text_tokens, room));
}

// Texts without a token that the teacher knows are left out.
TokenLists Tokenize(const Embedder& teacher, absl::Span<const std::string> texts,
                    const DistillationOptions& options) {
  const chunking::Tokenizer& tokenizer = teacher.tokenizer();
  const size_t most = MostTokens(teacher, options);
  std::vector<TokenLists> parts((texts.size() + kPieceTexts - 1) / kPieceTexts);
  ForEachPiece(parts.size(), options.threads, [&](size_t piece) {
    std::vector<chunking::Token> tokens;
    for (const std::string& text : texts.subspan(piece * kPieceTexts, kPieceTexts)) {
      tokens.clear();
      tokenizer.Encode(text, &tokens);
      std::vector<uint32_t> ids;
      bool known = false;
      for (size_t i = 0; i < std::min(most, tokens.size()); ++i) {
        ids.push_back(tokens[i].id);
        known |= tokens[i].id != tokenizer.unknown_id();
      }
      if (known) parts[piece].push_back(std::move(ids));
    }
  });
  TokenLists lists;
  for (TokenLists& part : parts) {
    std::move(part.begin(), part.end(), std::back_inserter(lists));
  }
  return lists;
}

// Rows of vectors [count][dim] -> [count][dims]: less `mean`, times `projection` [dim][dims].
std::vector<float> Project(absl::Span<const float> vectors, const std::vector<double>& mean,
                           const std::vector<double>& projection, size_t threads) {
  const size_t dim = mean.size();
  const size_t dims = projection.size() / dim;
  const size_t count = vectors.size() / dim;
  std::vector<float> result(count * dims);
  ForEachPiece((count + kPieceTexts - 1) / kPieceTexts, threads, [&](size_t piece) {
    std::vector<double> sums(dims);
    for (size_t i = piece * kPieceTexts; i < std::min(count, (piece + 1) * kPieceTexts); ++i) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (size_t d = 0; d < dim; ++d) {
        const double x = vectors[i * dim + d] - mean[d];
        const double* row = projection.data() + d * dims;
        for (size_t k = 0; k < dims; ++k) sums[k] += x * row[k];
      }
      std::copy(sums.begin(), sums.end(), result.begin() + static_cast<ptrdiff_t>(i * dims));
    }
  });
  return result;
}

struct TargetSpace {
  std::vector<float> texts;   // [texts][dims]
  std::vector<float> tokens;  // [vocabulary][dims]
};

// [dim][dims]: the first components, scaled by variance^-whitening.
absl::StatusOr<std::vector<double>> Whitening(const PrincipalComponents& components,
                                              const DistillationOptions& options) {
  const size_t dim = components.mean.size();
  const size_t dims = options.dims;
  const std::vector<double>& variance = components.variance;
  if (variance[dims - 1] <= kLeastVariance * variance[0]) {
    return absl::InvalidArgumentError(
        absl::StrCat("the texts' vectors span fewer than ", dims, " dimensions"));
  }
  std::vector<double> scale(dims);
  double sum = 0;
  for (size_t k = 0; k < dims; ++k) {
    scale[k] = std::pow(variance[k], -options.whitening);
    sum += scale[k];
  }
  std::vector<double> projection(dim * dims);
  for (size_t k = 0; k < dims; ++k) {
    const double factor = scale[k] * static_cast<double>(dims) / sum;
    for (size_t d = 0; d < dim; ++d) {
      projection[d * dims + k] = components.axes[k * dim + d] * factor;
    }
  }
  return projection;
}

// Texts are centred on their mean, tokens on theirs: a bare token lies far from any text.
absl::StatusOr<TargetSpace> MakeTargets(absl::Span<const float> texts,
                                        absl::Span<const float> tokens,
                                        const std::vector<TokenKind>& kinds, size_t dim,
                                        const DistillationOptions& options) {
  const PrincipalComponents components = ComputePrincipalComponents(texts, dim, options.threads);
  const auto projection = Whitening(components, options);
  if (!projection.ok()) return projection.status();

  std::vector<double> mean(dim);
  size_t counted = 0;
  for (size_t token = 0; token < kinds.size(); ++token) {
    if (kinds[token] == TokenKind::kNone) continue;
    ++counted;
    for (size_t d = 0; d < dim; ++d) mean[d] += tokens[token * dim + d];
  }
  for (double& x : mean) x /= static_cast<double>(std::max<size_t>(counted, 1));
  return TargetSpace{Project(texts, components.mean, *projection, options.threads),
                     Project(tokens, mean, *projection, options.threads)};
}

// Scales `start` so that its means fit the targets best.
void FitScale(const SparseMatrix& means, const std::vector<float>& targets, size_t threads,
              size_t dims, std::vector<float>* start) {
  std::vector<float> guess;
  Multiply(means, *start, dims, threads, &guess);
  double product = 0, square = 0;
  for (size_t i = 0; i < guess.size(); ++i) {
    product += double{guess[i]} * targets[i];
    square += double{guess[i]} * guess[i];
  }
  const auto scale = static_cast<float>(square > 0 ? product / square : 0);
  for (float& x : *start) x *= scale;
}

double Explained(const SparseMatrix& means, const std::vector<float>& targets,
                 const std::vector<float>& vectors, size_t dims, size_t threads) {
  std::vector<float> reached;
  Multiply(means, vectors, dims, threads, &reached);
  double error = 0, square = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    const double difference = double{targets[i]} - reached[i];
    error += difference * difference;
    square += double{targets[i]} * targets[i];
  }
  return square > 0 ? 1 - error / square : 0;
}

// Rows of int8 that use the whole range; the weights undo that.
void Quantize(const std::vector<float>& vectors, const std::vector<TokenKind>& kinds,
              const DistillationOptions& options, DistilledModel* model) {
  const size_t vocabulary = kinds.size();
  double harmonic = 0;
  for (size_t i = vocabulary; i > 0; --i) harmonic += 1 / static_cast<double>(i);
  model->rows.resize(vectors.size());
  model->weights.resize(vocabulary);
  for (size_t token = 0; token < vocabulary; ++token) {
    const float* from = vectors.data() + token * model->dims;
    float largest = 0;
    if (kinds[token] != TokenKind::kNone) {
      for (size_t d = 0; d < model->dims; ++d) largest = std::max(largest, std::abs(from[d]));
    }
    const float scale = largest / 127;
    if (scale > 0) {
      for (size_t d = 0; d < model->dims; ++d) {
        model->rows[token * model->dims + d] =
            static_cast<int8_t>(std::clamp(std::nearbyint(from[d] / scale), -127.0f, 127.0f));
      }
    }
    const double frequency = 1 / (static_cast<double>(token + 1) * harmonic);
    double weight = options.sif / (options.sif + frequency);
    if (kinds[token] == TokenKind::kQuiet) weight *= options.quiet_weight;
    model->weights[token] = static_cast<float>((scale > 0 ? scale : 1) * weight);
  }
}

absl::Status Check(const Embedder& teacher, size_t texts, const DistillationOptions& options) {
  if (options.dims == 0 || options.dims > teacher.dim()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.dims, " dimensions asked for, but the encoder has ", teacher.dim()));
  }
  if (texts <= options.dims) {
    return absl::InvalidArgumentError(
        absl::StrCat("too few texts: ", texts, " with tokens, for ", options.dims,
                     " dimensions at least ", options.dims + 1, ", better a hundred thousand"));
  }
  return absl::OkStatus();
}

// The teacher's vectors of `lists`, then of each token by itself.
absl::StatusOr<std::vector<float>> Teach(const Embedder& teacher, const TokenLists& lists,
                                         const DistillationOptions& options,
                                         absl::FunctionRef<bool(uint64_t, uint64_t)> keep_on) {
  std::vector<uint32_t> ids(teacher.tokenizer().vocabulary_size());
  std::vector<absl::Span<const uint32_t>> all(lists.begin(), lists.end());
  for (size_t id = 0; id < ids.size(); ++id) {
    ids[id] = static_cast<uint32_t>(id);
    all.emplace_back(&ids[id], 1);
  }
  const TeacherOptions how = {.threads = options.threads, .cache = options.cache};
  auto vectors =
      EmbedByTeacher(teacher, all, how, [&](uint64_t done) { return keep_on(done, all.size()); });
  if (absl::IsUnimplemented(vectors.status())) {
    return absl::InvalidArgumentError("only an encoder can be distilled");
  }
  if (!vectors.ok()) return vectors.status();
  for (const float x : *vectors) {
    if (!std::isfinite(x)) {
      return absl::InvalidArgumentError("the encoder gives vectors that are not finite");
    }
  }
  return vectors;
}

}  // namespace

absl::StatusOr<DistilledModel> Distill(const Embedder& teacher, absl::Span<const std::string> texts,
                                       const DistillationOptions& options,
                                       absl::FunctionRef<bool(uint64_t, uint64_t)> keep_on) {
  const TokenLists lists = Tokenize(teacher, texts, options);
  if (absl::Status s = Check(teacher, lists.size(), options); !s.ok()) return s;
  auto taught = Teach(teacher, lists, options, keep_on);
  if (!taught.ok()) return taught.status();

  const std::vector<TokenKind> kinds = KindsOfTokens(teacher.tokenizer());
  const absl::Span<const float> vectors = *taught;
  const size_t split = lists.size() * teacher.dim();
  auto space =
      MakeTargets(vectors.subspan(0, split), vectors.subspan(split), kinds, teacher.dim(), options);
  if (!space.ok()) return space.status();
  const uint64_t all = lists.size() + kinds.size();
  if (!keep_on(all, all)) return absl::CancelledError("interrupted");
  taught->clear();
  taught->shrink_to_fit();

  const std::vector<absl::Span<const uint32_t>> spans(lists.begin(), lists.end());
  constexpr uint32_t kNoToken = std::numeric_limits<uint32_t>::max();
  const SparseMatrix means =
      MeanMatrix(spans, kinds.size(), teacher.tokenizer().unknown_id().value_or(kNoToken));
  FitScale(means, space->texts, options.threads, options.dims, &space->tokens);
  const RidgeOptions ridge = {
      .ridge = options.ridge, .iterations = options.iterations, .threads = options.threads};
  const std::vector<float> fitted =
      RidgeFit(means, space->texts, std::move(space->tokens), options.dims, ridge);
  if (!keep_on(all, all)) return absl::CancelledError("interrupted");

  DistilledModel model;
  model.dims = options.dims;
  model.texts = lists.size();
  for (const std::vector<uint32_t>& list : lists) model.tokens += list.size();
  model.explained = Explained(means, space->texts, fitted, options.dims, options.threads);
  Quantize(fitted, kinds, options, &model);
  return model;
}

}  // namespace cairn::engine
