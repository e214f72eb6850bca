#include "chunking/readers/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/support/document_recorder.h"

namespace cairn::chunking {
namespace {

using ::cairn::testing::BlockTexts;
using ::cairn::testing::DocumentRecorder;
using ::cairn::testing::ReadAs;
using ::cairn::testing::ReadIssueOf;
using ::cairn::testing::ReadOne;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A source that gives one byte at a time, then `end`.
class SlowSource : public ByteSource {
 public:
  SlowSource(std::string bytes, absl::Status end)
      : bytes_(std::move(bytes)), end_(std::move(end)) {}
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (at_ == bytes_.size()) {
      if (!end_.ok()) return end_;
      return 0;
    }
    buffer[0] = bytes_[at_++];
    return 1;
  }

 private:
  const std::string bytes_;
  const absl::Status end_;
  size_t at_ = 0;
};

std::string Utf16(std::string_view ascii, bool little) {
  std::string bytes = little ? "\xFF\xFE" : "\xFE\xFF";
  for (const char c : ascii) {
    if (!little) bytes.push_back('\0');
    bytes.push_back(c);
    if (little) bytes.push_back('\0');
  }
  return bytes;
}

TEST(ReadDocuments, PlainTextIsParagraphsApartByBlankLines) {
  const Document document = ReadOne("dir/notes.v2.txt", "\n  One\nline two  \n \t\nTwo\n\n\n");
  EXPECT_THAT(BlockTexts(document), ElementsAre("P One\nline two", "P Two"));
  EXPECT_EQ(document.id, "dir/notes.v2.txt");
  EXPECT_EQ(document.source_uri, "dir/notes.v2.txt");
  EXPECT_EQ(document.title, "notes.v2");
  EXPECT_EQ(document.media_type, "text/plain");
}

TEST(ReadDocuments, ExplicitIdNamesTheDocumentButNotItsSource) {
  ReadOptions options;
  options.document_id = "my-id";
  const DocumentRecorder recorder = ReadAs("a.txt", "x", options);
  ASSERT_EQ(recorder.documents.size(), 1u);
  EXPECT_EQ(recorder.documents[0].id, "my-id");
  EXPECT_EQ(recorder.documents[0].source_uri, "a.txt");
}

TEST(ReadDocuments, StandardInputHasNoTitle) { EXPECT_EQ(ReadOne("-", "x").title, ""); }

TEST(ReadDocuments, ExtensionDecidesTheFormat) {
  const std::string html = "<html><p>x";
  EXPECT_EQ(ReadOne("a.HTM", "plain").media_type, "text/html");
  EXPECT_EQ(ReadOne("a.txt", html).media_type, "text/plain");
  EXPECT_EQ(ReadOne("a.log", html).media_type, "text/plain");
  EXPECT_EQ(ReadOne("a.markdown", html).media_type, "text/markdown");
  EXPECT_EQ(ReadOne("a.ndjson", R"({"_id":"1","text":"x"})").media_type, "application/jsonl");
  EXPECT_EQ(ReadOne("a.sgml", "<DOC><DOCNO>1</DOCNO><TEXT>x</TEXT></DOC>").media_type,
            "text/x-trec");
}

TEST(ReadDocuments, ContentDecidesTheFormatOtherwise) {
  EXPECT_EQ(ReadOne("a", "\xEF\xBB\xBF \n<!DOCTYPE HTML><p>x").media_type, "text/html");
  EXPECT_EQ(ReadOne("a.page", "<?xml version=\"1.0\"?>\n<html><body>x</body></html>").media_type,
            "text/html");
  EXPECT_EQ(ReadOne("a", "<DOC>\n<DOCNO>1</DOCNO><TEXT>x</TEXT></DOC>").media_type, "text/x-trec");
  EXPECT_EQ(ReadOne("a", R"({"_id":"1","text":"x"})").media_type, "application/jsonl");
  EXPECT_EQ(ReadOne("a", R"({"_id":"1","text":")" + std::string(9000, 'x') + "\"}").media_type,
            "application/jsonl");
  EXPECT_EQ(ReadOne("package.json", "{\n  \"name\": 1\n}\n").media_type, "text/plain");
  EXPECT_EQ(ReadOne("a.d/README", "# Title").media_type, "text/plain");
}

