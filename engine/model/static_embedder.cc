#include "engine/model/static_embedder.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/default_model.h"
#include "engine/model/model_config.h"
#include "engine/model/model_file.h"
#include "engine/model/safetensors.h"
#include "engine/model/token_vectors.h"

namespace cairn::engine {
namespace {

constexpr char kConfigName[] = "config.json";
constexpr char kSafetensorsName[] = "model.safetensors";
constexpr char kTokenizerName[] = "tokenizer.json";

constexpr uint64_t kMaxStaticConfigBytes = 1 << 20;
constexpr uint64_t kMaxSafetensorsBytes = uint64_t{2} << 30;

// Part of every fingerprint: changed when the same files come to give other vectors.
constexpr std::string_view kStaticFormatTag = "cairn static embedder 1";

absl::Status Annotate(absl::string_view prefix, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(prefix, status.message()));
}

// Hash of the tag and of the files' lengths and hashes, so that no byte can move from one file to
// the next unseen.
std::string Fingerprint(const StaticModelFiles& files) {
  std::string summary(kStaticFormatTag);
  for (std::string_view file : {files.config_json, files.safetensors, files.tokenizer_json}) {
    const XXH128_hash_t hash = XXH3_128bits(file.data(), file.size());
    absl::StrAppend(&summary, "/", file.size(), ":", absl::Hex(hash.high64, absl::kZeroPad16),
                    absl::Hex(hash.low64, absl::kZeroPad16));
  }
  const XXH128_hash_t hash = XXH3_128bits(summary.data(), summary.size());
  return absl::StrCat(absl::Hex(hash.high64, absl::kZeroPad16),
                      absl::Hex(hash.low64, absl::kZeroPad16));
}

class StaticEmbedderImpl : public StaticEmbedder {
 public:
  // `file` owns the bytes `vectors` refer to; empty where they need no owner.
  StaticEmbedderImpl(TokenVectors vectors, FileBytes file,
                     std::unique_ptr<chunking::Tokenizer> tokenizer, FusionAdvice fusion,
                     std::string fingerprint)
      : vectors_(std::move(vectors)),
        file_(std::move(file)),
        tokenizer_(std::move(tokenizer)),
        unknown_id_(tokenizer_->unknown_id()),
        fusion_(fusion),
        fingerprint_(std::move(fingerprint)) {}

  size_t dim() const override { return vectors_.dim(); }
  const chunking::Tokenizer& tokenizer() const override { return *tokenizer_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  const FusionAdvice& fusion() const override { return fusion_; }

  size_t max_tokens() const override { return 0; }

  absl::Status Embed(TextKind, absl::Span<const std::string_view> texts,
                     absl::Span<float> out) const override {
    if (out.size() != texts.size() * dim()) {
      return absl::InvalidArgumentError(absl::StrCat("room for ", out.size(), " floats given to ",
                                                     texts.size(), " vectors of ", dim()));
    }
    Work work;
    work.block.resize(dim());
    work.sum.resize(dim());
    for (size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].size() > std::numeric_limits<uint32_t>::max()) {
        return absl::InvalidArgumentError(absl::StrCat("text ", i, " is 4 GiB or longer"));
      }
      EmbedOne(texts[i], &work, out.data() + i * dim());
    }
    return absl::OkStatus();
  }

 private:
  // Memory that one call uses for all its texts.
  struct Work {
    std::vector<chunking::Token> tokens;
    std::vector<float> block;  // [dim]
    std::vector<double> sum;   // [dim]
  };

  // Tokens summed in float32 before the result goes into a double: keeps long texts exact enough.
  static constexpr size_t kBlock = 256;

  void EmbedOne(std::string_view text, Work* work, float* out) const {
    work->tokens.clear();
    tokenizer_->Encode(text, &work->tokens);
    std::fill(work->sum.begin(), work->sum.end(), 0.0);

    std::array<uint32_t, kBlock> rows;
    std::array<float, kBlock> weights;
    size_t pending = 0;
    for (const chunking::Token& token : work->tokens) {
      // The second condition guards against a tokenizer that breaks its own promise.
      if (token.id == unknown_id_ || token.id >= vectors_.tokens()) continue;
      rows[pending] = vectors_.token(token.id).row;
      weights[pending] = vectors_.token(token.id).weight;
      if (++pending == kBlock) {
        AddBlock(rows.data(), weights.data(), pending, work);
        pending = 0;
      }
    }
    AddBlock(rows.data(), weights.data(), pending, work);
    Normalize(work->sum, out);
  }

