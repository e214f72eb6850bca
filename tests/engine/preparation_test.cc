#include "engine/preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/static_embedder.h"

namespace cairn::engine {
namespace {

chunking::Chunk ChunkAt(size_t begin, size_t end, std::vector<std::string> headings) {
  chunking::Chunk c;
  c.span = {begin, end};
  c.headings = std::move(headings);
  return c;
}

TEST(ChunkContext, HoldsTitleAndHeadingsThatTheChunkDoesNotShow) {
  chunking::Document d;
  d.title = "Manual";
  d.text = "## Install\nRun it.\n\nMore words.";
  EXPECT_EQ(ChunkContext(d, ChunkAt(0, 19, {"Manual", "Install"})), "Manual\n");
  EXPECT_EQ(ChunkContext(d, ChunkAt(20, d.text.size(), {"Manual", "Install"})),
            "Manual\nInstall\n");
}

TEST(AnalyzeTerms, CountsEachTermOnceInOrderOfAppearance) {
  const auto analyzer = *chunking::MakeAnalyzer("none");
  const index::TermBag bag = AnalyzeTerms(*analyzer, {"b a b", "c a"});
  ASSERT_EQ(bag.entries.size(), 3u);
  EXPECT_EQ(bag.length, 5u);
  EXPECT_EQ(bag.term(bag.entries[0]), "b");
  EXPECT_EQ(bag.entries[0].count, 2u);
  EXPECT_EQ(bag.term(bag.entries[2]), "c");
}

TEST(AnalyzeTerms, SurvivesTermsLongerThanTheirWords) {
  // U+FDFA folds to eighteen characters: the terms outgrow the text they come from.
  std::string text;
  for (int i = 0; i < 200; ++i) text += "\xef\xb7\xba" + std::to_string(i) + " ";
  const auto analyzer = *chunking::MakeAnalyzer("unicode");
  const index::TermBag bag = AnalyzeTerms(*analyzer, {text});
  size_t total = 0;
  for (const auto& e : bag.entries) total += e.count;
  EXPECT_EQ(total, bag.length);
  EXPECT_GE(bag.entries.size(), 200u);
}

class PreparationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    embedder_ = *StaticEmbedder::Default();
    index::CollectionSettings settings;
    settings.chunk_tokens = 16;
    preparation_ = *Preparation::Create(settings, embedder_.get());
  }
  std::unique_ptr<StaticEmbedder> embedder_;
  std::unique_ptr<Preparation> preparation_;
};

TEST_F(PreparationTest, EveryChunkGetsTermsOfItsTitleAndAUnitVector) {
  chunking::Document d;
  d.id = "x";
  d.title = "Volcanoes";
  for (int i = 0; i < 40; ++i) d.text += "Lava flows downhill number " + std::to_string(i) + ". ";
  absl::StatusOr<index::PreparedDocument> p = preparation_->Prepare(d, "hash");
  ASSERT_TRUE(p.ok()) << p.status();
  ASSERT_GT(p->chunks.size(), 5u);
  for (const auto& c : p->chunks) {
    EXPECT_EQ(c.terms.term(c.terms.entries[0]), "volcano");
    ASSERT_EQ(c.vector.size(), embedder_->dim());
    float norm = 0;
    for (float x : c.vector) norm += x * x;
    EXPECT_NEAR(norm, 1, 1e-4);
  }
}

TEST_F(PreparationTest, ADocumentThatIsOnlyATitleIsFoundByIt) {
  chunking::Document d;
  d.id = "x";
  d.title = "Preliminary report";
  d.text = "  \n";
  absl::StatusOr<index::PreparedDocument> p = preparation_->Prepare(d, "hash");
  ASSERT_TRUE(p.ok());
  ASSERT_EQ(p->chunks.size(), 1u);
  EXPECT_EQ(p->document.text, "Preliminary report");
}

TEST_F(PreparationTest, TextWithoutKnownTokensGetsNoVector) {
  chunking::Document d;
  d.id = "x";
  d.text = "\xf3\xb0\x80\x80\xf3\xb0\x80\x81";  // Private use: in no vocabulary.
  absl::StatusOr<index::PreparedDocument> p = preparation_->Prepare(d, "hash");
  ASSERT_TRUE(p.ok());
  for (const auto& c : p->chunks) EXPECT_TRUE(c.vector.empty());
}

class FailingEmbedder : public Embedder {
 public:
  explicit FailingEmbedder(const Embedder* model) : model_(model) {}
  size_t dim() const override { return model_->dim(); }
  size_t max_tokens() const override { return 0; }
  const FusionAdvice& fusion() const override { return model_->fusion(); }
  absl::Status Embed(TextKind, absl::Span<const std::string_view>,
                     absl::Span<float>) const override {
    return absl::InternalError("out of order");
  }
  const chunking::Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  const std::string& fingerprint() const override { return model_->fingerprint(); }

 private:
  const Embedder* const model_;
};

TEST_F(PreparationTest, AModelsErrorNamesTheDocument) {
  const FailingEmbedder failing(embedder_.get());
  chunking::Document d;
  d.id = "x17";
  d.text = "words";
  const absl::Status s = (*Preparation::Create({}, &failing))->Prepare(d, "hash").status();
  EXPECT_TRUE(absl::IsInternal(s));
  EXPECT_EQ(s.message(), "document x17: out of order");
}

}  // namespace
}  // namespace cairn::engine
