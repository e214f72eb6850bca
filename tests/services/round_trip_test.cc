// From files of each format to ranked, cited passages and back.
#include <algorithm>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

constexpr char kOcean[] =
    "{\"_id\": \"ocean-1\", \"title\": \"Tides\", \"text\": \"The moon pulls the sea.\", "
    "\"metadata\": {\"year\": 1999, \"lang\": \"en\"}}\n"
    "{\"_id\": \"ocean-2\", \"title\": \"Coral\", \"text\": \"Reefs grow in warm water.\", "
    "\"metadata\": {\"year\": 2020, \"lang\": \"de\"}}\n";

class RoundTrip : public CliTest {
 protected:
  void SetUp() override {
    dir_.Write("in/a.txt", "The quokka lives on Rottnest Island.\n\nIt eats leaves at night.");
    dir_.Write("in/b.md", "# Telescopes\n\n## Mirrors\n\nA mirror gathers light from galaxies.\n");
    dir_.Write("in/c.html",
               "<html><head><title>Bread</title></head><body><nav>Menu quokka</nav>"
               "<h1>Bread</h1><p>Sourdough needs a starter.</p></body></html>");
    dir_.Write("in/d.jsonl", kOcean);
    dir_.Write("in/e.sgml",
               "<DOC>\n<DOCNO> T-1 </DOCNO>\n<TEXT>\nGlaciers carve valleys.\n</TEXT>\n</DOC>\n");
    const ProcessResult r = Ingest({"--acks", dir_.file("in")});
    ASSERT_EQ(r.exit_code, kOk) << r.err;
    acknowledged_ = Lines(r.out);
  }

  Json Search(const Strings& rest) const {
    Strings arguments = OnStore("search", rest);
    arguments.push_back("--json");
    return ParseJson(Cairn(arguments));
  }
  static Strings DocumentsOf(const Json& found) {
    Strings ids;
    for (const Json& hit : found["hits"]) ids.push_back(hit["document"]);
    return ids;
  }

  Strings acknowledged_;
};

TEST_F(RoundTrip, AcksPrintEveryDocumentsId) {
  EXPECT_THAT(acknowledged_, ElementsAre(dir_.file("in/a.txt"), dir_.file("in/b.md"),
                                         dir_.file("in/c.html"), "ocean-1", "ocean-2", "T-1"));
  EXPECT_THAT(ListedIds(), UnorderedElementsAreArray(acknowledged_));
  // What is unchanged is on disk as well.
  EXPECT_EQ(Lines(Ingest({"--acks", dir_.file("in")}).out), acknowledged_);
}

TEST_F(RoundTrip, EveryFormatIsFoundAndItsCitationIsTheText) {
  for (const auto& [query, id] : std::vector<std::pair<std::string, std::string>>{
           {"quokka", dir_.file("in/a.txt")},
           {"mirror galaxies", dir_.file("in/b.md")},
           {"sourdough starter", dir_.file("in/c.html")},
           {"moon sea", "ocean-1"},
           {"glacier valley", "T-1"}}) {
    for (const char* mode : {"hybrid", "lexical", "vector"}) {
      const Json found = Search({"--mode", mode, query});
      ASSERT_FALSE(found["hits"].empty()) << query;
      const Json& hit = found["hits"][0];
      EXPECT_EQ(hit["document"], id) << query << " " << mode;
      const Strings span = {"--begin", hit["begin"].dump(), "--end", hit["end"].dump()};
      EXPECT_EQ(Cairn(OnStore("get", {span[0], span[1], span[2], span[3], id})).out,
                hit["text"].get<std::string>() + "\n");
    }
  }
  EXPECT_THAT(DocumentsOf(Search({"--mode", "lexical", "quokka"})),
              ElementsAre(dir_.file("in/a.txt")));  // Not the navigation of c.html.
}

TEST_F(RoundTrip, HeadingsTitlesAndMetadataComeWithTheHit) {
  const std::string path =
      dir_.Write("long.md",
                 "# Telescopes\n\nTelescopes show what is far away, and need a dark place.\n\n"
                 "## Mirrors\n\nA mirror gathers light from galaxies that nobody has seen.\n");
  ASSERT_EQ(Ingest({"--collection", "small", "--chunk-tokens", "24", path}).exit_code, kOk);
  const Json mirror = Search({"--collection", "small", "mirror galaxies"})["hits"][0];
  EXPECT_THAT(mirror["headings"].get<Strings>(), ElementsAre("Telescopes", "Mirrors"));
  const Json tides = Search({"moon"})["hits"][0];
  EXPECT_EQ(tides["title"], "Tides");
  EXPECT_EQ(tides["metadata"]["year"], 1999);
  EXPECT_EQ(tides["metadata"]["lang"], "en");
}

