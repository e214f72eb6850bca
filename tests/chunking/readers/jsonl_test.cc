// Reading JSONL through chunking/readers/reader.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "chunking/readers/reader.h"
#include "tests/support/document_recorder.h"
#include "tests/support/shared_data.h"

namespace cairn::chunking {
namespace {

using ::cairn::testing::BlockTexts;
using ::cairn::testing::DocumentRecorder;
using ::cairn::testing::ReadAs;
using ::cairn::testing::ReadIssueOf;
using ::cairn::testing::ReadOne;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// `prefix`, then `bytes` times 'x', then `suffix`, never in memory at once.
class LongLine : public ByteSource {
 public:
  LongLine(std::string prefix, uint64_t bytes, std::string suffix)
      : prefix_(std::move(prefix)), left_(bytes), suffix_(std::move(suffix)) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (!prefix_.empty()) return Take(&prefix_, buffer);
    if (left_ == 0) return Take(&suffix_, buffer);
    largest_read_ = std::max(largest_read_, buffer.size());
    const size_t n = std::min<uint64_t>(left_, buffer.size());
    std::memset(buffer.data(), 'x', n);
    left_ -= n;
    return n;
  }
  size_t largest_read() const { return largest_read_; }

 private:
  static size_t Take(std::string* from, absl::Span<char> buffer) {
    const size_t n = std::min(from->size(), buffer.size());
    std::memcpy(buffer.data(), from->data(), n);
    from->erase(0, n);
    return n;
  }

