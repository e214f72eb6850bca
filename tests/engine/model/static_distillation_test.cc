#include "engine/model/static_distillation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/model/static_embedder.h"
#include "engine/model/static_model_files.h"
#include "tests/engine/model/embed_one.h"
#include "tests/support/fake_teacher.h"

namespace cairn::engine {
namespace {

using cairn::testing::FakeTeacher;
using cairn::testing::RandomTexts;
using testing::EmbedOne;
using ::testing::HasSubstr;

constexpr size_t kWords = 80, kDim = 12;

bool Go(uint64_t, uint64_t) { return true; }

// No weights, little pull: what is left is the regression.
DistillationOptions Plain() {
  DistillationOptions options;
  options.dims = kDim;
  options.ridge = 1e-3f;
  options.iterations = 60;
  options.whitening = 0;
  options.sif = 1e9;
  return options;
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

absl::StatusOr<std::unique_ptr<StaticEmbedder>> Student(const DistilledModel& model,
                                                        const FakeTeacher& teacher) {
  return StaticEmbedder::Create({StaticConfigJson(model, {}), StaticSafetensors(model),
                                 UncutTokenizerJson(teacher.tokenizer_json())});
}

std::vector<float> TeachersVector(const FakeTeacher& teacher, const std::string& text) {
  std::vector<chunking::Token> tokens;
  teacher.tokenizer().Encode(text, &tokens);
  std::vector<uint32_t> ids;
  for (const chunking::Token& token : tokens) ids.push_back(token.id);
  std::vector<float> vector(kDim);
  EXPECT_TRUE(
      teacher.EmbedTokens(TextKind::kPassage, {absl::MakeConstSpan(ids)}, absl::MakeSpan(vector))
          .ok());
  return vector;
}

// Text vectors less their mean, because the student's are: a mean of token vectors has no place for
// what all texts share.
TEST(Distillation, ALinearTeacherIsRecovered) {
  const FakeTeacher teacher(kWords, kDim);
  const auto model = Distill(teacher, RandomTexts(4'000, kWords, 1), Plain(), Go);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->texts, 4'000u);
  EXPECT_GT(model->explained, 0.99);
  const auto student = Student(*model, teacher);
  ASSERT_TRUE(student.ok()) << student.status();

  const std::vector<std::string> unseen = RandomTexts(300, kWords, 2);
  std::vector<std::vector<float>> taught;
  std::vector<float> mean(kDim);
  for (const std::string& text : unseen) {
    taught.push_back(TeachersVector(teacher, text));
    for (size_t d = 0; d < kDim; ++d) mean[d] += taught.back()[d] / 300;
  }
  // The student's axes are the teacher's turned, so cosines between texts are compared.
  std::vector<float> student_cosines, teacher_cosines;
  for (std::vector<float>& vector : taught) {
    for (size_t d = 0; d < kDim; ++d) vector[d] -= mean[d];
  }
  for (size_t i = 0; i + 1 < unseen.size(); ++i) {
    teacher_cosines.push_back(static_cast<float>(Cosine(taught[i], taught[i + 1])));
    student_cosines.push_back(static_cast<float>(
        Cosine(EmbedOne(**student, unseen[i]), EmbedOne(**student, unseen[i + 1]))));
  }
  EXPECT_GT(Cosine(student_cosines, teacher_cosines), 0.99);
}

TEST(Distillation, FewerDimensionsKeepTheLargestComponents) {
  const FakeTeacher teacher(kWords, kDim);
  DistillationOptions options = Plain();
  options.dims = 4;
  const auto model = Distill(teacher, RandomTexts(2'000, kWords, 1), options, Go);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->rows.size(), (kWords + 1) * 4);
  EXPECT_GT(model->explained, 0.99);
}

TEST(Distillation, IsTheSameBytesForAnyNumberOfThreads) {
  const FakeTeacher teacher(kWords, kDim);
  const std::vector<std::string> texts = RandomTexts(1'500, kWords, 1);
  DistillationOptions options;
  options.dims = 8;
  options.threads = 1;
  const auto one = Distill(teacher, texts, options, Go);
  options.threads = 6;
  const auto six = Distill(teacher, texts, options, Go);
  ASSERT_TRUE(one.ok() && six.ok());
  EXPECT_EQ(one->rows, six->rows);
  EXPECT_EQ(one->weights, six->weights);
}

TEST(Distillation, FrequentTokensWeighLessAndTheUnknownOneNothing) {
  const FakeTeacher teacher(kWords, kDim);
  DistillationOptions options = Plain();
  options.sif = 1e-3;
  const auto model = Distill(teacher, RandomTexts(2'000, kWords, 1), options, Go);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto length = [&](size_t token) {
    double squares = 0;
    for (size_t d = 0; d < kDim; ++d) {
      const double x = double{model->weights[token]} * model->rows[token * kDim + d];
      squares += x * x;
    }
    return std::sqrt(squares);
  };
  EXPECT_EQ(length(0), 0);
  EXPECT_LT(length(1) * 5, length(kWords));
}

TEST(Distillation, TextsWithoutKnownTokensAreLeftOut) {
  const FakeTeacher teacher(kWords, kDim);
  std::vector<std::string> texts = RandomTexts(200, kWords, 1);
  texts.insert(texts.begin(), {"", "strange words", "w1 strange"});
  const auto model = Distill(teacher, texts, Plain(), Go);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->texts, 201u);
}

TEST(Distillation, LongTextsAreCut) {
  const FakeTeacher teacher(kWords, kDim);
  DistillationOptions options = Plain();
  options.max_text_tokens = 3;
  const auto model = Distill(teacher, RandomTexts(200, kWords, 1), options, Go);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->tokens, 600u);
}

TEST(Distillation, SaysWhatIsWrong) {
  const FakeTeacher teacher(kWords, kDim);
  const auto error = [&](const std::vector<std::string>& texts, size_t dims) {
    DistillationOptions options = Plain();
    options.dims = dims;
    const absl::Status status = Distill(teacher, texts, options, Go).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  const std::vector<std::string> texts = RandomTexts(200, kWords, 1);
  EXPECT_THAT(error(texts, 13), HasSubstr("13 dimensions asked for, but the encoder has 12"));
  EXPECT_THAT(error(texts, 0), HasSubstr("0 dimensions"));
  EXPECT_THAT(error({}, 2), HasSubstr("too few texts: 0"));
  EXPECT_THAT(error(RandomTexts(12, kWords, 1), 12), HasSubstr("too few texts: 12"));
  EXPECT_THAT(error(std::vector<std::string>(50, "w1 w2"), 2),
              HasSubstr("fewer than 2 dimensions"));
}

TEST(Distillation, StopsWhenItIsTold) {
  const FakeTeacher teacher(kWords, kDim);
  const auto never = [](uint64_t, uint64_t) { return false; };
  EXPECT_TRUE(
      absl::IsCancelled(Distill(teacher, RandomTexts(600, kWords, 1), Plain(), never).status()));
  EXPECT_LT(teacher.embedded(), 600u);
}

TEST(Distillation, TakesEncodersOnly) {
  const auto model = StaticEmbedder::Default();
  ASSERT_TRUE(model.ok());
  DistillationOptions options;
  options.dims = 2;
  const absl::Status status =
      Distill(**model, {"one text", "another one", "the third"}, options, Go).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("only an encoder"));
}

}  // namespace
}  // namespace cairn::engine