TEST_F(RoundTrip, AskCitesTheSentenceItPrints) {
  const Json answer = ParseJson(Cairn(OnStore("ask", {"--json", "Where does the quokka live?"})));
  ASSERT_FALSE(answer["sentences"].empty());
  EXPECT_EQ(answer["mode"], "extractive");
  const Json& first = answer["sentences"][0];
  EXPECT_EQ(first["text"], "The quokka lives on Rottnest Island.");
  const Json& citation = first["citations"][0];
  EXPECT_EQ(citation["document"], dir_.file("in/a.txt"));
  const std::string text = StoredText(citation["document"]);
  EXPECT_EQ(text.substr(citation["begin"],
                        citation["end"].get<size_t>() - citation["begin"].get<size_t>()),
            first["text"]);
  const ProcessResult shown = Cairn(OnStore("ask", {"Where does the quokka live?"}));
  EXPECT_THAT(shown.out, HasSubstr("The quokka lives on Rottnest Island. [1]"));
  EXPECT_THAT(shown.out, HasSubstr("[1] a, " + dir_.file("in/a.txt") + " bytes 0-36"));
}

TEST_F(RoundTrip, ExplainShowsRanksScoresAndTimings) {
  const ProcessResult shown = Cairn(OnStore("search", {"--explain", "moon"}));
  EXPECT_THAT(shown.out, ::testing::ContainsRegex("lexical  rank 1, score [0-9.]+, normalised"));
  EXPECT_THAT(shown.out, ::testing::ContainsRegex("vector   rank 1, score [0-9.]+, normalised"));
  EXPECT_THAT(shown.out, HasSubstr("fused:"));
  EXPECT_THAT(shown.out, HasSubstr("us, fetch"));
  const Json json = Search({"--explain", "moon"});
  const Json& hit = json["hits"][0];
  EXPECT_EQ(hit["lexical"]["rank"], 1);
  EXPECT_EQ(hit["vector"]["rank"], 1);
  const double alpha = json["alpha"];
  EXPECT_NEAR(hit["score"].get<double>(),
              alpha * hit["vector"]["normalized"].get<double>() +
                  (1 - alpha) * hit["lexical"]["normalized"].get<double>(),
              1e-5);
  EXPECT_GT(json["microseconds"]["candidates"], 0);
}

TEST_F(RoundTrip, ReciprocalRankFusionAddsInverseRanks) {
  const Json hit = Search({"--fusion", "rrf", "moon"})["hits"][0];
  EXPECT_NEAR(hit["score"].get<double>(), 2.0 / 61, 1e-6);
}

TEST_F(RoundTrip, KLimitsTheHits) {
  for (size_t k : {1, 2, 5}) {
    EXPECT_EQ(Search({"-k", std::to_string(k), "--mode", "vector", "water"})["hits"].size(), k);
  }
}

TEST_F(RoundTrip, FiltersSelectAndTheirErrorsPointAtThePlace) {
  EXPECT_THAT(DocumentsOf(Search({"--filter", "year >= 2000", "water"})), ElementsAre("ocean-2"));
  EXPECT_EQ(Cairn(OnStore("list", {"--filter", "lang = 'en' OR year = 2020"})).out,
            "ocean-1\nocean-2\n");
  EXPECT_EQ(Cairn(OnStore("list", {"--filter", "EXISTS year AND NOT lang IN ('en')"})).out,
            "ocean-2\n");
  const ProcessResult wrong = Cairn(OnStore("list", {"--filter", "year >= AND lang = 'en'"}));
  EXPECT_EQ(wrong.exit_code, kUsage);
  const Strings lines = Lines(wrong.err);
  const auto shown = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("year >= AND") != std::string::npos && line.find("cairn:") != 0;
  });
  ASSERT_NE(shown, lines.end()) << wrong.err;
  ASSERT_NE(shown + 1, lines.end()) << wrong.err;
  EXPECT_EQ((shown + 1)->find('^'), shown->find("AND")) << wrong.err;
}

TEST_F(RoundTrip, MetadataFlagsAreTypedAndWin) {
  ASSERT_EQ(Ingest({"--metadata", "lang=fr", "--metadata", "pages=12", "--metadata", "draft=true",
                    "--metadata", "code=\"12\"", "--metadata", "rate=0.5", dir_.file("in/d.jsonl")})
                .exit_code,
            kOk);
  const Json metadata = ParseJson(Cairn(OnStore("get", {"--json", "ocean-1"})))["metadata"];
  EXPECT_EQ(metadata["lang"], "fr");
  EXPECT_EQ(metadata["year"], 1999);
  EXPECT_EQ(metadata["pages"], 12);
  EXPECT_EQ(metadata["draft"], true);
  EXPECT_EQ(metadata["code"], "12");
  EXPECT_EQ(metadata["rate"], 0.5);
}

