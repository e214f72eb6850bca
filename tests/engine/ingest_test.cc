// What an ingestion refuses, and how it tells.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "engine/engine.h"
#include "tests/support/scarce_threads.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using ::cairn::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class IngestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.create_if_missing = true;
    options.min_free_bytes = 0;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file("store"), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    options_.on_issue = [this](const IngestIssue& i) {
      const std::string line = i.line > 0 ? ":" + std::to_string(i.line) : "";
      issues_.push_back(i.source + line + ": " + i.reason);
    };
  }

  static InputDocument Document(std::string id, std::string text = "some text") {
    InputDocument d;
    d.id = std::move(id);
    d.text = std::move(text);
    return d;
  }

  std::vector<std::string> Stored() const {
    absl::StatusOr<std::vector<std::string>> ids = engine_->List("default", "", 1000, "");
    EXPECT_TRUE(ids.ok()) << ids.status();
    return ids.ok() ? *ids : std::vector<std::string>{};
  }

  TempDir dir_;
  std::unique_ptr<Engine> engine_;
  IngestOptions options_;
  std::vector<std::string> issues_;
};

TEST_F(IngestTest, DocumentsThatBreakALimitAreSkippedAndNamed) {
  std::vector<InputDocument> documents(6, Document("good"));
  documents[0].id = "";
  documents[1].id = "title";
  documents[1].title = std::string(size_t{512} << 10, 't');
  documents[2].id = "number";
  documents[2].metadata["score"] = std::nan("");
  documents[2].source_uri = "db://2";
  documents[3].id = "name";
  documents[3].metadata[""] = true;
  documents[4].id = "text";
  documents[4].metadata["tags"] = std::vector<std::string>{"\xff"};
  absl::StatusOr<IngestReport> report = engine_->IngestDocuments(documents, options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 1u);
  EXPECT_EQ(report->issues, 5u);
  EXPECT_THAT(issues_,
              ElementsAre(HasSubstr("id is empty"), StartsWith("title: document title: the title"),
                          AllOf(StartsWith("db://2: "), HasSubstr("\"score\"")),
                          AllOf(StartsWith("name: "), HasSubstr("empty name")),
                          AllOf(StartsWith("text: "), HasSubstr("\"tags\""))));
  EXPECT_THAT(Stored(), ElementsAre("good"));
}

TEST_F(IngestTest, FormatsOfManyDocumentsOrNoneAreIssues) {
  std::vector<InputDocument> documents(3, Document("good"));
  documents[0].format = "jsonl";
  documents[1].format = "pdf";
  ASSERT_TRUE(engine_->IngestDocuments(documents, options_).ok());
  EXPECT_THAT(issues_, ElementsAre(HasSubstr("ingest it as a file"), HasSubstr("\"pdf\"")));
  EXPECT_THAT(Stored(), ElementsAre("good"));
}

TEST_F(IngestTest, MessagesArePrintableWhateverTheCallersNames) {
  ASSERT_TRUE(engine_->IngestDocuments({Document("\xff\xfe")}, options_).ok());
  EXPECT_THAT(issues_, ElementsAre(HasSubstr("\\xff\\xfe: the document id is not valid UTF-8")));
}

TEST_F(IngestTest, StrictStopsAtADocumentThatBreaksALimitAndTellsWhatIsStored) {
  std::vector<InputDocument> documents = {Document("a"), Document("b"), Document("c"),
                                          Document("d")};
  documents[2].metadata["x"] = HUGE_VAL;
  IngestReport report;
  options_.strict = true;
  options_.report = &report;
  const absl::Status s = engine_->IngestDocuments(documents, options_).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s));
  EXPECT_THAT(std::string(s.message()),
              AllOf(HasSubstr("\"x\""), HasSubstr("2 documents are stored")));
  EXPECT_EQ(report.created, 2u);
  EXPECT_EQ(report.issues, 1u);
  EXPECT_THAT(Stored(), ElementsAre("a", "b"));
}

TEST_F(IngestTest, TheReportIsOfThisIngestion) {
  IngestReport report;
  options_.report = &report;
  ASSERT_TRUE(engine_->IngestDocuments({Document("a")}, options_).ok());
  EXPECT_EQ(report.created, 1u);
  EXPECT_EQ(report.bytes, 9u);
  options_.threads = -1;
  EXPECT_FALSE(engine_->IngestDocuments({Document("b")}, options_).ok());
  EXPECT_EQ(report.created, 0u);
}