  std::string prefix_;
  uint64_t left_;
  std::string suffix_;
  size_t largest_read_ = 0;
};

TEST(Jsonl, ReadsTheBeirLayout) {
  const Document document = ReadOne(
      "corpus.jsonl",
      R"({"_id": "d1", "title": " A\n title ", "text": "One.\n\nTwo.", "metadata": {"year": 1999}})");
  EXPECT_EQ(document.id, "d1");
  EXPECT_EQ(document.title, "A title");
  EXPECT_EQ(document.text, "One.\n\nTwo.");
  EXPECT_THAT(BlockTexts(document), ElementsAre("P One.", "P Two."));
  EXPECT_EQ(document.metadata, (Metadata{{"year", int64_t{1999}}}));
  EXPECT_EQ(document.source_uri, "corpus.jsonl#L1");
  EXPECT_EQ(document.media_type, "application/jsonl");
}

TEST(Jsonl, AcceptsOtherNamesOfIdAndText) {
  EXPECT_EQ(ReadOne("a.jsonl", R"({"id":7,"contents":"x"})").id, "7");
  EXPECT_EQ(ReadOne("a.jsonl", R"({"docid":18446744073709551615,"body":"x"})").id,
            "18446744073709551615");
  const Document both =
      ReadOne("a.jsonl", R"({"id":"other","contents":"c","_id":"it","text":"t"})");
  EXPECT_EQ(both.id, "it");
  EXPECT_EQ(both.text, "t");
  EXPECT_EQ(both.metadata,
            (Metadata{{"id", std::string("other")}, {"contents", std::string("c")}}));
}

TEST(Jsonl, MetadataKeepsItsTypes) {
  const Document document = ReadOne(
      "a.jsonl",
      R"({"_id":"1","text":"x","url":"u","rank":3,"metadata":{"s":"e\u0301","t":true,"i":-5,)"
      R"("d":2.5,"big":18446744073709551615,"none":null,"list":["a",2,null,1.5,false],)"
      R"("o":{"p":{"q":1}},"rank":4}})");
  const Metadata expected = {
      {"url", std::string("u")},
      {"s", std::string("\xC3\xA9")},
      {"t", true},
      {"i", int64_t{-5}},
      {"d", 2.5},
      {"big", 18446744073709551615.0},
      {"list", std::vector<std::string>{"a", "2", "1.5", "false"}},
      {"o.p.q", int64_t{1}},
      {"rank", int64_t{4}},
  };
  EXPECT_EQ(document.metadata, expected);
}

TEST(Jsonl, MalformedLinesAreIssuesAndReadingGoesOn) {
  const DocumentRecorder recorder = ReadAs("a.jsonl",
                                           "\xEF\xBB\xBF{\"_id\":\"1\",\"text\":\"x\"}\r\n"
                                           "{\"_id\":\"2\", oops}\n"
                                           "\n"
                                           "[1]\n"
                                           "{\"_id\":\"3\",\"text\":\"\xFF\"}\n"
                                           "{\"_id\":\"4\",\"text\":\"y\"}");
  ASSERT_EQ(recorder.documents.size(), 2u);
  EXPECT_EQ(recorder.documents[1].id, "4");
  EXPECT_EQ(recorder.documents[1].source_uri, "a.jsonl#L6");
  ASSERT_EQ(recorder.issues.size(), 3u);
  EXPECT_EQ(recorder.issues[0].line, 2u);
  EXPECT_THAT(recorder.issues[0].reason, HasSubstr("malformed JSON"));
  EXPECT_EQ(recorder.issues[1].line, 4u);
  EXPECT_EQ(recorder.issues[1].reason, "not a JSON object");
  EXPECT_EQ(recorder.issues[2].line, 5u);
  EXPECT_EQ(recorder.issues[2].reason, "invalid UTF-8");
}

TEST(Jsonl, SaysWhatIsWrongWithARecord) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"text":"x"})", "no \"_id\""},
      {R"({"_id":null,"text":"x"})", "no \"_id\""},
      {R"({"_id":1.5,"text":"x"})", "neither a string nor an integer"},
      {R"({"_id":"","text":"x"})", "id is empty"},
      {R"({"_id":"a\u0000","text":"x"})", "control character"},
      {R"({"_id":"a\nb","text":"x"})", "control character"},
      {R"({"_id":"a","_id":"b","text":"x"})", "\"_id\" appears twice"},
      {R"({"_id":"a","text":"x","text":"y"})", "\"text\" appears twice"},
      {R"({"_id":"a","text":5})", "\"text\" is not a string"},
      {R"({"_id":"a","text":"x","title":{}})", "\"title\" is not a string"},
      {R"({"_id":"a","text":"x","metadata":[]})", "\"metadata\" is not an object"},
      {R"({"_id":"a","text":"x\u0000"})", "NUL"},
      {R"({"_id":"a","text":"x","metadata":{"k":"\u0000"}})", "NUL"},
      {R"({"_id":"a","text":"x","metadata":{"":1}})", "key is empty"},
      {R"({"_id":"a","text":"x","metadata":{"k":[[1]]}})", "\"k\""},
      {R"({"_id":"a","text":"\ud800"})", "lone surrogate"},
      {R"({"_id":"a","text":"x","n":1e999})", "out of range"},
      {R"({"_id":"a","text":"x","n":123456789012345678901234567890})", "out of range"},
      {R"({"_id":"a","text":" \n","title":""})", "no title and no text"},
      {R"({"_id":"a"})", "no title and no text"},
      {R"({"_id":"a","text":"x)", "string that does not end"},
  };
  for (const auto& [record, reason] : cases) {
    EXPECT_THAT(ReadIssueOf("a.jsonl", record).reason, HasSubstr(reason)) << record;
  }
  EXPECT_THAT(ReadIssueOf("a.jsonl", std::string("{\"_id\":\"a\",\"text\":\"\0\"}", 22)).reason,
              HasSubstr("NUL"));
}

TEST(Jsonl, IdsAreAtMost1024Bytes) {
  const auto record = [](size_t size) {
    return "{\"_id\":\"" + std::string(size, 'i') + "\",\"text\":\"x\"}";
  };
  EXPECT_EQ(ReadOne("a.jsonl", record(1024)).id.size(), 1024u);
  EXPECT_THAT(ReadIssueOf("a.jsonl", record(1025)).reason, HasSubstr("at most 1024"));
}

TEST(Jsonl, ATitleStandsInForMissingText) {
  const Document document = ReadOne("a.jsonl", R"({"_id":"1","title":"Only this","text":""})");
  EXPECT_EQ(document.title, "Only this");
  EXPECT_EQ(document.text, "Only this");
}