TEST_F(RoundTrip, GranularityDocumentKeepsTheBestChunkOfEach) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += "The wombat digs a burrow number " + std::to_string(i) + ".\n\n";
  const std::string path = dir_.Write("wombat.txt", text);
  ASSERT_EQ(
      Ingest({"--collection", "small", "--chunk-tokens", "16", path, dir_.file("in")}).exit_code,
      kOk);
  const Strings chunks = DocumentsOf(
      Search({"--collection", "small", "--mode", "lexical", "--granularity", "chunk", "wombat"}));
  EXPECT_GT(chunks.size(), 1u);
  const Strings documents = DocumentsOf(Search(
      {"--collection", "small", "--mode", "lexical", "--granularity", "document", "wombat"}));
  EXPECT_THAT(documents, ElementsAre(path));
}

TEST_F(RoundTrip, StandardInputIsRead) {
  const ProcessResult r = Ingest({"--collection", "piped", "--acks", "-"}, kOcean);
  EXPECT_EQ(r.exit_code, kOk) << r.err;
  EXPECT_EQ(r.out, "ocean-1\nocean-2\n");
  const ProcessResult text =
      Ingest({"--collection", "piped", "--acks", "--format", "text", "-"}, "Just a note.");
  EXPECT_EQ(text.exit_code, kOk) << text.err;
  EXPECT_EQ(Lines(text.out).size(), 1u);
}

TEST_F(RoundTrip, IngestingAgainSkipsWhatIsUnchangedAndReplacesTheRest) {
  dir_.Write("in/a.txt", "The numbat eats termites.");
  const Json report = ParseJson(Ingest({"--json", dir_.file("in")}));
  EXPECT_EQ(report["created"], 0);
  EXPECT_EQ(report["replaced"], 1);
  EXPECT_EQ(report["unchanged"], 5);
  EXPECT_EQ(StoredText(dir_.file("in/a.txt")), "The numbat eats termites.");
  EXPECT_EQ(Cairn(OnStore("search", {"--mode", "lexical", "quokka"})).exit_code, kNothingFound);
  ExpectSound();
}

TEST_F(RoundTrip, DeletedDocumentsAreGoneFromEverything) {
  EXPECT_EQ(Cairn(OnStore("delete", {"ocean-1", "nowhere"})).exit_code, kOk);
  EXPECT_THAT(ListedIds(), Not(::testing::Contains("ocean-1")));
  EXPECT_EQ(Cairn(OnStore("get", {"ocean-1"})).exit_code, kNothingFound);
  EXPECT_EQ(Cairn(OnStore("search", {"--mode", "lexical", "moon"})).exit_code, kNothingFound);
  // Ids piped from a list.
  EXPECT_EQ(Cairn(OnStore("delete", {"-"}), Cairn(OnStore("list")).out).exit_code, kOk);
  EXPECT_THAT(ListedIds(), IsEmpty());
  ExpectSound();
}

TEST_F(RoundTrip, CollectionsAreApart) {
  ASSERT_EQ(Ingest({"--collection", "other", dir_.file("in/a.txt")}).exit_code, kOk);
  EXPECT_EQ(Cairn(OnStore("list", {"--collections"})).out, "default\nother\n");
  EXPECT_EQ(Cairn(OnStore("list", {"--collection", "other"})).out, dir_.file("in/a.txt") + "\n");
  EXPECT_EQ(Cairn(OnStore("delete", {"--collection", "other", "--whole-collection"})).exit_code,
            kOk);
  EXPECT_EQ(Cairn(OnStore("list", {"--collections"})).out, "default\n");
  EXPECT_EQ(ListedIds().size(), 6u);
  ExpectSound();
}

TEST_F(RoundTrip, StatsCountWhatIsThere) {
  const Json stats = ParseJson(Cairn(OnStore("stats", {"--json"})));
  ASSERT_EQ(stats["collections"].size(), 1u);
  EXPECT_EQ(stats["collections"][0]["documents"], 6);
  EXPECT_GE(stats["collections"][0]["chunks"], 6);
  EXPECT_EQ(stats["collections"][0]["chunker"], "structure");
  const Json verified = ParseJson(Cairn(OnStore("verify", {"--json"})));
  EXPECT_EQ(verified["documents"], 6);
  EXPECT_EQ(verified["chunks"], stats["collections"][0]["chunks"]);
}

TEST_F(RoundTrip, SettingsThatDifferFromTheCollectionsAreRefused) {
  const ProcessResult r = Ingest({"--chunk-tokens", "64", dir_.file("in")});
  EXPECT_EQ(r.exit_code, kError);
  EXPECT_THAT(r.err, HasSubstr("chunk size 512"));
}

TEST_F(RoundTrip, ListPagesWithAfterAndLimit) {
  const Strings all = ListedIds();
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  Strings paged;
  while (true) {
    const Strings page = Lines(
        Cairn(OnStore("list", {"--limit", "2", "--after", paged.empty() ? "" : paged.back()})).out);
    if (page.empty()) break;
    EXPECT_LE(page.size(), 2u);
    paged.insert(paged.end(), page.begin(), page.end());
  }
  EXPECT_EQ(paged, all);
}

}  // namespace
}  // namespace cairn::services
