// A trained reader: what its answers are from caches of each source. tests/reader/README.md has the
// figures on all questions.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "engine/kv/reader_benchmark.h"
#include "engine/kv/reader_questions.h"
#include "engine/kv/reuse_gates.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"

namespace cairn::engine {
namespace {

constexpr char kModel[] = CAIRN_SOURCE_DIR "/tests/data/reader.gguf";
constexpr char kQuestions[] = CAIRN_SOURCE_DIR "/tests/data/reader_questions.jsonl";

DecoderOptions Exact() {
  DecoderOptions options;
  options.compute = kernels::ComputeType::kF32;
  options.kv_type = kernels::KvType::kF32;
  return options;
}

TEST(ReaderModel, ItsGatesHold) {
  const auto checkpoint = Checkpoint::Open(kModel);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto decoder = Decoder::Create(**checkpoint, Exact());
  ASSERT_TRUE(decoder.ok()) << decoder.status();
  const auto report = RunReuseGates(decoder->get());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->Summary(), "ok");
}

TEST(ReaderModel, DocumentsAreWorthMoreThanTheRetrievedTextReadAnew) {
  const auto checkpoint = Checkpoint::Open(kModel);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto tokenizer = (*checkpoint)->LoadTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto questions = ReadReaderQuestions(kQuestions, **tokenizer);
  ASSERT_TRUE(questions.ok()) << questions.status();
  ReaderBenchmarkOptions options;
  options.decoder = Exact();
  options.arms = ReaderArmSet::kFew;
  options.limit = 70;
  const auto result = BenchmarkReader(**checkpoint, *questions, options);
  ASSERT_TRUE(result.ok()) << result.status();
  const auto exact = [&](const char* arm, const char* setting, const char* kind) {
    const ReaderScore* score = result->Find(arm, setting, kind);
    EXPECT_NE(score, nullptr) << arm;
    return score == nullptr ? 0 : score->exact_match;
  };
  // Whole documents of eight chunks and more, in order.
  EXPECT_GE(exact("full prefill", "in_order", ""), 0.85);
  EXPECT_LE(exact("isolated/reposition", "in_order", ""),
            exact("full prefill", "in_order", "") - 0.15);
  EXPECT_GE(exact("document/reposition", "in_order", ""), 0.85);
  // A chunk that answers among chunks of other documents.
  EXPECT_GE(exact("document/reposition", "retrieved", "earlier"),
            exact("full prefill", "retrieved", "earlier") + 0.20);
  EXPECT_GE(exact("document/reposition", "retrieved", "inside"),
            exact("full prefill", "retrieved", "inside") - 0.02);
}

}  // namespace
}  // namespace cairn::engine