TEST_F(IngestTest, RecordsWithTooMuchMetadataAreSkippedAndNamed) {
  const std::string path = dir_.Write(
      "x.jsonl",
      "{\"_id\": \"1\", \"text\": \"one\"}\n{\"_id\": \"2\", \"text\": \"two\", \"a\": \"" +
          std::string(70'000, 'x') + "\"}\n");
  ASSERT_TRUE(engine_->IngestPaths({path}, options_).ok());
  EXPECT_THAT(issues_, ElementsAre(AllOf(StartsWith(path + ":2: "), HasSubstr("document 2"),
                                         HasSubstr("metadata"))));
  EXPECT_THAT(Stored(), ElementsAre("1"));
}

TEST_F(IngestTest, HeadingsOfSeveralLinesAreTitlesOfOne) {
  const std::string path = dir_.Write("x.md", "One\ntwo\n===\n\nText.\n");
  ASSERT_TRUE(engine_->IngestPaths({path}, options_).ok());
  EXPECT_THAT(issues_, IsEmpty());
  EXPECT_EQ(engine_->Get("default", path)->title, "One two");
}

TEST_F(IngestTest, OptionsOutOfRangeAreRefusedBeforeACollectionIsMade) {
  const auto refused = [&](const IngestOptions& options) {
    for (const absl::Status& s :
         {engine_->IngestDocuments({Document("a")}, options).status(),
          engine_->IngestPaths({"/"}, options).status(), Engine::CheckOptions(options)}) {
      EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
    }
    EXPECT_THAT(engine_->Stats()->collections, IsEmpty());
  };
  for (int threads : {-1, 1025}) {
    IngestOptions options;
    options.threads = threads;
    refused(options);
  }
  for (const MetadataValue& value : {MetadataValue(std::nan("")), MetadataValue("\xff"),
                                     MetadataValue(std::string(70'000, 'x'))}) {
    IngestOptions options;
    options.metadata["x"] = value;
    refused(options);
  }
  IngestOptions options;
  options.format = "pdf";
  refused(options);
  options = {};
  options.create.analyzer = "klingon";
  refused(options);
  options = {};
  options.create.chunker = "magic";
  refused(options);
  options = {};
  options.create.overlap_tokens = 8;
  refused(options);
  EXPECT_TRUE(Engine::CheckOptions({}).ok());
}

TEST_F(IngestTest, AFileThatFailsWhileItIsReadIsSkipped) {
  const std::string unreadable = "/proc/self/mem";  // Opens; its first bytes cannot be read.
  if (!std::filesystem::exists(unreadable)) GTEST_SKIP() << "no " << unreadable;
  const std::string good = dir_.Write("good.txt", "fine");
  absl::StatusOr<IngestReport> report = engine_->IngestPaths({unreadable, good}, options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(issues_, ElementsAre(StartsWith(unreadable)));
  EXPECT_THAT(Stored(), ElementsAre(good));
  options_.strict = true;
  EXPECT_FALSE(engine_->IngestPaths({unreadable, good}, options_).ok());
}

TEST_F(IngestTest, APathThatCannotBeLookedAtIsSkippedLikeOneThatIsNotThere) {
  const std::string good = dir_.Write("good.txt", "fine");
  const std::vector<std::string> paths = {dir_.file("nowhere"), good + "/below",
                                          dir_.file(std::string(300, 'n')), "", good};
  ASSERT_TRUE(engine_->IngestPaths(paths, options_).ok());
  EXPECT_THAT(issues_, SizeIs(4));
  EXPECT_THAT(Stored(), ElementsAre(good));
}

TEST_F(IngestTest, ADocumentInMemoryHasNoTitleButItsOwn) {
  std::vector<InputDocument> documents = {Document("plain/one.txt"), Document("lines"),
                                          Document("html", "<title>Own</title><p>text"),
                                          Document("only", " \n")};
  documents[1].title = "two\r\nlines";
  documents[2].format = "html";
  documents[3].title = "Just a <title>";
  documents[3].format = "html";
  ASSERT_TRUE(engine_->IngestDocuments(documents, options_).ok());
  EXPECT_THAT(issues_, IsEmpty());
  EXPECT_EQ(engine_->Get("default", "plain/one.txt")->title, "");
  EXPECT_EQ(engine_->Get("default", "lines")->title, "two lines");
  EXPECT_EQ(engine_->Get("default", "html")->title, "Own");
  EXPECT_EQ(engine_->Get("default", "only")->text, "Just a <title>");
}

TEST_F(IngestTest, FewerThreadsThanAskedForDoTheWork) {
  options_.threads = 64;
  absl::StatusOr<IngestReport> report;
  {
    const cairn::testing::ScarceThreads scarce(3.5);
    if (!scarce.ok()) GTEST_SKIP() << "the address space cannot be limited here";
    report = engine_->IngestDocuments({Document("a"), Document("b"), Document("c")}, options_);
  }
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 3u);
}

TEST_F(IngestTest, WithoutASingleThreadItSaysSo) {
  ASSERT_TRUE(engine_->IngestDocuments({Document("before")}, options_).ok());
  options_.threads = 64;
  for (double stacks : {0.5, 1.5}) {  // None for the writer; none left for a worker.
    absl::Status s;
    {
      const cairn::testing::ScarceThreads scarce(stacks);
      if (!scarce.ok()) GTEST_SKIP() << "the address space cannot be limited here";
      s = engine_->IngestDocuments({Document("a")}, options_).status();
    }
    EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  }
  EXPECT_THAT(Stored(), ElementsAre("before"));
}

}  // namespace
}  // namespace cairn
