#include "engine/model/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::ReadFileOrDie;
using cairn::testing::TempDir;
using kernels::BlockFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

std::unique_ptr<GgufWriter> Create(const std::string& path) {
  auto writer = GgufWriter::Create(path);
  EXPECT_TRUE(writer.ok()) << writer.status();
  return *std::move(writer);
}

TEST(GgufWriter, ReaderGetsWhatWasWritten) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  const auto writer = Create(path);
  writer->AddUnsigned("u", 7);
  writer->AddReal("r", 0.5f);
  writer->AddBool("b", true);
  writer->AddString("s", "text");
  writer->AddStrings("ss", std::vector<std::string>{"a", "", "bc"});
  writer->AddFloats("fs", {1.0f, -2.5f});
  writer->AddInts("is", {3, -4});
  writer->AddBools("bs", {true, false});
  writer->AddBytes("raw", std::string_view("\0\xff", 2));
  writer->AddTensor("one", BlockFormat::kF32, {3, 5});
  writer->AddTensor("two", BlockFormat::kQ8_0, {2, 32});
  // In pieces of any size.
  const std::string one(60, 'o'), two(68, 't');
  for (size_t at = 0; at < one.size(); at += 7) {
    ASSERT_TRUE(writer->Append(one.substr(at, 7)).ok());
  }
  ASSERT_TRUE(writer->Append(two).ok());
  ASSERT_TRUE(writer->Finish().ok());

  const std::string file = ReadFileOrDie(path);
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->version(), 3u);
  EXPECT_EQ(*gguf->Unsigned("u"), 7u);
  EXPECT_EQ(*gguf->Real("r"), 0.5f);
  EXPECT_EQ(*gguf->Bool("b"), true);
  EXPECT_EQ(*gguf->String("s"), "text");
  EXPECT_THAT(gguf->Find("ss")->AsStrings(), Optional(ElementsAre("a", "", "bc")));
  EXPECT_THAT(gguf->Find("fs")->AsFloats(), Optional(ElementsAre(1.0f, -2.5f)));
  EXPECT_THAT(gguf->Find("is")->AsInts(), Optional(ElementsAre(3, -4)));
  EXPECT_THAT(gguf->Find("bs")->AsBools(), Optional(ElementsAre(true, false)));
  EXPECT_EQ(gguf->Find("raw")->bytes, std::string_view("\0\xff", 2));
  EXPECT_THAT(gguf->FindTensor("one")->view.shape, ElementsAre(3, 5));
  EXPECT_EQ(gguf->FindTensor("one")->view.bytes, one);
  EXPECT_EQ(gguf->FindTensor("two")->view.bytes, two);
  EXPECT_EQ(file.size() % 32, 0u);  // The last tensor is padded too, as other readers expect.
}

TEST(GgufWriter, CopiesValuesAsTheyStand) {
  const TempDir directory;
  const auto first = Create(directory.file("a"));
  first->AddUnsigned("u", 7);
  first->AddString("s", "text");
  first->AddStrings("ss", std::vector<std::string>{"a", "bc"});
  first->AddBool("b", false);
  ASSERT_TRUE(first->Finish().ok());
  const std::string file = ReadFileOrDie(directory.file("a"));
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok());
  const auto second = Create(directory.file("b"));
  for (const GgufEntry& entry : gguf->metadata()) second->AddValue(entry.key, entry.value);
  ASSERT_TRUE(second->Finish().ok());
  EXPECT_EQ(ReadFileOrDie(directory.file("b")), file);
}

TEST(GgufWriter, FileAppearsWhenItIsComplete) {
  const TempDir directory;
  const std::string path = directory.Write("m.gguf", "old");
  {
    const auto writer = Create(path);
    writer->AddTensor("t", BlockFormat::kF32, {1});
    ASSERT_TRUE(writer->Append("1234").ok());
    EXPECT_EQ(ReadFileOrDie(path), "old");
  }
  // Given up: nothing is left of it.
  EXPECT_EQ(ReadFileOrDie(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  const auto writer = Create(path);
  writer->AddTensor("t", BlockFormat::kF32, {1});
  ASSERT_TRUE(writer->Append("1234").ok());
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_TRUE(Gguf::Parse(ReadFileOrDie(path)).ok());
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(GgufWriter, RefusesNamesThatAreNoFiles) {
  const TempDir directory;
  EXPECT_THAT(GgufWriter::Create(directory.path()).status().message(),
              HasSubstr("not a regular file"));
  EXPECT_THAT(GgufWriter::Create("/dev/null").status().message(), HasSubstr("not a regular file"));
  EXPECT_EQ(GgufWriter::Create(directory.file("absent/m.gguf")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(GgufWriter, LargeTensorsPassThroughTheBuffer) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  const auto writer = Create(path);
  const uint64_t n = 1'000'003;
  writer->AddTensor("a", BlockFormat::kF32, {n});
  writer->AddTensor("b", BlockFormat::kF32, {n});
  std::string bytes(4 * n, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 5);
  for (int tensor = 0; tensor < 2; ++tensor) {
    for (size_t at = 0; at < bytes.size(); at += 300'001) {
      ASSERT_TRUE(writer->Append(std::string_view(bytes).substr(at, 300'001)).ok());
    }
  }
  ASSERT_TRUE(writer->Finish().ok());
  const std::string file = ReadFileOrDie(path);
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_TRUE(gguf->FindTensor("a")->view.bytes == bytes);
  EXPECT_TRUE(gguf->FindTensor("b")->view.bytes == bytes);
}

}  // namespace
}  // namespace cairn::engine
