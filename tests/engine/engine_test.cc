#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using ::cairn::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    engine_.reset();
    EngineOptions options;
    options.create_if_missing = true;
    options.min_free_bytes = 0;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file("store"), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  IngestReport Ingest(const std::vector<std::string>& paths, IngestOptions options = {}) {
    options.on_issue = [&](const IngestIssue& i) {
      issues_.push_back(i.source.substr(i.source.rfind('/') + 1) + ":" + std::to_string(i.line) +
                        ": " + i.reason);
    };
    absl::StatusOr<IngestReport> report = engine_->IngestPaths(paths, options);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : IngestReport{};
  }

  std::vector<SearchHit> Search(const std::string& query, SearchMode mode = SearchMode::kHybrid,
                                const std::string& filter = "") {
    SearchRequest request;
    request.query = query;
    request.mode = mode;
    request.filter = filter;
    absl::StatusOr<SearchResponse> r = engine_->Search(request);
    EXPECT_TRUE(r.ok()) << r.status();
    return r.ok() ? r->hits : std::vector<SearchHit>{};
  }

  TempDir dir_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::string> issues_;
};

TEST_F(EngineTest, FilesOfEveryFormatAreFoundAndCitedByTheirSpans) {
  dir_.Write("in/a.txt", "The quokka lives on Rottnest Island.\n\nIt eats leaves at night.\n");
  dir_.Write("in/b.md", "# Telescopes\n\n## Mirrors\n\nA mirror gathers light from galaxies.\n");
  dir_.Write("in/c.html",
             "<html><head><title>Bread</title></head><body><nav>Menu quokka</nav>"
             "<h1>Bread</h1><p>Sourdough needs a starter.</p></body></html>");
  dir_.Write("in/d.jsonl",
             "{\"_id\": \"j1\", \"title\": \"Tides\", \"text\": \"The moon pulls the sea.\", "
             "\"metadata\": {\"year\": 1999}}\n");
  dir_.Write("in/e.trec",
             "<DOC>\n<DOCNO> T-1 </DOCNO>\n<TEXT>\nGlaciers carve valleys.\n</TEXT>\n</DOC>\n");
  const IngestReport report = Ingest({dir_.file("in")});
  EXPECT_EQ(report.created, 5u);
  EXPECT_THAT(issues_, IsEmpty());
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"quokka", dir_.file("in/a.txt")},
      {"mirror galaxies", dir_.file("in/b.md")},
      {"sourdough", dir_.file("in/c.html")},
      {"moon sea", "j1"},
      {"glacier", "T-1"}};
  for (int i = 0; i < 2; ++i) {
    for (const auto& [query, id] : expected) {
      for (SearchMode mode : {SearchMode::kLexical, SearchMode::kVector, SearchMode::kHybrid}) {
        const std::vector<SearchHit> hits = Search(query, mode);
        ASSERT_FALSE(hits.empty()) << query;
        EXPECT_EQ(hits[0].document_id, id) << query;
        absl::StatusOr<StoredDocument> d = engine_->Get("default", hits[0].document_id);
        ASSERT_TRUE(d.ok());
        EXPECT_EQ(d->text.substr(hits[0].begin, hits[0].end - hits[0].begin), hits[0].text);
      }
    }
    Reopen();
  }
  EXPECT_THAT(Search("quokka", SearchMode::kLexical), ::testing::SizeIs(1));
  EXPECT_THAT(Search("moon", SearchMode::kHybrid, "year = 1999"), ::testing::SizeIs(1));
  EXPECT_THAT(Search("moon", SearchMode::kHybrid, "year > 1999"), IsEmpty());
  EXPECT_EQ(engine_->Verify()->problem_count, 0u);
}

TEST_F(EngineTest, IngestingAgainChangesNothingAndChangedFilesAreReplaced) {
  dir_.Write("in/a.txt", "alpha");
  dir_.Write("in/b.txt", "beta");
  EXPECT_EQ(Ingest({dir_.file("in")}).created, 2u);
  IngestReport again = Ingest({dir_.file("in")});
  EXPECT_EQ(again.unchanged, 2u);
  EXPECT_EQ(again.chunks, 0u);
  dir_.Write("in/b.txt", "gamma");
  again = Ingest({dir_.file("in")});
  EXPECT_EQ(again.unchanged, 1u);
  EXPECT_EQ(again.replaced, 1u);
  EXPECT_THAT(Search("beta", SearchMode::kLexical), IsEmpty());
  EXPECT_THAT(Search("gamma", SearchMode::kLexical), ::testing::SizeIs(1));
}

