#include "engine/model/model_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

namespace fs = std::filesystem;
using cairn::testing::TempDir;

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ModelDirectory, AppearsWhenItIsFinished) {
  const TempDir dir;
  auto model = ModelDirectory::Create(dir.file("m/"));  // A shell adds such slashes.
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE((*model)->Write("a", "one").ok());
  ASSERT_TRUE((*model)->Write("b", "").ok());
  EXPECT_FALSE(fs::exists(dir.file("m")));
  ASSERT_TRUE((*model)->Finish().ok());
  model->reset();
  EXPECT_EQ(Bytes(dir.file("m/a")), "one");
  EXPECT_TRUE(fs::exists(dir.file("m/b")));
  EXPECT_FALSE(fs::exists(dir.file("m.partial")));
}

TEST(ModelDirectory, LeavesNothingBehindWhereItIsNotFinished) {
  const TempDir dir;
  auto model = ModelDirectory::Create(dir.file("m"));
  ASSERT_TRUE((*model)->Write("a", "one").ok());
  model->reset();
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(ModelDirectory, TakesOverWhatAKilledRunLeft) {
  const TempDir dir;
  dir.Write("m.partial/a", "much longer than what comes");
  const auto model = ModelDirectory::Create(dir.file("m"));
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE((*model)->Write("a", "one").ok());
  ASSERT_TRUE((*model)->Finish().ok());
  EXPECT_EQ(Bytes(dir.file("m/a")), "one");
}

TEST(ModelDirectory, NeverOverwrites) {
  const TempDir dir;
  dir.Write("m/precious", "data");
  dir.Write("file", "data");
  fs::create_symlink("nowhere", dir.file("link"));
  for (const char* name : {"m", "m/", "file", "link"}) {
    EXPECT_EQ(ModelDirectory::Create(dir.file(name)).status().code(),
              absl::StatusCode::kAlreadyExists)
        << name;
  }
  EXPECT_EQ(ModelDirectory::Create(dir.file("no/m")).status().code(), absl::StatusCode::kNotFound);
  // What appears meanwhile stays too.
  const auto model = ModelDirectory::Create(dir.file("late"));
  ASSERT_TRUE((*model)->Write("a", "one").ok());
  dir.Write("late/precious", "data");
  EXPECT_FALSE((*model)->Finish().ok());
  EXPECT_EQ(Bytes(dir.file("late/precious")), "data");
}

}  // namespace
}  // namespace cairn::engine
