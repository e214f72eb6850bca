// Documents that cannot be read: named with file, line and reason, and nothing else is lost.
#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class BadDocuments : public CliTest {
 protected:
  // Ingests a good file, the bad one, and another good one. The store must be sound and hold both
  // good ones, whatever the bad one was. Its path and the run.
  std::pair<std::string, ProcessResult> IngestBetweenGoodOnes(const std::string& name,
                                                              const std::string& bytes,
                                                              const Strings& more = {}) const {
    const std::string before = dir_.Write("before.txt", "The quokka lives on Rottnest Island.");
    const std::string after = dir_.Write("zafter.txt", "Glaciers carve valleys.");
    const std::string bad = dir_.Write(name, bytes);
    Strings arguments = {before, bad, after};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProcessResult result = Ingest(arguments);
    EXPECT_EQ(StoredText(before), "The quokka lives on Rottnest Island.") << name;
    EXPECT_EQ(StoredText(after), "Glaciers carve valleys.") << name;
    ExpectSound();
    return {bad, std::move(result)};
  }

  // The same for a file whose one document is refused.
  void ExpectRefused(const std::string& name, const std::string& bytes, const std::string& line,
                     const std::string& reason) const {
    const auto [path, result] = IngestBetweenGoodOnes(name, bytes);
    EXPECT_EQ(result.exit_code, kOk) << result.err;
    EXPECT_THAT(Lines(result.err),
                Contains(AllOf(::testing::StartsWith(path + line + ": "), HasSubstr(reason))))
        << result.err;
    EXPECT_THAT(ListedIds(), Not(Contains(path)));
  }
};

TEST_F(BadDocuments, InvalidUtf8IsNamedWithItsLine) {
  ExpectRefused("bad.txt", "fine\nbad \xC3\x28 bytes\n", ":2", "invalid UTF-8");
  ExpectRefused("bad.md", "# Fine\n\n\xED\xA0\x80 surrogate\n", ":3", "invalid UTF-8");
  // Pages that do not say what they are in may be in an older encoding.
  ExpectRefused("bad.html", "<meta charset=utf-8>\n<p>\xF5\x80\x80\x80</p>", ":2", "invalid UTF-8");
  ExpectRefused("bad.trec", "<DOC>\n<DOCNO>t</DOCNO>\n<TEXT>\n\xFF\n</TEXT>\n</DOC>\n", ":4",
                "invalid UTF-8");
}

TEST_F(BadDocuments, NulBytesAreNamedWithTheirLine) {
  using std::string_literals::operator""s;
  ExpectRefused("bad.txt", "fine\nfine\nnul \0 here"s, ":3", "NUL");
  ExpectRefused("bad.html", "<p>\0</p>"s, ":1", "NUL");
}

TEST_F(BadDocuments, FaultsInsideJsonLinesTouchOneLineOnly) {
  using std::string_literals::operator""s;
  const std::string bytes =
      "{\"_id\": \"1\", \"text\": \"one\"}\n"
      "{\"_id\": \"2\", \"text\": \n"                        // 2: cut off
      "{\"_id\": \"3\", \"text\": \"\xFF\"}\n"               // 3: UTF-8
      "{\"_id\": \"4\", \"text\": \"a \\u0000 b\"}\n"        // 4: NUL, escaped
      "{\"_id\": \"5\", \"text\": \"raw \0 nul\"}\n"         // 5: NUL
      "[1, 2, 3]\n"                                          // 6: no object
      "{\"text\": \"no id\"}\n"                              // 7
      "{\"_id\": \"8\", \"text\": \"\", \"title\": \"\"}\n"  // 8: nothing in it
      "{\"_id\": \"a\\nb\", \"text\": \"control\"}\n"        // 9: id with a line break
      "{\"_id\": \"10\", \"text\": \"x\", \"metadata\": {\"l\": [[1]]}}\n"  // 10
      "{\"_id\": \"11\", \"text\": \"eleven\"}"s;  // no line break at the end
  const auto [path, result] = IngestBetweenGoodOnes("bad.jsonl", bytes);
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  for (int line = 2; line <= 10; ++line) {
    EXPECT_THAT(Lines(result.err),
                Contains(::testing::StartsWith(path + ":" + std::to_string(line) + ": ")))
        << result.err;
  }
  EXPECT_THAT(result.err, HasSubstr("9 skipped"));
  EXPECT_EQ(StoredText("1"), "one");
  EXPECT_EQ(StoredText("11"), "eleven");
  EXPECT_EQ(ListedIds().size(), 4u);
}

TEST_F(BadDocuments, StrictStopsAtTheFirstFaultAndKeepsWhatCameBefore) {
  const std::string bytes =
      "{\"_id\": \"1\", \"text\": \"one\"}\n{\"_id\": \"2\", \"text\": \n"
      "{\"_id\": \"3\", \"text\": \"three\"}\n";
  const std::string path = dir_.Write("bad.jsonl", bytes);
  const ProcessResult result = Ingest({"--strict", "--acks", path});
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr("cairn: " + path + ":2: "));
  EXPECT_EQ(result.out, "1\n");
  EXPECT_EQ(ListedIds(), Strings({"1"}));
  ExpectSound();
  // Mended, it goes on.
  dir_.Write("bad.jsonl",
             "{\"_id\": \"1\", \"text\": \"one\"}\n{\"_id\": \"2\", \"text\": \"two\"}\n");
  EXPECT_EQ(Ingest({"--strict", path}).exit_code, kOk);
  EXPECT_EQ(ListedIds(), Strings({"1", "2"}));
}