TEST_F(EngineTest, AMalformedLineIsSkippedAndNamed) {
  const std::string path = dir_.Write("x.jsonl",
                                      "{\"_id\": \"1\", \"text\": \"one\"}\n"
                                      "{\"_id\": \"2\", \"text\": \n"
                                      "{\"_id\": \"3\", \"text\": \"three\"}\n");
  const IngestReport report = Ingest({path});
  EXPECT_EQ(report.created, 2u);
  EXPECT_EQ(report.issues, 1u);
  EXPECT_THAT(issues_, ElementsAre(HasSubstr("x.jsonl:2: ")));
}

TEST_F(EngineTest, StrictStopsAtTheFirstFaultAndKeepsWhatCameBefore) {
  const std::string path = dir_.Write("x.jsonl",
                                      "{\"_id\": \"1\", \"text\": \"one\"}\n"
                                      "nonsense\n"
                                      "{\"_id\": \"3\", \"text\": \"three\"}\n");
  IngestOptions options;
  options.strict = true;
  absl::StatusOr<IngestReport> report = engine_->IngestPaths({path}, options);
  EXPECT_TRUE(absl::IsInvalidArgument(report.status()));
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("x.jsonl:2"));
  EXPECT_THAT(*engine_->List("default", "", 10, ""), ElementsAre("1"));
}

TEST_F(EngineTest, OfDuplicateIdsTheLastStaysAndTheUserIsTold) {
  const std::string path = dir_.Write("x.jsonl",
                                      "{\"_id\": \"1\", \"text\": \"first\"}\n"
                                      "{\"_id\": \"2\", \"text\": \"other\"}\n"
                                      "{\"_id\": \"1\", \"text\": \"second\"}\n");
  Ingest({path});
  EXPECT_THAT(issues_, ElementsAre(HasSubstr("duplicate id \"1\"")));
  EXPECT_THAT(Search("first", SearchMode::kLexical), IsEmpty());
  EXPECT_THAT(Search("second", SearchMode::kLexical), ::testing::SizeIs(1));
  // Again: the stored document equals the last line but not the first; the last must stay.
  issues_.clear();
  Ingest({path});
  EXPECT_EQ(engine_->Get("default", "1")->text, "second");
}

TEST_F(EngineTest, TheSameInputGivesTheSameIdsWhateverTheThreads) {
  std::string lines;
  for (int i = 0; i < 300; ++i) {
    lines += "{\"_id\": \"" + std::to_string(i) + "\", \"text\": \"text number " +
             std::to_string(i * 7919 % 300) + "\"}\n";
  }
  const std::string path = dir_.Write("x.jsonl", lines);
  std::vector<std::vector<uint64_t>> ids;
  for (int threads : {1, 4}) {
    IngestOptions options;
    options.threads = threads;
    options.collection = "t" + std::to_string(threads);
    ASSERT_TRUE(engine_->IngestPaths({path}, options).ok());
    ids.emplace_back();
    for (int i = 0; i < 300; ++i) {
      ids.back().push_back(engine_->Get(options.collection, std::to_string(i))->chunks[0].id);
    }
  }
  for (size_t i = 1; i < ids[0].size(); ++i) {
    EXPECT_EQ(ids[0][i] - ids[0][0], ids[1][i] - ids[1][0]);
  }
}

TEST_F(EngineTest, SettingsOfAnExistingCollectionMustAgree) {
  const std::string path = dir_.Write("a.txt", "alpha");
  IngestOptions options;
  options.create.chunk_tokens = 64;
  options.create.chunker = "fixed";
  options.create.overlap_tokens = 8;
  ASSERT_TRUE(engine_->IngestPaths({path}, options).ok());
  EXPECT_TRUE(engine_->IngestPaths({path}, IngestOptions{}).ok());
  options.create.chunk_tokens = 128;
  const absl::Status s = engine_->IngestPaths({path}, options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("64"));
  IngestOptions bad;
  bad.collection = "other";
  bad.create.chunker = "magic";
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->IngestPaths({path}, bad).status()));
  // Nothing of the refused collection stays behind.
  EXPECT_EQ(engine_->Stats()->collections.size(), 1u);
}

TEST_F(EngineTest, DocumentsFromMemoryKeepTitleAndMetadata) {
  InputDocument d;
  d.id = "m1";
  d.title = "Harbours";
  d.text = "Ships anchor here.";
  d.metadata["port"] = std::string("Lisbon");
  d.source_uri = "db://1";
  IngestOptions options;
  options.metadata["batch"] = int64_t{3};
  ASSERT_TRUE(engine_->IngestDocuments({d}, options).ok());
  const std::vector<SearchHit> hits = Search("harbour", SearchMode::kLexical, "batch = 3");
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_EQ(hits[0].title, "Harbours");
  EXPECT_EQ(hits[0].source_uri, "db://1");
  EXPECT_EQ(std::get<std::string>(hits[0].metadata.at("port")), "Lisbon");
}

