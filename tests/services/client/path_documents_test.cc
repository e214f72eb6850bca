#include "services/client/path_documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/temp_dir.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Collected : PathDocumentSink {
  absl::Status OnDocument(InputDocument document, IngestIssue place) override {
    documents.push_back(std::move(document));
    places.push_back(absl::StrCat(place.source, ":", place.line));
    return documents.size() < limit ? absl::OkStatus() : absl::AbortedError("enough");
  }
  absl::Status OnIssue(IngestIssue issue) override {
    issues.push_back(absl::StrCat(issue.source, ":", issue.line, ": ", issue.reason));
    return absl::OkStatus();
  }
  void OnBytes(uint64_t read) override {
    EXPECT_GE(read, bytes);
    bytes = read;
  }

  size_t limit = 1000;
  std::vector<InputDocument> documents;
  std::vector<std::string> places;
  std::vector<std::string> issues;
  uint64_t bytes = 0;
};

// A document as a store has it.
std::string Stored(const Engine& engine, const std::string& id) {
  const absl::StatusOr<StoredDocument> d = engine.Get("default", id);
  if (!d.ok()) return d.status().ToString();
  std::string out = absl::StrCat(d->id, "|", d->title, "|", d->source_uri, "|", d->text);
  for (const StoredChunk& c : d->chunks) {
    absl::StrAppend(&out, "|", c.begin, "-", c.end, "-", c.tokens);
    for (const std::string& h : c.headings) absl::StrAppend(&out, "/", h);
  }
  for (const auto& [name, value] : d->metadata) {
    absl::StrAppend(&out, "|", name, "=", value.index(), ":",
                    std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : "");
  }
  return out;
}

class PathDocumentsTest : public ::testing::Test {
 protected:
  void WriteFiles() const {
    dir_.Write("in/plain.txt", "Glaciers carve valleys.\n\nSlowly.");
    dir_.Write("in/wide.txt", std::string("\xff\xfeh\0i\0 \0\xe4\0", 10));
    dir_.Write("in/page.md", "---\nlang: en\n---\n# Käse\n\nText.\n\n## Part\n\n- one\n- two\n");
    dir_.Write("in/page.html",
               "<html><head><meta charset=\"iso-8859-1\"><title>Caf\xe9</title></head>"
               "<body><h1>Men\xfc</h1><p>Cr\xeape.</p></body></html>");
    dir_.Write("in/utf8.html", "<title>Käse</title><h1>Käse</h1><p>Text.</p>");
    dir_.Write("in/records.jsonl",
               "{\"_id\": \"r1\", \"title\": \"One\", \"text\": \"First record.\", "
               "\"metadata\": {\"lang\": \"en\"}}\n"
               "{\"_id\": \"r2\", \"text\": \"\"}\n"
               "not json\n"
               "{\"_id\": \"r3\", \"title\": \"Only a title\", \"text\": \"\"}\n");
    dir_.Write("in/news.trec",
               "<DOC><DOCNO>t1</DOCNO><TITLE>News</TITLE><TEXT>Old news.</TEXT></DOC>\n");
    dir_.Write("in/empty.txt", "");
    dir_.Write("in/blank.md", " \n\n");
    dir_.Write("in/paper.pdf", "%PDF-1.7\n...");
    dir_.Write("in/bad.txt", "caf\xe9");
    dir_.Write("in/binary.txt", std::string("a\0b", 3));
    dir_.Write("in/.hidden.txt", "not read");
  }

  std::unique_ptr<Engine> OpenStore(const char* name) const {
    EngineOptions options;
    options.create_if_missing = true;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file(name), options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *std::move(engine);
  }

  const ::cairn::testing::TempDir dir_;
};