  void AddBlock(const uint32_t* rows, const float* weights, size_t count, Work* work) const {
    if (count == 0) return;
    std::fill(work->block.begin(), work->block.end(), 0.0f);
    vectors_.Accumulate(rows, weights, count, work->block.data());
    for (size_t d = 0; d < work->sum.size(); ++d) work->sum[d] += work->block[d];
  }

  // The mean's direction is the sum's. Zero stays zero.
  static void Normalize(const std::vector<double>& sum, float* out) {
    double squares = 0;
    for (double x : sum) squares += x * x;
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (size_t d = 0; d < sum.size(); ++d) out[d] = static_cast<float>(sum[d] * scale);
  }

  const TokenVectors vectors_;
  const FileBytes file_;
  const std::unique_ptr<chunking::Tokenizer> tokenizer_;
  const std::optional<uint32_t> unknown_id_;
  const FusionAdvice fusion_;
  const std::string fingerprint_;
};

// `bytes_stay` promises that files.safetensors outlives the result, which takes over `owner`.
absl::StatusOr<std::unique_ptr<StaticEmbedder>> Build(const StaticModelFiles& files,
                                                      bool bytes_stay, FileBytes owner) {
  const auto fusion = ParseFusionAdvice(files.config_json);
  if (!fusion.ok()) return Annotate(absl::StrCat(kConfigName, ": "), fusion.status());

  const std::string in_safetensors = absl::StrCat(kSafetensorsName, ": ");
  const auto tensors = SafeTensors::Parse(files.safetensors);
  if (!tensors.ok()) return Annotate(in_safetensors, tensors.status());
  auto vectors = TokenVectors::Create(*tensors, bytes_stay);
  if (!vectors.ok()) return Annotate(in_safetensors, vectors.status());

  auto tokenizer = chunking::LoadTokenizerJson(files.tokenizer_json);
  if (!tokenizer.ok()) return Annotate(absl::StrCat(kTokenizerName, ": "), tokenizer.status());
  if ((*tokenizer)->vocabulary_size() > vectors->tokens()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kTokenizerName, ": ", (*tokenizer)->vocabulary_size(), " token ids, but ",
                     kSafetensorsName, " has vectors for ", vectors->tokens()));
  }
  return std::make_unique<StaticEmbedderImpl>(*std::move(vectors), std::move(owner),
                                              *std::move(tokenizer), *fusion, Fingerprint(files));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StaticEmbedder>> StaticEmbedder::Create(
    const StaticModelFiles& files) {
  return Build(files, /*bytes_stay=*/false, {});
}

absl::StatusOr<std::unique_ptr<StaticEmbedder>> StaticEmbedder::Load(const std::string& directory) {
  const std::string prefix = absl::StrCat(directory, "/");
  auto config = ReadModelFile(prefix + kConfigName, kMaxStaticConfigBytes);
  if (!config.ok()) return config.status();
  auto tokenizer = ReadModelFile(prefix + kTokenizerName, kMaxTokenizerBytes);
  if (!tokenizer.ok()) return tokenizer.status();
  auto safetensors = ReadModelFile(prefix + kSafetensorsName, kMaxSafetensorsBytes);
  if (!safetensors.ok()) return safetensors.status();

  const StaticModelFiles files = {config->view(), safetensors->view(), tokenizer->view()};
  auto result = Build(files, /*bytes_stay=*/true, *std::move(safetensors));
  if (!result.ok()) return Annotate(prefix, result.status());
  return result;
}

absl::StatusOr<std::unique_ptr<StaticEmbedder>> StaticEmbedder::Default() {
  return Build(DefaultModelFiles(), /*bytes_stay=*/true, {});
}

}  // namespace cairn::engine