TEST_F(EngineTest, DeletedDocumentsAreNotFoundByTheNextSearch) {
  dir_.Write("in/a.txt", "zebra crossing");
  dir_.Write("in/b.txt", "zebra stripes");
  Ingest({dir_.file("in")});
  EXPECT_THAT(*engine_->Delete("default", {dir_.file("in/a.txt"), "nobody"}),
              ElementsAre(true, false));
  for (SearchMode mode : {SearchMode::kLexical, SearchMode::kVector, SearchMode::kHybrid}) {
    const std::vector<SearchHit> hits = Search("zebra", mode);
    ASSERT_EQ(hits.size(), 1u);
    EXPECT_EQ(hits[0].document_id, dir_.file("in/b.txt"));
  }
  EXPECT_TRUE(absl::IsNotFound(engine_->Get("default", dir_.file("in/a.txt")).status()));
}

TEST_F(EngineTest, ByDocumentEachIsListedOnceAndKOfThemAreFound) {
  IngestOptions options;
  options.create.chunk_tokens = 8;
  options.create.chunker = "sentence";
  std::string many;
  for (int i = 0; i < 50; ++i) many += "A walrus swims number " + std::to_string(i) + ". ";
  dir_.Write("in/a.txt", many);
  for (int i = 0; i < 5; ++i) {
    dir_.Write("in/b" + std::to_string(i) + ".txt", "Some other text about one walrus here.");
  }
  Ingest({dir_.file("in")}, options);
  SearchRequest request;
  request.query = "walrus swims";
  request.granularity = Granularity::kDocument;
  request.k = 6;
  for (SearchMode mode : {SearchMode::kLexical, SearchMode::kVector, SearchMode::kHybrid}) {
    request.mode = mode;
    absl::StatusOr<SearchResponse> r = engine_->Search(request);
    ASSERT_TRUE(r.ok());
    std::set<std::string> ids;
    for (const SearchHit& h : r->hits) ids.insert(h.document_id);
    EXPECT_EQ(r->hits.size(), 6u);
    EXPECT_EQ(ids.size(), 6u);
  }
}

TEST_F(EngineTest, ThousandsOfHitsComeWithTheirOwnTextsBestFirst) {
  std::vector<InputDocument> documents(2500);
  for (size_t i = 0; i < documents.size(); ++i) {
    documents[i].id = std::to_string(i);
    documents[i].text = "walrus number " + std::to_string(i);
  }
  ASSERT_TRUE(engine_->IngestDocuments(documents, {}).ok());
  SearchRequest request;
  request.query = "walrus";
  request.mode = SearchMode::kLexical;
  request.k = 1'000'000;
  absl::StatusOr<SearchResponse> r = engine_->Search(request);
  ASSERT_TRUE(r.ok()) << r.status();
  ASSERT_EQ(r->hits.size(), documents.size());
  for (size_t i = 0; i < r->hits.size(); ++i) {
    EXPECT_EQ(r->hits[i].text, "walrus number " + r->hits[i].document_id);
    EXPECT_LE(r->hits[i].score, r->hits[i == 0 ? 0 : i - 1].score);
  }
}