TEST(ReadDocuments, OptionsOverrideDetection) {
  ReadOptions options;
  options.format = Format::kMarkdown;
  const DocumentRecorder recorder = ReadAs("a.html", "# T", options);
  ASSERT_EQ(recorder.documents.size(), 1u);
  EXPECT_EQ(recorder.documents[0].media_type, "text/markdown");
}

TEST(ReadDocuments, BinaryFilesAreNamed) {
  EXPECT_EQ(ReadIssueOf("a.txt", "%PDF-1.4\n...").reason,
            "looks like a PDF file; not a supported format");
  EXPECT_THAT(ReadIssueOf("a.jsonl", "\x1F\x8B\x08...").reason, HasSubstr("gzip"));
  EXPECT_THAT(ReadIssueOf("a",
                          "\x7F"
                          "ELF...")
                  .reason,
              HasSubstr("ELF"));
  const ReadIssue issue = ReadIssueOf("a.bin", std::string("ab\nc\0d", 6));
  EXPECT_THAT(issue.reason, HasSubstr("NUL byte at byte offset 4"));
  EXPECT_EQ(issue.line, 2u);
}

TEST(ReadDocuments, InvalidUtf8IsAnIssueThatNamesItsPlace) {
  const ReadIssue issue = ReadIssueOf("a.txt", "one\ntwo \xFF\n");
  EXPECT_EQ(issue.source, "a.txt");
  EXPECT_EQ(issue.line, 2u);
  EXPECT_EQ(issue.reason, "invalid UTF-8 at byte offset 8");
  EXPECT_EQ(ReadIssueOf("a.txt", "x\xC0\x80").line, 1u);
  EXPECT_EQ(ReadIssueOf("a.txt", "\xED\xA0\x80").line, 1u);
}

TEST(ReadDocuments, NulBehindTheFirstBytesIsFoundToo) {
  std::string text(100000, 'x');
  text[50000] = '\n';
  text[99999] = '\0';
  const ReadIssue issue = ReadIssueOf("a.txt", text);
  EXPECT_EQ(issue.line, 2u);
  EXPECT_THAT(issue.reason, HasSubstr("NUL byte at byte offset 99999"));
}

TEST(ReadDocuments, EmptyAndBlankInputsAreIssues) {
  for (const char* name : {"a.txt", "a.md", "a.html", "a.jsonl", "a.trec", "a"}) {
    EXPECT_THAT(ReadIssueOf(name, "").reason, HasSubstr("empty document")) << name;
    EXPECT_THAT(ReadIssueOf(name, " \n\t\r\n").reason, HasSubstr("empty document")) << name;
    EXPECT_THAT(ReadIssueOf(name, "\xEF\xBB\xBF").reason, HasSubstr("empty document")) << name;
  }
  EXPECT_THAT(ReadIssueOf("a.txt", "\xC2\xA0\xE3\x80\x80\n").reason, HasSubstr("empty document"));
}

TEST(ReadDocuments, ByteOrderMarkIsDropped) {
  EXPECT_EQ(ReadOne("a.txt", "\xEF\xBB\xBFtext").text, "text");
}

TEST(ReadDocuments, Utf16AndUtf32WithAMarkAreConverted) {
  EXPECT_EQ(ReadOne("a.txt", Utf16("text", true)).text, "text");
  EXPECT_EQ(ReadOne("a.txt", Utf16("text", false)).text, "text");
  EXPECT_EQ(ReadOne("a.txt", std::string("\xFF\xFE\0\0t\0\0\0", 8)).text, "t");
  EXPECT_THAT(BlockTexts(ReadOne("a.html", Utf16("<p>a<p>b", true))), ElementsAre("P a", "P b"));
  EXPECT_THAT(ReadIssueOf("a.txt", std::string("\xFF\xFE\x00\xD8x\0", 6)).reason,
              HasSubstr("invalid UTF-16LE"));
  EXPECT_THAT(ReadIssueOf("a.jsonl", Utf16("{}", true)).reason, HasSubstr("UTF-16LE"));
}

