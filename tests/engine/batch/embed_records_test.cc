#include "engine/batch/embed_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/support/fake_models.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeEmbedder;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Json = nlohmann::json;

class EmbedRecordsTest : public ::testing::Test {
 protected:
  absl::Status Run(const std::string& input, const EmbedRecordsOptions& options = {}) {
    std::ostringstream out;
    const std::unique_ptr<chunking::ByteSource> source = chunking::FromMemory(input);
    const absl::Status s = EmbedRecords(embedder_, *source, "in.jsonl", out, options, &report_);
    out_ = out.str();
    return s;
  }

  std::vector<float> VectorOf(const std::string& text) const {
    std::vector<float> vector(embedder_.dim());
    const std::string_view view = text;
    EXPECT_TRUE(embedder_.Embed(TextKind::kPassage, {view}, absl::MakeSpan(vector)).ok());
    return vector;
  }

  std::vector<Json> Lines() const {
    std::vector<Json> lines;
    std::istringstream in(out_);
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  FakeEmbedder embedder_;
  BatchReport report_;
  std::string out_;
};

TEST_F(EmbedRecordsTest, EveryLineGetsItsVectorInInputOrder) {
  std::mt19937 random(5);
  std::string input;
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) {
    std::string text = "word" + std::to_string(i);
    for (uint32_t n = random() % 40; n > 0; --n) text += " more" + std::to_string(random() % 9);
    input += Json({{"_id", "d" + std::to_string(i)}, {"text", text}}).dump() + "\n";
    texts.push_back(std::move(text));
  }
  for (const int threads : {1, 3}) {
    for (const size_t window : {1, 7, 1000}) {
      EmbedRecordsOptions options;
      options.threads = threads;
      options.window = window;
      ASSERT_TRUE(Run(input, options).ok());
      const std::vector<Json> lines = Lines();
      ASSERT_THAT(lines, SizeIs(500));
      for (size_t i = 0; i < lines.size(); ++i) {
        EXPECT_EQ(lines[i]["id"], "d" + std::to_string(i));
        ASSERT_EQ(lines[i]["vector"].get<std::vector<float>>(), VectorOf(texts[i]));
      }
    }
  }
  EXPECT_EQ(report_.records, 500u);
  EXPECT_EQ(report_.bytes, input.size());
}

TEST_F(EmbedRecordsTest, TitlesComeBeforeTextsAndIdsMayBeNumbers) {
  ASSERT_TRUE(Run("\xEF\xBB\xBF{\"id\": 7, \"title\": \"Alpha\", \"text\": \"beta\"}\r\n"
                  "\n{\"id\": \"x\", \"title\": null, \"text\": \"\", \"extra\": {\"a\": 1}}")
                  .ok());
  const std::vector<Json> lines = Lines();
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0]["id"], "7");
  EXPECT_EQ(lines[0]["vector"].get<std::vector<float>>(), VectorOf("Alpha\nbeta"));
  EXPECT_EQ(lines[1]["vector"].get<std::vector<float>>(), std::vector<float>(16, 0.0f));
}

TEST_F(EmbedRecordsTest, Float32RowsAreTheSameVectors) {
  EmbedRecordsOptions options;
  options.format = VectorFormat::kF32;
  ASSERT_TRUE(
      Run("{\"id\": \"a\", \"text\": \"one\"}\n{\"id\": \"b\", \"text\": \"two\"}\n", options)
          .ok());
  ASSERT_EQ(out_.size(), 2 * 16 * sizeof(float));
  std::vector<float> rows(32);
  std::memcpy(rows.data(), out_.data(), out_.size());
  std::vector<float> expected = VectorOf("one");
  const std::vector<float> two = VectorOf("two");
  expected.insert(expected.end(), two.begin(), two.end());
  EXPECT_EQ(rows, expected);
}

TEST_F(EmbedRecordsTest, ABadLineIsNamedAndWhatCameBeforeIsWritten) {
  const std::string good = "{\"id\": \"a\", \"text\": \"one\"}\n";
  for (const auto& [line, reason] : std::vector<std::pair<std::string, std::string>>{
           {"{\"id\": \"b\"", "JSON"},
           {"[1]", ""},
           {"{\"text\": \"x\"}", "\"id\""},
           {"{\"id\": \"b\"}", "no \"text\""},
           {"{\"id\": \"b\", \"text\": 4}", "\"text\" is not a string"},
           {"{\"id\": [], \"text\": \"x\"}", "\"id\" is not a string"},
           {"{\"id\": \"b\", \"text\": \"\xff\"}", ""}}) {
    const absl::Status s = Run(good + line + "\n" + good);
    EXPECT_TRUE(absl::IsInvalidArgument(s)) << line;
    EXPECT_THAT(s.message(), HasSubstr("in.jsonl:2: "));
    EXPECT_THAT(s.message(), HasSubstr(reason));
    EXPECT_EQ(report_.records, 1u);
    EXPECT_THAT(Lines(), SizeIs(1));
    EmbedRecordsOptions options;
    options.skip_bad = true;
    EXPECT_TRUE(Run(good + line + "\n" + good, options).ok()) << line;
    EXPECT_EQ(report_.records, 2u);
    EXPECT_EQ(report_.skipped, 1u);
  }
}

TEST_F(EmbedRecordsTest, AModelsErrorIsPassedOn) {
  embedder_.poison = "poison";
  const absl::Status s = Run("{\"id\": \"a\", \"text\": \"some poison\"}\n");
  EXPECT_TRUE(absl::IsInternal(s));
}

TEST_F(EmbedRecordsTest, AnOutputThatFailsIsAnError) {
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  const std::unique_ptr<chunking::ByteSource> source =
      chunking::FromMemory("{\"id\": \"a\", \"text\": \"x\"}\n");
  EXPECT_TRUE(absl::IsDataLoss(EmbedRecords(embedder_, *source, "in", out, {}, &report_)));
}

}  // namespace
}  // namespace cairn::engine
