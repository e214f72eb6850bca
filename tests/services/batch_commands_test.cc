// embed and rerank: models over files.
#include <fstream>

#include "tests/services/cli_test.h"
#include "tests/support/model_directory.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class BatchCommands : public CliTest {
 protected:
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const std::string lines_ =
      "{\"id\": \"a\", \"text\": \"one\"}\n{\"_id\": \"b\", \"title\": \"T\", \"text\": \"two\"}\n";
};

TEST_F(BatchCommands, EmbedWritesAVectorForEachLine) {
  const ProcessResult result = Cairn({"embed"}, lines_);
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  const Strings out = Lines(result.out);
  ASSERT_THAT(out, SizeIs(2));
  EXPECT_EQ(Json::parse(out[0])["id"], "a");
  EXPECT_EQ(Json::parse(out[1])["id"], "b");
  EXPECT_FALSE(Json::parse(out[1])["vector"].empty());
  EXPECT_THAT(result.err, HasSubstr("2 vectors"));

  const std::string model = ::cairn::testing::WriteCharacterModel(dir_, "model", 1, 8);
  const std::string rows = dir_.file("rows.f32");
  const ProcessResult other = Cairn({"embed", "--embedder", model, "--format", "f32", "--out", rows,
                                     dir_.Write("in.jsonl", lines_)});
  EXPECT_EQ(other.exit_code, kOk) << other.err;
  EXPECT_EQ(Read(rows).size(), 2 * 8 * sizeof(float));
}

TEST_F(BatchCommands, ABadLineIsNamedAndCostsNotTheFileThatWasThere) {
  const std::string out = dir_.Write("out.jsonl", "as before");
  const std::string in = dir_.Write("in.jsonl", lines_ + "{\"id\": \"c\"}\n");
  const ProcessResult failed = Cairn({"embed", in, "--out", out});
  EXPECT_EQ(failed.exit_code, kError);
  EXPECT_THAT(failed.err, HasSubstr("in.jsonl:3: no \"text\""));
  EXPECT_EQ(Read(out), "as before");
  EXPECT_FALSE(std::filesystem::exists(out + ".new"));
  const ProcessResult skipped = Cairn({"embed", in, "--out", out, "--skip-bad"});
  EXPECT_EQ(skipped.exit_code, kOk);
  EXPECT_THAT(skipped.err, HasSubstr("2 vectors, 1 bad lines skipped"));
  EXPECT_THAT(Lines(Read(out)), SizeIs(2));
}

TEST_F(BatchCommands, WrongUseAndMissingFilesHaveTheirExitCodes) {
  EXPECT_EQ(Cairn({"embed"}, "").exit_code, kNothingFound);
  EXPECT_EQ(Cairn({"embed", dir_.file("none")}).exit_code, kError);
  EXPECT_EQ(Cairn({"embed", "--embedder", dir_.file("none")}).exit_code, kError);
  EXPECT_EQ(Cairn({"embed", "--kind", "other"}).exit_code, kUsage);
  EXPECT_EQ(Cairn({"rerank"}).exit_code, kUsage);
  EXPECT_EQ(Cairn({"rerank", "--reranker", "x", "--run", "r"}).exit_code, kUsage);
  EXPECT_EQ(Cairn({"rerank", "--reranker", "x", "--depth", "5"}).exit_code, kUsage);
  EXPECT_EQ(Cairn({"rerank", "--reranker", dir_.file("none")}).exit_code, kError);
  const ProcessResult search =
      Cairn({"search", "--store", store_, "--rerank", "5", "--reranker", dir_.file("none"), "q"});
  EXPECT_EQ(search.exit_code, kError);
}

TEST_F(BatchCommands, RerankingWithoutARerankerSaysSo) {
  ASSERT_EQ(Ingest({dir_.Write("a.txt", "some words")}).exit_code, kOk);
  const ProcessResult search = Cairn(OnStore("search", {"--rerank", "5", "words"}));
  EXPECT_EQ(search.exit_code, kError);
  EXPECT_THAT(search.err, HasSubstr("--reranker"));
}

}  // namespace
}  // namespace cairn::services