TEST_F(BadDocuments, AByteOrderMarkIsNoPartOfTheText) {
  const auto [text, r1] = IngestBetweenGoodOnes("mark.txt", "\xEF\xBB\xBFTides rise.");
  EXPECT_EQ(StoredText(text), "Tides rise.");
  const auto [html, r2] = IngestBetweenGoodOnes("mark.html", "\xEF\xBB\xBF<p>Tides fall.</p>");
  EXPECT_EQ(StoredText(html), "Tides fall.");
  const auto [lines, r3] = IngestBetweenGoodOnes(
      "mark.jsonl", "\xEF\xBB\xBF{\"_id\": \"marked\", \"text\": \"Tides turn.\"}\n");
  EXPECT_EQ(StoredText("marked"), "Tides turn.");
  const auto [mark, r4] = IngestBetweenGoodOnes("only.txt", "\xEF\xBB\xBF");
  EXPECT_THAT(r4.err, HasSubstr(mark + ": "));
  const auto [wide, r5] = IngestBetweenGoodOnes("wide.txt", std::string("\xFF\xFEh\0i\0", 6));
  EXPECT_EQ(StoredText(wide), "hi");
}

TEST_F(BadDocuments, EmptyAndBlankFilesAreNamed) {
  for (const char* name : {"e.txt", "e.md", "e.html", "e.jsonl", "e.trec"}) {
    ExpectRefused(name, "", "", "empty");
  }
  ExpectRefused("blank.txt", " \n\t\n \n", "", "empty");
}

TEST_F(BadDocuments, OneBadDocumentAloneIsAnError) {
  const std::string path = dir_.Write("bad.txt", "\xFF\xFF\xFF");
  const ProcessResult result = Ingest({path});
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr(path));
}

TEST_F(BadDocuments, DuplicateIdsAreReportedAndTheLastStands) {
  const std::string bytes =
      "{\"_id\": \"d\", \"text\": \"first\"}\n{\"_id\": \"e\", \"text\": \"other\"}\n"
      "{\"_id\": \"d\", \"text\": \"second\"}\n";
  const auto [path, result] = IngestBetweenGoodOnes("twice.jsonl", bytes);
  EXPECT_EQ(result.exit_code, kOk);
  EXPECT_THAT(Lines(result.err), Contains(AllOf(::testing::StartsWith(path + ":3: "),
                                                HasSubstr("duplicate id \"d\""))));
  EXPECT_EQ(StoredText("d"), "second");
  EXPECT_EQ(StoredText("e"), "other");
  // In another order, with the same rule; nothing of the first is left.
  EXPECT_EQ(Cairn(OnStore("search", {"--mode", "lexical", "first"})).exit_code, kNothingFound);
}

TEST_F(BadDocuments, DeeplyNestedHtmlIsReadOrRefusedButHurtsNobody) {
  std::string html = "<html><body>";
  for (int i = 0; i < 100'000; ++i) html += "<div>";
  html += "deeply buried words";
  for (int i = 0; i < 100'000; ++i) html += "</div>";
  const auto [path, result] = IngestBetweenGoodOnes("deep.html", html + "</body></html>");
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_EQ(StoredText(path), "deeply buried words");
  // Never closed, and of another element.
  std::string open = "<body>";
  for (int i = 0; i < 100'000; ++i) open += "<blockquote><ul><li>";
  const auto [unclosed, r2] = IngestBetweenGoodOnes("open.html", open + "bottom");
  EXPECT_THAT(StoredText(unclosed), HasSubstr("bottom"));
}

TEST_F(BadDocuments, DeeplyNestedJsonIsRefused) {
  const std::string depth(100'000, '[');
  const auto [path, result] = IngestBetweenGoodOnes(
      "deep.jsonl", "{\"_id\": \"1\", \"text\": \"x\", \"metadata\": {\"a\": " + depth +
                        "}}\n{\"_id\": \"2\", \"text\": \"two\"}\n");
  EXPECT_THAT(result.err, HasSubstr(path + ":1: "));
  EXPECT_EQ(StoredText("2"), "two");
}

TEST_F(BadDocuments, ALineWithoutEndOrSpacesIsChunkedAllTheSame) {
  const std::string text(256 << 10, 'x');
  const auto [path, result] = IngestBetweenGoodOnes("long.txt", text);
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_EQ(StoredText(path), text);
}

TEST_F(BadDocuments, FilesOverTheLimitAreNamedWithoutBeingRead) {
  const std::string path = dir_.Write("sparse.jsonl", "{");
  std::filesystem::resize_file(path, uint64_t{1} << 28);
  const std::string text = dir_.Write("sparse.txt", "words");
  std::filesystem::resize_file(text, uint64_t{1} << 40);
  const std::string good = dir_.Write("zgood.txt", "Glaciers carve valleys.");
  const ProcessResult result = Ingest({text, path, good});
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(result.err, HasSubstr(text + ":1: "));
  EXPECT_THAT(result.err, HasSubstr(path + ":1: "));
  EXPECT_EQ(ListedIds(), Strings({good}));
}

TEST_F(BadDocuments, BinaryFilesAreNamedAsWhatTheyAre) {
  ExpectRefused("a.pdf", "%PDF-1.7\n%\xE2\xE3\xCF\xD3\n", "", "PDF");
  ExpectRefused("a.txt", "\x1F\x8B\x08 compressed", "", "gzip");
}

}  // namespace
}  // namespace cairn::services