TEST_F(EngineTest, AnswersCiteTheSentenceTheyQuote) {
  dir_.Write("in/a.txt",
             "Octopuses have three hearts. Two pump blood to the gills. The third serves the "
             "body.\n\nThey live for two years.");
  dir_.Write("in/b.txt", "Squids have two tentacles. Cuttlefish change colour quickly.");
  Ingest({dir_.file("in")});
  AskRequest request;
  request.question = "How many hearts does an octopus have?";
  absl::StatusOr<AskResponse> answer = engine_->Ask(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_FALSE(answer->sentences.empty());
  EXPECT_EQ(answer->sentences[0].text, "Octopuses have three hearts.");
  for (const AnswerSentence& s : answer->sentences) {
    EXPECT_TRUE(s.supported);
    ASSERT_EQ(s.citations.size(), 1u);
    const Citation& c = s.citations[0];
    absl::StatusOr<StoredDocument> d = engine_->Get("default", c.document_id);
    ASSERT_TRUE(d.ok());
    EXPECT_EQ(d->text.substr(c.begin, c.end - c.begin), s.text);
    EXPECT_EQ(answer->passages[c.passage].document_id, c.document_id);
  }
}

TEST_F(EngineTest, AnswersCanBeFollowed) {
  dir_.Write("a.txt", "Octopuses have three hearts. Two pump blood to the gills.");
  Ingest({dir_.file("a.txt")});
  AskRequest request;
  request.question = "How many hearts does an octopus have?";
  std::string text;
  std::vector<std::string> events;
  request.on_passages = [&](const std::vector<SearchHit>& passages) {
    events.push_back("passages " + std::to_string(passages.size()));
  };
  request.on_text = [&](std::string_view piece) { text += piece; };
  request.on_sentence = [&](const AnswerSentence& s) { events.push_back(s.text); };
  request.on_usage = [&](const AskUsage&, const AskTimings& t) {
    EXPECT_GT(t.total, 0);
    events.push_back("usage");
  };
  absl::StatusOr<AskResponse> answer = engine_->Ask(request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->mode, AskMode::kExtractive);
  EXPECT_EQ(text, answer->answer);
  EXPECT_EQ(events, (std::vector<std::string>{"passages 1", "Octopuses have three hearts.",
                                              "Two pump blood to the gills.", "usage"}));
}

TEST_F(EngineTest, AGeneratedAnswerNeedsAModel) {
  dir_.Write("a.txt", "x");
  Ingest({dir_.file("a.txt")});
  AskRequest request;
  request.question = "x?";
  request.mode = AskMode::kGenerated;
  EXPECT_TRUE(absl::IsFailedPrecondition(engine_->Ask(request).status()));
  EngineOptions options;
  options.create_if_missing = true;
  options.generator = dir_.file("absent.gguf");
  EXPECT_TRUE(absl::IsNotFound(Engine::Open(dir_.file("other"), options).status()));
}

TEST_F(EngineTest, RequestsOutOfRangeAreRefusedWithAReason) {
  dir_.Write("a.txt", "x");
  Ingest({dir_.file("a.txt")});
  SearchRequest r;
  r.query = "x";
  r.k = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Search(r).status()));
  r.k = size_t{1} << 31;
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Search(r).status()));
  r.k = 5;
  r.filter = "year = = 3";
  EXPECT_THAT(std::string(engine_->Search(r).status().message()), HasSubstr("column"));
  r.filter.clear();
  r.collection = "nowhere";
  EXPECT_TRUE(absl::IsNotFound(engine_->Search(r).status()));
  r.collection = "default";
  r.alpha = 2;
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Search(r).status()));
  r.alpha.reset();
  r.query = "";
  EXPECT_THAT(engine_->Search(r)->hits, IsEmpty());
  r.query = "\xff\xfe broken";
  EXPECT_TRUE(engine_->Search(r).ok());
}

TEST_F(EngineTest, OddFilesAreIssuesAndTheRestIsRead) {
  dir_.Write("in/good.txt", "fine text");
  dir_.Write("in/empty.txt", "");
  dir_.Write("in/nul.txt", std::string("a\0b", 3));
  dir_.Write("in/latin1.txt", "caf\xe9 au lait");
  dir_.Write("in/bom.txt", "\xef\xbb\xbfmarked text");
  ASSERT_EQ(::mkfifo(dir_.file("in/fifo").c_str(), 0644), 0);
  std::filesystem::create_symlink("/etc/passwd", dir_.file("in/link.txt"));
  const IngestReport report = Ingest({dir_.file("in")});
  EXPECT_EQ(report.created, 2u);
  EXPECT_THAT(issues_, ::testing::Contains(HasSubstr("empty.txt:0")));
  EXPECT_THAT(issues_, ::testing::Contains(HasSubstr("nul.txt")));
  EXPECT_THAT(issues_, ::testing::Contains(HasSubstr("latin1.txt")));
  EXPECT_THAT(issues_, ::testing::Contains(HasSubstr("fifo")));
  EXPECT_EQ(engine_->Get("default", dir_.file("in/bom.txt"))->text.substr(0, 6), "marked");
}

TEST_F(EngineTest, AReadOnlyEngineRefusesToWrite) {
  dir_.Write("a.txt", "alpha");
  Ingest({dir_.file("a.txt")});
  EngineOptions options;
  options.read_only = true;
  absl::StatusOr<std::unique_ptr<Engine>> reader = Engine::Open(dir_.file("store"), options);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_TRUE(
      absl::IsFailedPrecondition((*reader)->Delete("default", {dir_.file("a.txt")}).status()));
  EXPECT_FALSE((*reader)->IngestPaths({dir_.Write("b.txt", "beta")}, {}).ok());
}

}  // namespace
}  // namespace cairn
