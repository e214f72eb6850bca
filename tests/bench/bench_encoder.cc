// Embedding and reranking with encoders of real shapes and made-up weights.
//
//   bench_encoder [DIRECTORY [ROUNDS]]
//
// Embeds 64 passages of 256 tokens (all-MiniLM-L6-v2's shape), and reranks 100 passages of 128
// tokens for a query (the shapes of TinyBERT-L-2 and MiniLM-L-6 cross-encoders), in each
// arithmetic, with one thread for each core. Prints medians of ROUNDS, one line each: name, value.
// The models and texts are left in DIRECTORY, where compare_encoders.py gives them to others.
//
// "limit" is what the products with weights alone would take at the rate of the CPU's widest
// multiply-adds (cpu_limits.h), measured in the same run.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/model/cross_encoder.h"
#include "engine/model/encoder_embedder.h"
#include "kernels/thread_team.h"
#include "tests/bench/cpu_limits.h"
#include "tests/engine/model/model_builder.h"
#include "tests/support/encoder_directory.h"

namespace {

using namespace cairn::engine;
using cairn::kernels::ComputeType;

constexpr size_t kVocabulary = 30522;

struct Shape {
  const char* name;
  size_t layers, hidden, intermediate, heads;
  bool reranker;
  // Multiply-adds with weights for one token.
  double Products() const {
    return static_cast<double>(layers) * (4.0 * static_cast<double>(hidden * hidden) +
                                          2.0 * static_cast<double>(hidden * intermediate));
  }
};
constexpr Shape kEmbedder = {"minilm-l6", 6, 384, 1536, 12, false};
constexpr Shape kTinyReranker = {"tinybert-l2-reranker", 2, 128, 512, 2, true};
constexpr Shape kReranker = {"minilm-l6-reranker", 6, 384, 1536, 12, true};

std::vector<std::string> Words() {
  std::vector<std::string> words = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  while (words.size() < kVocabulary) words.push_back(absl::StrCat("w", words.size()));
  return words;
}

std::string Text(size_t words, size_t salt) {
  std::string text;
  for (size_t i = 0; i < words; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : " ", "w",
                    4 + (i * 7919 + salt * 104729) % (kVocabulary - 4));
  }
  return text;
}

std::string WriteModel(const std::string& directory, const Shape& shape) {
  const std::string path = absl::StrCat(directory, "/", shape.name);
  std::filesystem::create_directories(path);
  const std::string config = absl::StrCat(
      R"({"model_type":"bert","architectures":[")",
      shape.reranker ? "BertForSequenceClassification" : "BertModel", R"("],"num_hidden_layers":)",
      shape.layers, R"(,"hidden_size":)", shape.hidden, R"(,"intermediate_size":)",
      shape.intermediate, R"(,"num_attention_heads":)", shape.heads, R"(,"vocab_size":)",
      kVocabulary, R"(,"max_position_embeddings":512,"type_vocab_size":2,"hidden_act":"gelu",)",
      R"("layer_norm_eps":1e-12,"id2label":{"0":"LABEL_0"}})");
  std::ofstream(path + "/config.json") << config;
  std::ofstream(path + "/tokenizer.json") << cairn::testing::EncoderTokenizerJson(Words());
  cairn::testing::EncoderReference reference;
  for (const EncoderTensor& tensor : TensorsOf(*ParseEncoderConfig(config))) {
    reference.tensors.emplace_back(tensor.name, tensor.shape);
  }
  std::ofstream(path + "/model.safetensors", std::ios::binary)
      << cairn::testing::EncoderWeights(reference, shape.reranker ? "bert." : "");
  return path;
}

double MedianSeconds(int rounds, const std::function<void()>& run) {
  std::vector<double> seconds;
  for (int round = 0; round <= rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const double taken =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round > 0) seconds.push_back(taken);  // The first one warms up.
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

// Multiply-adds per second of all threads together; 0 without instructions for `compute`.
double PeakRate(ComputeType compute, size_t threads) {
  const double operations =
      cairn::bench::BurnedOperations(compute, cairn::kernels::ActiveIsa()) / 2;
  cairn::kernels::ThreadTeam team(threads);
  double least = 1e9;
  for (int burst = 0; burst < 100; ++burst) {
    const auto start = std::chrono::steady_clock::now();
    team.Run([&](size_t) { cairn::bench::BurnOperations(compute, cairn::kernels::ActiveIsa()); });
    least = std::min(
        least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return operations * static_cast<double>(threads) / least;
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  std::exit(1);
}

void BenchEmbedding(const std::string& path, ComputeType compute, const char* name, size_t threads,
                    int rounds) {
  constexpr size_t kTexts = 64, kTokens = 256;
  EncoderOptions options;
  options.compute = compute;
  const auto embedder = OpenEncoderEmbedder(path, options);
  Check(embedder.status());
  std::vector<std::string> texts;
  for (size_t i = 0; i < kTexts; ++i) texts.push_back(Text(kTokens - 2, i));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const size_t dim = (*embedder)->dim();
  std::vector<float> out(kTexts * dim);
  const double seconds = MedianSeconds(rounds, [&] {
    std::vector<std::thread> workers;
    for (size_t t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        const size_t begin = kTexts * t / threads, end = kTexts * (t + 1) / threads;
        Check((*embedder)->Embed(TextKind::kPassage,
                                 absl::MakeConstSpan(views).subspan(begin, end - begin),
                                 absl::MakeSpan(out).subspan(begin * dim, (end - begin) * dim)));
      });
    }
    for (std::thread& worker : workers) worker.join();
  });
  std::printf("embed %s %s chunks/s %.1f\n", kEmbedder.name, name, kTexts / seconds);
  const double limit = PeakRate(compute, threads) / (kEmbedder.Products() * kTokens);
  if (limit > 0) {
    std::printf("embed %s %s of_limit %.3f\n", kEmbedder.name, name, kTexts / seconds / limit);
  }
}

void BenchReranking(const std::string& path, const Shape& shape, ComputeType compute,
                    const char* name, int rounds) {
  constexpr size_t kPassages = 100, kTokens = 128, kQueryWords = 8;
  CrossEncoderOptions options;
  options.encoder.compute = compute;
  const auto reranker = OpenCrossEncoder(path, options);
  Check(reranker.status());
  std::vector<std::string> texts;
  for (size_t i = 0; i < kPassages; ++i) texts.push_back(Text(kTokens - kQueryWords - 3, i));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> scores(kPassages);
  const std::string query = Text(kQueryWords, 12345);
  const double seconds = MedianSeconds(
      rounds, [&] { Check((*reranker)->Score(query, views, absl::MakeSpan(scores))); });
  std::printf("rerank %s %s ms %.1f\n", shape.name, name, 1e3 * seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory = argc > 1 ? argv[1] : "encoder-models";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  constexpr std::pair<ComputeType, const char*> kComputes[] = {
      {ComputeType::kBF16, "bf16"}, {ComputeType::kI8, "int8"}, {ComputeType::kF32, "f32"}};
  const std::string embedder = WriteModel(directory, kEmbedder);
  const std::string tiny = WriteModel(directory, kTinyReranker);
  const std::string reranker = WriteModel(directory, kReranker);
  for (const auto& [compute, name] : kComputes) {
    BenchEmbedding(embedder, compute, name, threads, rounds);
    BenchReranking(tiny, kTinyReranker, compute, name, rounds);
    BenchReranking(reranker, kReranker, compute, name, rounds);
  }
  return 0;
}