TEST(Jsonl, OversizedLinesArePassedOver) {
  ReadOptions options;
  options.max_document_bytes = 100;
  const std::string small = "{\"_id\":\"1\",\"text\":\"x\"}\n";
  const DocumentRecorder recorder =
      ReadAs("a.jsonl", small + std::string(1 << 20, 'x') + "\n" + small, options);
  EXPECT_EQ(recorder.documents.size(), 2u);
  ASSERT_EQ(recorder.issues.size(), 1u);
  EXPECT_EQ(recorder.issues[0].line, 2u);
  EXPECT_EQ(recorder.issues[0].reason, "line of more than 100 bytes");
  EXPECT_EQ(recorder.documents[1].source_uri, "a.jsonl#L3");
}

TEST(Jsonl, ALineOfAGigabyteIsReadInBoundedMemory) {
  LongLine input("{\"_id\":\"1\",\"text\":\"", uint64_t{1} << 30,
                 "\"}\n{\"_id\":\"2\",\"text\":\"y\"}\n");
  ReadOptions options;
  options.source = "a.jsonl";
  options.max_document_bytes = 1 << 20;
  DocumentRecorder recorder;
  ASSERT_TRUE(ReadDocuments(input, options, recorder).ok());
  ASSERT_EQ(recorder.documents.size(), 1u);
  EXPECT_EQ(recorder.documents[0].id, "2");
  ASSERT_EQ(recorder.issues.size(), 1u);
  EXPECT_EQ(recorder.issues[0].line, 1u);
  EXPECT_LE(input.largest_read(), size_t{4} << 20);
}

TEST(Jsonl, DeepNestingIsAnIssue) {
  std::string deep = R"({"_id":"1","text":"x","metadata":)";
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  deep += "1" + std::string(100001, '}');
  EXPECT_THAT(ReadIssueOf("a.jsonl", deep).reason, HasSubstr("nested too deeply"));
  EXPECT_THAT(ReadIssueOf("a.jsonl", std::string(100000, '[')).reason, HasSubstr("malformed JSON"));
  std::string moderate = R"({"_id":"1","text":"x","metadata":)";
  for (int i = 0; i < 100; ++i) moderate += "{\"a\":";
  moderate += "1" + std::string(101, '}');
  EXPECT_THAT(ReadIssueOf("a.jsonl", moderate).reason, HasSubstr("nested too deeply"));
}

TEST(Jsonl, LongRecordsAmongShortOnesKeepTheirText) {
  std::string lines;
  for (int i = 0; i < 50; ++i) {
    const size_t size = i % 10 == 5 ? 3000000 : 100 + i;
    lines += "{\"_id\":\"" + std::to_string(i) + "\",\"text\":\"" +
             std::string(size, static_cast<char>('a' + i % 26)) + "\"}\n";
  }
  const DocumentRecorder recorder = ReadAs("a.jsonl", lines);
  ASSERT_EQ(recorder.documents.size(), 50u);
  for (int i = 0; i < 50; ++i) {
    const size_t size = i % 10 == 5 ? 3000000 : 100 + i;
    EXPECT_EQ(recorder.documents[i].text, std::string(size, static_cast<char>('a' + i % 26)));
  }
}

TEST(Jsonl, ReadsRealCollectionsWhole) {
  CAIRN_NEED_SHARED("data/scifact/corpus.jsonl");
  CAIRN_NEED_SHARED("data/cacm/corpus.jsonl");
  const std::pair<const char*, size_t> collections[] = {{"scifact", 5183}, {"cacm", 3204}};
  for (const auto& [name, size] : collections) {
    const std::string path = cairn::testing::SharedDir() + "/data/" + name + "/corpus.jsonl";
    const DocumentRecorder recorder = ReadAs(path, cairn::testing::ReadFileOrDie(path));
    EXPECT_EQ(recorder.documents.size(), size);
    EXPECT_TRUE(recorder.issues.empty());
  }
}

}  // namespace
}  // namespace cairn::chunking
