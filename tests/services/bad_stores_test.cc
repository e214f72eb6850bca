// Stores and models that are damaged, busy, or of another make.
#include <cmath>

#include "tests/engine/model/model_builder.h"
#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kText[] = "The quokka lives on Rottnest Island.";

class BadStores : public CliTest {
 protected:
  void SetUp() override {
    path_ = dir_.Write("a.txt", kText);
    ASSERT_EQ(Ingest({path_}).exit_code, kOk);
  }

  // Every command that opens a store gives up with these words.
  void ExpectRefused(const std::string& reason) const {
    for (const Strings& command :
         {OnStore("ingest", {path_}), OnStore("search", {"quokka"}), OnStore("ask", {"quokka?"}),
          OnStore("get", {path_}), OnStore("list"), OnStore("delete", {path_}), OnStore("stats"),
          OnStore("verify")}) {
      const ProcessResult result = Cairn(command);
      EXPECT_EQ(result.exit_code, kError) << command[0] << result.err;
      EXPECT_EQ(result.out, "") << command[0];
      EXPECT_THAT(result.err, AllOf(HasSubstr(store_), HasSubstr(reason))) << command[0];
    }
  }

  std::string Read(const std::string& name) const {
    std::ifstream in(store_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  std::string path_;
};

TEST_F(BadStores, ANewerFormatIsRefusedByNameAndLeftAlone) {
  const std::string format = Read("FORMAT");
  dir_.Write("store/FORMAT", "cairn store\nformat 3\nuuid elsewhere\nand more to come\n");
  ExpectRefused("format 3");
  ExpectRefused("newer cairn");
  dir_.Write("store/FORMAT", format);
  EXPECT_EQ(StoredText(path_), kText);
  ExpectSound();
}

TEST_F(BadStores, ADamagedFormatFileIsRefused) {
  const std::string format = Read("FORMAT");
  std::string flipped = format;
  flipped[format.size() / 2] ^= 1;
  for (const std::string& bytes : {std::string(), flipped, format.substr(0, 20), format + "x",
                                   std::string(1 << 20, 'f'), std::string("\0\0\0\0", 4)}) {
    dir_.Write("store/FORMAT", bytes);
    ExpectRefused("FORMAT is damaged");
  }
  dir_.Write("store/FORMAT", format);
  ExpectSound();
}

TEST_F(BadStores, ASecondWriterIsRefusedAndReadersAreNot) {
  ProcessOptions options = Options(OnStore("ingest", {"--acks", "--format", "jsonl", "-"}));
  options.hold_input = true;
  Process first(std::move(options));
  std::string records;
  for (int i = 0; i < 3000; ++i) {
    records +=
        "{\"_id\": \"r" + std::to_string(i) + "\", \"text\": \"" + std::string(200, 'w') + "\"}\n";
  }
  first.WriteInput(records);
  ASSERT_TRUE(first.WaitForOutput("r0\n"));
  for (const Strings& command : {OnStore("ingest", {path_}), OnStore("delete", {path_})}) {
    const ProcessResult second = Cairn(command);
    EXPECT_EQ(second.exit_code, kError);
    EXPECT_THAT(second.err, AllOf(HasSubstr(store_), HasSubstr("open for writing")));
  }
  EXPECT_EQ(StoredText(path_), kText);
  ExpectSound();
  EXPECT_EQ(Cairn(OnStore("search", {"quokka"})).exit_code, kOk);
  EXPECT_EQ(first.Wait().exit_code, kOk);
  EXPECT_EQ(Ingest({path_}).exit_code, kOk);
  EXPECT_EQ(ListedIds().size(), 3001u);
  ExpectSound();
}

class DamagedStores : public CliTest {
 protected:
  void IngestRecords(int count) const {
    std::string records;
    for (int i = 0; i < count; ++i) {
      records += "{\"_id\": \"r" + std::to_string(i) + "\", \"text\": \"" +
                 std::to_string(i * 7919) + " some words that differ\"}\n";
    }
    ASSERT_EQ(Ingest({"--format", "jsonl", "-"}, records).exit_code, kOk);
    ExpectSound();
  }
  // Flips a bit in the middle of the largest file with that extension.
  void Damage(const std::string& extension) const {
    std::filesystem::path largest;
    uint64_t size = 0;
    for (const auto& entry : std::filesystem::directory_iterator(store_ + "/db")) {
      if (entry.path().extension() != extension || entry.file_size() <= size) continue;
      largest = entry.path();
      size = entry.file_size();
    }
    ASSERT_GT(size, 0u);
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(size / 2);
    file.seekg(middle);
    const int byte = file.get();
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 0x10));
  }
  void ExpectUnsound() const {
    const ProcessResult result = Cairn(OnStore("verify"));
    EXPECT_EQ(result.exit_code, kError) << result.out << result.err;
    EXPECT_NE(result.out + result.err, "");
  }
};

