// Reading TREC SGML through chunking/readers/reader.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(Trec, ReadsRecordsOneAfterAnother) {
  const DocumentRecorder recorder = ReadAs("ap.trec",
                                           "<DOC>\n<DOCNO> AP-1 </DOCNO>\n<FILEID>f</FILEID>\n"
                                           "<HEAD>First &amp; best</HEAD>\n<HEAD>No</HEAD>\n"
                                           "<BYLINE>A. Writer</BYLINE>\n<DATE>1988</DATE>\n"
                                           "<TEXT>\n  One is < two &lt; three.\n\n"
                                           "Next <i>one</i>.\n</TEXT>\n<TEXT>More.</TEXT>\n</DOC>\n"
                                           "stray\n"
                                           "<doc>\n<docno>2</docno><title>T</title>\n"
                                           "<text><p>a</p><p>b</p></text></doc>");
  ASSERT_EQ(recorder.documents.size(), 2u);
  EXPECT_TRUE(recorder.issues.empty());
  const Document& first = recorder.documents[0];
  EXPECT_EQ(first.id, "AP-1");
  EXPECT_EQ(first.title, "First & best");
  EXPECT_EQ(first.media_type, "text/x-trec");
  EXPECT_EQ(first.source_uri, "ap.trec#L1");
  EXPECT_EQ(first.metadata,
            (Metadata{{"author", std::string("A. Writer")}, {"date", std::string("1988")}}));
  EXPECT_THAT(BlockTexts(first), ElementsAre("P One is < two < three.", "P Next one.", "P More."));
  EXPECT_THAT(BlockTexts(recorder.documents[1]), ElementsAre("P a", "P b"));
  EXPECT_EQ(recorder.documents[1].source_uri, "ap.trec#L16");
}

TEST(Trec, WithoutATextElementTheRestIsText) {
  const Document document = ReadOne(
      "a.trec", "<DOC><DOCNO>1</DOCNO><DOCID>9</DOCID>\nfree <b>text</b>\n<H3>more</H3></DOC>");
  EXPECT_EQ(document.text, "\nfree text\nmore");
  EXPECT_THAT(BlockTexts(document), ElementsAre("P free text\nmore"));
}

TEST(Trec, TakesTheIdFromTheDocTagToo) {
  EXPECT_EQ(ReadOne("a.trec", "<DOC id=\"X-1\" type=\"story\">\n<TEXT>x</TEXT>\n</DOC>").id, "X-1");
}

TEST(Trec, ReadsWebPagesBehindTheirHeader) {
  const Document document =
      ReadOne("a.trec",
              "<DOC>\n<DOCNO>W1</DOCNO>\n<DOCHDR>\nhttp://x\nContent-type: text/html\n</DOCHDR>\n"
              "<html><title>Page</title><body><nav>menu</nav><h1>Top</h1><p>text</html>\n</DOC>");
  EXPECT_EQ(document.title, "Page");
  EXPECT_THAT(BlockTexts(document), ElementsAre("H1 Top", "P text"));
}

TEST(Trec, ATitleStandsInForMissingText) {
  EXPECT_EQ(ReadOne("a.trec", "<DOC><DOCNO>1</DOCNO><TITLE>only</TITLE></DOC>").text, "only");
}

TEST(Trec, FaultyRecordsAreIssuesAndReadingGoesOn) {
  const std::string good = "<DOC><DOCNO>good</DOCNO><TEXT>x</TEXT></DOC>\n";
  const DocumentRecorder recorder =
      ReadAs("a.trec", "<DOC>\n<DOCNO>open</DOCNO>\n" + good + "<DOC><TEXT>x</TEXT></DOC>\n" +
                           "<DOC><DOCNO>e</DOCNO><TEXT> </TEXT></DOC>\n" +
                           "<DOC><DOCNO>u</DOCNO>\n<TEXT>\xFF</TEXT></DOC>\n" + good +
                           "<DOC>\n<DOCNO>cut</DOCNO>");
  EXPECT_EQ(recorder.documents.size(), 2u);
  ASSERT_EQ(recorder.issues.size(), 5u);
  EXPECT_EQ(recorder.issues[0].line, 1u);
  EXPECT_THAT(recorder.issues[0].reason, HasSubstr("before the next <DOC>"));
  EXPECT_EQ(recorder.issues[1].line, 4u);
  EXPECT_EQ(recorder.issues[1].reason, "no <DOCNO>");
  EXPECT_EQ(recorder.issues[2].line, 5u);
  EXPECT_THAT(recorder.issues[2].reason, HasSubstr("no title and no text"));
  EXPECT_EQ(recorder.issues[3].line, 7u);
  EXPECT_THAT(recorder.issues[3].reason, HasSubstr("invalid UTF-8"));
  EXPECT_EQ(recorder.issues[4].line, 9u);
  EXPECT_THAT(recorder.issues[4].reason, HasSubstr("without </DOC> before the input's end"));
}

TEST(Trec, OversizedRecordsArePassedOver) {
  ReadOptions options;
  options.max_document_bytes = 200;
  std::string long_record = "<DOC><DOCNO>long</DOCNO><TEXT>\n";
  for (int i = 0; i < 50; ++i) long_record += "a line of text\n";
  long_record += "</TEXT></DOC>\n";
  const std::string good = "<DOC><DOCNO>g</DOCNO><TEXT>x</TEXT></DOC>\n";
  const DocumentRecorder recorder = ReadAs(
      "a.trec", long_record + good + "<DOC>" + std::string(300, 'x') + "</DOC>\n" + good, options);
  EXPECT_EQ(recorder.documents.size(), 2u);
  ASSERT_EQ(recorder.issues.size(), 2u);
  EXPECT_EQ(recorder.issues[0].line, 1u);
  EXPECT_EQ(recorder.issues[0].reason, "document of more than 200 bytes");
  EXPECT_EQ(recorder.issues[1].reason, "line of more than 200 bytes");
}

TEST(Trec, AFileWithoutRecordsIsAnIssue) {
  EXPECT_THAT(ReadIssueOf("a.trec", "text\n").reason, HasSubstr("no <DOC>"));
}

TEST(Trec, HostileInputTakesLinearTime) {
  const std::string open(5000000, '<');
  EXPECT_EQ(ReadOne("a.trec", "<DOC><DOCNO>1</DOCNO><TEXT>" + open + "</TEXT></DOC>").text.size(),
            open.size());
}

}  // namespace
}  // namespace cairn::chunking