TEST(ReadDocuments, TextIsStoredNormalised) {
  EXPECT_EQ(ReadOne("a.txt", "Cafe\xCC\x81\r\nx\ry").text, "Caf\xC3\xA9\nx\ny");
}

TEST(ReadDocuments, LargerThanTheLimitIsAnIssue) {
  ReadOptions options;
  options.max_document_bytes = 10;
  EXPECT_THAT(ReadIssueOf("a.txt", std::string(11, 'x'), options).reason,
              HasSubstr("larger than 10 bytes"));
  EXPECT_EQ(ReadAs("a.txt", std::string(10, 'x'), options).documents.size(), 1u);
  EXPECT_EQ(ReadAs("a.txt", "\xEF\xBB\xBF" + std::string(10, 'x'), options).documents.size(), 1u);
}

TEST(ReadDocuments, UnusableIdsAreIssues) {
  EXPECT_THAT(ReadIssueOf(std::string(1025, 'x'), "text").reason, HasSubstr("1025 bytes"));
  EXPECT_THAT(ReadIssueOf("a\xFF.txt", "text").reason, HasSubstr("UTF-8"));
  EXPECT_THAT(ReadIssueOf("a\nb.txt", "text").reason, HasSubstr("control character"));
  EXPECT_THAT(ReadIssueOf("", "text").reason, HasSubstr("id is empty"));
}

TEST(ReadDocuments, ShortReadsGiveTheSameDocuments) {
  const std::string jsonl = "{\"_id\":\"1\",\"text\":\"x\"}\n\n{\"_id\":\"2\",\"text\":\"y\"}";
  const std::string trec = "<DOC>\n<DOCNO>1</DOCNO>\n<TEXT>x</TEXT>\n</DOC>\n";
  const std::pair<std::string, std::string> inputs[] = {
      {"a.txt", "one\n\ntwo"}, {"a.html", "<p>one<p>two"}, {"a", jsonl}, {"b", trec}};
  for (const auto& input : inputs) {
    ReadOptions options;
    options.source = input.first;
    SlowSource slow(input.second, absl::OkStatus());
    DocumentRecorder recorder;
    ASSERT_TRUE(ReadDocuments(slow, options, recorder).ok());
    const DocumentRecorder expected = ReadAs(input.first, input.second);
    ASSERT_EQ(recorder.documents.size(), expected.documents.size());
    for (size_t i = 0; i < expected.documents.size(); ++i) {
      EXPECT_EQ(recorder.documents[i].id, expected.documents[i].id);
      EXPECT_EQ(recorder.documents[i].text, expected.documents[i].text);
      EXPECT_EQ(recorder.documents[i].blocks, expected.documents[i].blocks);
    }
  }
}

TEST(ReadDocuments, AFailingSourceIsTheReturnedStatus) {
  for (const char* name : {"a.txt", "a.jsonl", "a.trec", "a.html"}) {
    ReadOptions options;
    options.source = name;
    SlowSource failing("{", absl::DataLossError("disk on fire"));
    DocumentRecorder recorder;
    EXPECT_EQ(ReadDocuments(failing, options, recorder), absl::DataLossError("disk on fire"));
    EXPECT_THAT(recorder.documents, IsEmpty());
  }
}

TEST(ReadDocuments, AHandlerStopsTheReading) {
  ReadOptions options;
  options.source = "a.jsonl";
  DocumentRecorder strict;
  strict.on_issue = absl::AbortedError("strict");
  const auto input =
      FromMemory("{\"_id\":\"1\",\"text\":\"x\"}\nbad\n{\"_id\":\"2\",\"text\":\"y\"}\n");
  EXPECT_EQ(ReadDocuments(*input, options, strict), absl::AbortedError("strict"));
  EXPECT_EQ(strict.documents.size(), 1u);
}

}  // namespace
}  // namespace cairn::chunking