TEST_F(DamagedStores, ADamagedTableFileIsFound) {
  IngestRecords(12'000);
  Damage(".sst");
  ExpectUnsound();
}

// A log's damage cannot be told from its end: so a store that was closed leaves nothing in one.
TEST_F(DamagedStores, WhatAClosedStoreHoldsIsAllUnderChecksums) {
  IngestRecords(1000);
  for (const auto& entry : std::filesystem::directory_iterator(store_ + "/db")) {
    EXPECT_TRUE(entry.path().extension() != ".log" || entry.file_size() == 0) << entry.path();
  }
  Damage(".sst");
  ExpectUnsound();
}

TEST_F(BadStores, ADirectoryOfSomethingElseIsLeftAlone) {
  dir_.Write("photos/holiday.jpg", "beach");
  const ProcessResult result = Cairn({"ingest", "--store", dir_.file("photos"), path_});
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, AllOf(HasSubstr("photos"), HasSubstr("holiday.jpg")));
  const std::filesystem::directory_iterator entries(dir_.file("photos"));
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

class Models : public CliTest {
 protected:
  void SetUp() override { path_ = dir_.Write("a.txt", "hello world"); }

  // A model of four words in three dimensions; its directory.
  std::string WriteModel(const std::vector<float>& rows) const {
    using engine::testing::BytesOf;
    dir_.Write("model/config.json", "{\"model_type\": \"model2vec\", \"normalize\": true}");
    dir_.Write("model/tokenizer.json",
               engine::testing::TokenizerJson({"[PAD]", "[UNK]", "hello", "world"}));
    dir_.Write("model/model.safetensors", engine::testing::SafetensorsBuilder()
                                              .Add("embeddings", "F32", {4, 3}, BytesOf(rows))
                                              .Build());
    return dir_.file("model");
  }
  void ExpectRefused(const std::string& file, const std::string& reason) const {
    const ProcessResult result = Ingest({"--embedder", dir_.file("model"), path_});
    EXPECT_EQ(result.exit_code, kError) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr(dir_.file("model/" + file)), HasSubstr(reason)));
    EXPECT_FALSE(std::filesystem::exists(store_));
  }

  const std::vector<float> rows_ = {0, 0, 0, 0, 0, 0, 1, 2, 3, -1, 0, 4};
  std::string path_;
};

TEST_F(Models, AModelDirectoryIsUsed) {
  const std::string model = WriteModel(rows_);
  ASSERT_EQ(Ingest({"--embedder", model, path_}).exit_code, kOk);
  const ProcessResult found =
      Cairn(OnStore("search", {"--embedder", model, "--mode", "vector", "--json", "hello"}));
  EXPECT_EQ(found.exit_code, kOk) << found.err;
  // "hello" is (1,2,3), the text the direction of (0,2,7).
  EXPECT_NEAR(ParseJson(found)["hits"][0]["score"].get<double>(), 25 / std::sqrt(14.0 * 53.0),
              1e-3);
  const Json stats = ParseJson(Cairn(OnStore("stats", {"--json", "--embedder", model})));
  EXPECT_EQ(stats["collections"][0]["dimensions"], 3);
}

TEST_F(Models, AnotherModelThanTheCollectionsIsRefusedButWordsAreSearched) {
  ASSERT_EQ(Ingest({"--embedder", WriteModel(rows_), path_}).exit_code, kOk);
  EXPECT_EQ(Ingest({path_}).exit_code, kError);
  const ProcessResult refused = Cairn(OnStore("search", {"hello"}));
  EXPECT_EQ(refused.exit_code, kError);
  EXPECT_THAT(refused.err, HasSubstr("another model"));
  EXPECT_EQ(Cairn(OnStore("search", {"--mode", "lexical", "hello"})).exit_code, kOk);
}

TEST_F(Models, NotANumberIsFound) {
  std::vector<float> rows = rows_;
  rows[7] = std::nanf("");
  WriteModel(rows);
  ExpectRefused("model.safetensors", "");
  rows[7] = INFINITY;
  WriteModel(rows);
  ExpectRefused("model.safetensors", "");
}

TEST_F(Models, TruncatedFilesAreNamed) {
  for (const char* file : {"model.safetensors", "tokenizer.json", "config.json"}) {
    const std::string path = WriteModel(rows_) + "/" + file;
    const uint64_t whole = std::filesystem::file_size(path);
    for (uint64_t size : {uint64_t{0}, uint64_t{5}, whole / 2, whole - 1}) {
      std::filesystem::resize_file(path, size);
      ExpectRefused(file, "");
      WriteModel(rows_);
    }
    std::filesystem::remove(path);
    ExpectRefused(file, "No such file");
  }
}

TEST_F(Models, HugeClaimsAreRefusedWithoutAllocating) {
  WriteModel(rows_);
  for (const char* header :
       {"{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
        "\"data_offsets\":[0,48]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[0,"
        "18446744073709551615]}}",
        "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[4,-3],\"data_offsets\":[0,48]}}"}) {
    dir_.Write("model/model.safetensors",
               engine::testing::SafetensorsFile(header, std::string(48, '\0')));
    ExpectRefused("model.safetensors", "");
  }
  dir_.Write("model/model.safetensors", std::string(8, '\xFF') + "{}");
  ExpectRefused("model.safetensors", "");
}

}  // namespace
}  // namespace cairn::services
