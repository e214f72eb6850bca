#include "engine/kv/reader_questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kGood =
    R"({"kind":"inside","setting":"retrieved","documents":[["ab","c"],["de"]],)"
    R"("context":[[1,0],[0,1]],"gold":[[0,1]],"preface":"P","question":"Q:","answer":"x"})";

class ReaderQuestionsTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<ReaderQuestion>> Read(const std::string& text) {
    return ReadReaderQuestions(directory_.Write("q.jsonl", text), tokenizer_);
  }
  void Fails(const std::string& line, const char* message) {
    const auto read = Read(std::string(kGood) + "\n\n" + line + "\n");
    EXPECT_TRUE(absl::IsInvalidArgument(read.status())) << read.status();
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("q.jsonl:3: "));
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(message));
  }
  // kGood with one part replaced.
  static std::string But(const std::string& part, const std::string& by) {
    std::string line = kGood;
    const size_t at = line.find(part);
    EXPECT_NE(at, std::string::npos) << part;
    return line.replace(at, part.size(), by);
  }

  const cairn::testing::TempDir directory_;
  const cairn::testing::ByteTokenizer tokenizer_;
};

TEST_F(ReaderQuestionsTest, PartsAreTokenisedOneByOne) {
  const auto read = Read(std::string(kGood) + "\n" + But("\"gold\":[[0,1]],", "") + "\r\n\n");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 2u);
  const ReaderQuestion& question = read->front();
  EXPECT_EQ(question.kind, "inside");
  EXPECT_EQ(question.setting, "retrieved");
  ASSERT_EQ(question.documents.size(), 2u);
  // Numbered as the context has them.
  EXPECT_THAT(question.documents[0], ElementsAre(ElementsAre('d', 'e')));
  EXPECT_THAT(question.documents[1], ElementsAre(ElementsAre('a', 'b'), ElementsAre('c')));
  EXPECT_THAT(question.context, ElementsAre(ChunkPlace{0, 0}, ChunkPlace{1, 1}));
  EXPECT_EQ(question.preface.back(), uint32_t{'P'});
  EXPECT_THAT(question.question, ElementsAre('Q', ':'));
  EXPECT_EQ(question.answer, uint32_t{'x'});
  EXPECT_EQ(question.context_tokens(), 3u);
  EXPECT_EQ(question.prompt_tokens(), question.preface.size() + 5);
}

TEST_F(ReaderQuestionsTest, QuestionsShareDocuments) {
  const std::string question = But("\"documents\":[[\"ab\",\"c\"],[\"de\"]],", "");
  const auto read = Read(R"({"document":1,"chunks":["xy"]})"
                         "\n"
                         R"({"document":0,"chunks":["t","uv"]})"
                         "\n" +
                         question + "\n" + kGood + "\n" + question);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 3u);
  for (size_t q : {0, 2}) {
    EXPECT_THAT((*read)[q].documents[0], ElementsAre(ElementsAre('x', 'y')));
    EXPECT_THAT((*read)[q].documents[1], ElementsAre(ElementsAre('t'), ElementsAre('u', 'v')));
  }
  EXPECT_THAT((*read)[1].documents[0], ElementsAre(ElementsAre('d', 'e')));
  Fails(R"({"document":1})", "\"chunks\" is missing");
  Fails(R"({"document":"1","chunks":["a"]})", "\"document\" is no number");
  Fails(question, "chunk 1 of document 0");
  const auto twice = Read(R"({"document":1,"chunks":["x"]})"
                          "\n"
                          R"({"document":1,"chunks":["x"]})");
  EXPECT_THAT(std::string(twice.status().message()), HasSubstr("q.jsonl:2: there is a document 1"));
}

TEST_F(ReaderQuestionsTest, BadLinesAreNamed) {
  Fails("nonsense", "");
  Fails("[]", "");
  Fails(But("\"kind\"", "\"sort\""), "\"kind\" is missing");
  Fails(But("\"inside\"", "7"), "\"kind\" is no text");
  Fails(But("[\"de\"]", "\"de\""), "no list of texts");
  Fails(But("[\"de\"]", "[1]"), "no list of texts");
  Fails(But("\"de\"", "\"\""), "a chunk is empty");
  Fails(But("[1,0]", "[2,0]"), "chunk 0 of document 2");
  Fails(But("[1,0]", "[1,1]"), "chunk 1 of document 1");
  Fails(But("[1,0]", "[-1,0]"), "no list of [document, chunk]");
  Fails(But("[1,0]", "1"), "no list of [document, chunk]");
  Fails(But("\"gold\":[[0,1]]", "\"gold\":[[0,9]]"), "\"gold\" names chunk 9");
  Fails(But("\"Q:\"", "\"\""), "the question is empty");
  Fails(But("\"x\"", "\"xy\""), "is 2 tokens, not one");
}

TEST_F(ReaderQuestionsTest, FilesWithoutQuestionsAreRefused) {
  const auto empty = Read("\n \n");
  EXPECT_TRUE(absl::IsInvalidArgument(empty.status()));
  EXPECT_THAT(std::string(empty.status().message()), HasSubstr("no questions"));
  EXPECT_TRUE(
      absl::IsNotFound(ReadReaderQuestions(directory_.file("none.jsonl"), tokenizer_).status()));
  EXPECT_FALSE(ReadReaderQuestions(directory_.path(), tokenizer_).ok());
}

}  // namespace
}  // namespace cairn::engine
