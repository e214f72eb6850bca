// What takes long: a gigabyte in one line, and kills over a real collection.
#include "tests/services/crash_trial.h"
#include "tests/support/shared_data.h"

namespace cairn::services {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HugeInput : public CliTest {
 protected:
  static constexpr long kMaxRssKib = 400 << 10;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr bool kMeasuresMemory = false;
#else
  static constexpr bool kMeasuresMemory = true;
#endif

  // Standard input: `head`, a gigabyte of one letter, `tail`.
  ProcessOptions Gigabyte(const Strings& arguments, std::string head, std::string tail) const {
    ProcessOptions options = Options(arguments, std::move(head));
    options.timeout = std::chrono::seconds(60);
    options.more_input = [left = 1024, block = std::string(1 << 20, 'a'),
                          tail = std::move(tail)]() mutable -> std::string_view {
      if (left > 0) {
        --left;
        return block;
      }
      return left-- == 0 ? std::string_view(tail) : std::string_view();
    };
    return options;
  }
};

TEST_F(HugeInput, AGigabyteInOneLineIsSkippedInBoundedMemory) {
  const ProcessResult result =
      Run(Gigabyte(OnStore("ingest", {"--format", "jsonl", "-"}),
                   "{\"_id\": \"first\", \"text\": \"one\"}\n{\"_id\": \"huge\", \"text\": \"",
                   "\"}\n{\"_id\": \"last\", \"text\": \"three\"}\n"));
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(Lines(result.err), Contains(StartsWith("-:2: ")));
  EXPECT_THAT(result.err, HasSubstr("bytes"));
  EXPECT_EQ(ListedIds(), Strings({"first", "last"}));
  ExpectSound();
  if (kMeasuresMemory) {
    EXPECT_LT(result.max_rss_kib, kMaxRssKib);
  }
}

TEST_F(HugeInput, AGigabyteInOneDocumentIsRefusedInBoundedMemory) {
  ASSERT_EQ(
      Ingest({"--format", "jsonl", "-"}, "{\"_id\": \"first\", \"text\": \"one\"}\n").exit_code,
      kOk);
  for (const char* format : {"text", "html", "markdown"}) {
    const ProcessResult result =
        Run(Gigabyte(OnStore("ingest", {"--format", format, "-"}), "<p>", "</p>"));
    EXPECT_EQ(result.exit_code, kError) << format;
    EXPECT_THAT(result.err, HasSubstr("larger than")) << format;
    if (kMeasuresMemory) {
      EXPECT_LT(result.max_rss_kib, kMaxRssKib) << format;
    }
  }
  const ProcessResult trec = Run(
      Gigabyte(OnStore("ingest", {"--format", "trec", "-"}), "<DOC>\n<DOCNO>huge</DOCNO>\n<TEXT>\n",
               "\n</TEXT>\n</DOC>\n<DOC>\n<DOCNO>last</DOCNO>\n<TEXT>\nx\n</TEXT>\n</DOC>\n"));
  EXPECT_EQ(trec.exit_code, kOk) << trec.err;
  EXPECT_EQ(ListedIds(), Strings({"first", "last"}));
  ExpectSound();
  if (kMeasuresMemory) {
    EXPECT_LT(trec.max_rss_kib, kMaxRssKib);
  }
}

TEST_F(HugeInput, AWordOfManyMegabytesIsReadInTimeThatGrowsWithItsLength) {
  const std::string text(24 << 20, 'x');
  const std::string path = dir_.Write("word.txt", text);
  const ProcessResult result = Ingest({path});  // Runs out of time where that is quadratic.
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_EQ(StoredText(path), text);
}

class CrashScifact : public CrashTest {};

TEST_F(CrashScifact, AcknowledgedDocumentsOutliveAKillAtAnyMoment) {
  CAIRN_NEED_SHARED("data/scifact/corpus.jsonl");
  const std::string path = ::cairn::testing::SharedDir() + "/data/scifact/corpus.jsonl";
  ASSERT_NO_FATAL_FAILURE(TimeFullRun(path));
  // What an undisturbed run stores, to compare with.
  ASSERT_EQ(Cairn({"ingest", "--store", dir_.file("reference"), path}).exit_code, kOk);
  EngineOptions options;
  options.read_only = true;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file("reference"), options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  Collection documents;
  const auto ids = (*engine)->List("default", "", 1'000'000, "");
  ASSERT_TRUE(ids.ok()) << ids.status();
  for (const std::string& id : *ids) {
    documents[id] = (*engine)->Get("default", id)->text;
  }
  ASSERT_EQ(documents.size(), 5183u);
  int kills = 50;
  while (kills > 0) {
    ASSERT_NO_FATAL_FAILURE(KillUntilComplete(path, documents, {}, &kills));
    if (HasNonfatalFailure()) return;
    if (kills > 0) std::filesystem::remove_all(store_);
  }
  ASSERT_NO_FATAL_FAILURE(Complete(path, documents));
}

}  // namespace
}  // namespace cairn::services