TEST_F(PathDocumentsTest, AServerStoresWhatAnIngestionOfThePathsWouldHave) {
  WriteFiles();
  const std::vector<std::string> paths = {dir_.file("in"), dir_.file("missing")};
  Collected collected;
  IngestOptions options;
  options.metadata["batch"] = std::string("7");
  ASSERT_TRUE(ReadPathDocuments(paths, options, &collected).ok());

  const std::unique_ptr<Engine> local = OpenStore("local");
  std::vector<std::string> issues;
  IngestReport report;
  options.report = &report;
  options.on_issue = [&](const IngestIssue& issue) {
    issues.push_back(absl::StrCat(issue.source, ":", issue.line, ": ", issue.reason));
  };
  ASSERT_TRUE(local->IngestPaths(paths, options).ok());
  EXPECT_EQ(collected.issues, issues);
  EXPECT_EQ(issues.size(), 8u);
  EXPECT_EQ(collected.bytes, report.bytes);

  const std::unique_ptr<Engine> remote = OpenStore("remote");
  options.on_issue = [](const IngestIssue& issue) { ADD_FAILURE() << issue.reason; };
  ASSERT_TRUE(remote->IngestDocuments(collected.documents, options).ok());
  const absl::StatusOr<std::vector<std::string>> ids = local->List("default", "", 100, "");
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*remote->List("default", "", 100, ""), *ids);
  EXPECT_EQ(ids->size(), 8u);
  for (const std::string& id : *ids) EXPECT_EQ(Stored(*remote, id), Stored(*local, id));
}

TEST_F(PathDocumentsTest, ARecordIsPlacedByFileAndLine) {
  const std::string path = dir_.Write(
      "a.jsonl", "{\"_id\": \"a\", \"text\": \"x\"}\n\n{\"_id\": \"b\", \"text\": \"y\"}\n");
  Collected collected;
  ASSERT_TRUE(ReadPathDocuments({path}, {}, &collected).ok());
  EXPECT_THAT(collected.places, ElementsAre(path + ":1", path + ":3"));
}

TEST_F(PathDocumentsTest, ADocumentThatAServerWouldRefuseIsAnIssueHere) {
  const std::string path = dir_.Write(
      "a.jsonl", absl::StrCat("{\"_id\": \"", std::string(2000, 'a'), "\", \"text\": \"x\"}\n"));
  Collected collected;
  ASSERT_TRUE(ReadPathDocuments({path}, {}, &collected).ok());
  EXPECT_THAT(collected.documents, IsEmpty());
  EXPECT_EQ(collected.issues.size(), 1u);
}

TEST_F(PathDocumentsTest, AFileLargerThanAllowedIsAnIssue) {
  const std::string fits = dir_.Write("a.txt", std::string(100, 'a'));
  const std::string large = dir_.Write("b.txt", std::string(101, 'a'));
  // Longer in UTF-8 than in its own encoding.
  const std::string grows = dir_.Write("c.html", "<p>" + std::string(90, '\xe9'));
  IngestOptions options;
  options.max_document_bytes = 100;
  Collected collected;
  ASSERT_TRUE(ReadPathDocuments({fits, large, grows}, options, &collected).ok());
  EXPECT_EQ(collected.documents.size(), 1u);
  EXPECT_THAT(collected.issues, ElementsAre(large + ":0: larger than 100 bytes",
                                            grows + ":0: larger than 100 bytes"));
}

TEST_F(PathDocumentsTest, TheSinksErrorEndsTheReading) {
  WriteFiles();
  Collected collected;
  collected.limit = 2;
  const absl::Status s = ReadPathDocuments({dir_.file("in")}, {}, &collected);
  EXPECT_TRUE(absl::IsAborted(s)) << s;
  EXPECT_EQ(collected.documents.size(), 2u);
}

TEST_F(PathDocumentsTest, TheTotalIsOfAllFiles) {
  const std::string a = dir_.Write("a.txt", "1234");
  dir_.Write("b/c.txt", "12");
  EXPECT_EQ(TotalPathBytes({a, dir_.file("b")}), 6u);
  EXPECT_EQ(TotalPathBytes({a, "-"}), 0u);
}

}  // namespace
}  // namespace cairn::services
