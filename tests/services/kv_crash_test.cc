// Killed at any moment, the building of keys and values leaves nothing bad behind.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/services/cli_test.h"
#include "tests/services/language_model.h"

namespace cairn::services {
namespace {

constexpr int kBuildKills = 40;

class KvCrash : public CliTest {
 protected:
  void SetUp() override {
    model_ = WriteLanguageModel(dir_, 8);
    std::string lines;
    for (int i = 0; i < 120; ++i) {
      std::string text;
      for (int s = 0; s < 5; ++s) {
        text += "Animal " + std::to_string(i) + " has " + std::to_string(i + s) +
                " hearts, and lives by the river. ";
      }
      lines += Json({{"_id", "d" + std::to_string(i)}, {"text", text}}).dump() + "\n";
    }
    const ProcessResult ingested = Ingest({"--chunk-tokens", "40", dir_.Write("in.jsonl", lines)});
    ASSERT_EQ(ingested.exit_code, kOk) << ingested.err;
  }

  Strings Kv(std::string command, const Strings& rest = {}) const {
    Strings arguments = OnStore("kv", rest);
    arguments.insert(arguments.begin() + 1, std::move(command));
    return arguments;
  }
  Strings Build() const { return Kv("build", {"--model", model_, "--json"}); }
  ProcessResult AskFast() const {
    return Cairn(OnStore("ask", {"--model", model_, "--max-tokens", "4", "--kv-reuse", "fast",
                                 "--json", "How many hearts has animal 7?"}));
  }
  Json Fast() const { return ParseJson(AskFast()); }

  std::string model_;
};

TEST_F(KvCrash, ABuildKilledAtAnyMomentGoesOnAndServesNothingBad) {
  const auto start = Process::Clock::now();
  const Json all = ParseJson(Cairn(Build()));
  const auto whole =
      std::chrono::duration_cast<std::chrono::microseconds>(Process::Clock::now() - start);
  ASSERT_EQ(Cairn(Kv("evict", {"--all"})).exit_code, kOk);
  std::mt19937 random(5);
  uint64_t before = 0;
  int killed = 0, moved = 0;
  for (int i = 0; i < kBuildKills; ++i) {
    Process process(Options(Build()));
    process.RunFor(std::chrono::microseconds(
        std::uniform_int_distribution<int64_t>(0, whole.count() / 2)(random)));
    process.Signal(SIGKILL);
    killed += process.Wait().signal == SIGKILL;
    const ProcessResult verified = Cairn(Kv("verify"));
    ASSERT_EQ(verified.exit_code, kOk) << verified.out << verified.err;
    const uint64_t now = ParseJson(Cairn(Kv("stats", {"--json"})))["disk"]["chunks"];
    EXPECT_GE(now, before) << "what was durable is gone";
    moved += now > before;
    before = now;
    if (before == all["chunks"]) {
      ASSERT_EQ(Cairn(Kv("evict", {"--all"})).exit_code, kOk);
      before = 0;
    }
    if (HasNonfatalFailure()) return;
  }
  EXPECT_GT(killed, kBuildKills / 2);
  EXPECT_GT(moved, 0) << "no kill came in the middle";
  const Json rest = ParseJson(Cairn(Build()));
  EXPECT_EQ(rest["known"].get<uint64_t>(), before);
  EXPECT_EQ(rest["known"].get<uint64_t>() + rest["chunks"].get<uint64_t>(),
            all["chunks"].get<uint64_t>());
  ExpectSound();
  const Json answer = Fast();
  EXPECT_EQ(answer["usage"]["reuse"]["method"], "reposition") << answer["usage"];
}

TEST_F(KvCrash, CutAndFlippedBlobsAreComputedAgainAndTheAnswerIsTheSame) {
  ASSERT_EQ(Cairn(Build()).exit_code, kOk);
  const Json good = Fast();
  ASSERT_GT(good["usage"]["reuse"]["reused_tokens"], 0);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store_ + "/kv")) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::mt19937 random(9);
  for (size_t i = 0; i < files.size(); ++i) {
    const auto size = static_cast<uint64_t>(std::filesystem::file_size(files[i]));
    if (i % 2 == 0) {
      std::filesystem::resize_file(files[i], random() % size);
      continue;
    }
    std::fstream file(files[i], std::ios::in | std::ios::out | std::ios::binary);
    // In a layer: what lies between layers is of no account.
    const auto at = static_cast<std::streamoff>(4096 + random() % 64);
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(at);
    file.put(byte);
  }
  const Json exact =
      ParseJson(Cairn(OnStore("ask", {"--model", model_, "--max-tokens", "4", "--kv-reuse", "exact",
                                      "--json", "How many hearts has animal 7?"})));
  const ProcessResult asked = AskFast();
  EXPECT_THAT(asked.err, ::testing::HasSubstr("cairn: warning: KV blob of collection"));
  const Json damaged = ParseJson(asked);
  EXPECT_EQ(damaged["usage"]["reuse"]["reused_tokens"], 0) << damaged["usage"];
  EXPECT_EQ(damaged["answer"], exact["answer"]);
  constexpr int kDamaged = 1;
  EXPECT_EQ(Cairn(Kv("verify")).exit_code, kDamaged);
  EXPECT_EQ(Cairn(Kv("verify")).exit_code, kOk);
  ASSERT_EQ(Cairn(Build()).exit_code, kOk);
  EXPECT_EQ(Fast()["answer"], good["answer"]);
}

}  // namespace
}  // namespace cairn::services
