// Blob files: what was written is read back, and nothing else is ever taken for it.
#include "index/kv_blob_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/support/row_stores.h"
#include "tests/support/temp_dir.h"

namespace cairn::index {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::FilesIn;
using ::cairn::testing::FileSizeLimit;
using ::cairn::testing::ReadFile;
using ::cairn::testing::TempDir;
using ::testing::HasSubstr;

KvBlobName NameOf(int seed) {
  KvBlobName name;
  for (size_t i = 0; i < name.bytes.size(); ++i) name.bytes[i] = static_cast<uint8_t>(seed + i);
  return name;
}

std::string Bytes(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

absl::Span<const std::byte> AsBytes(const std::string& s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

absl::Status WriteBlob(KvBlobFiles* files, const KvBlobName& name, const std::string& metadata,
                       const std::vector<std::string>& extents) {
  std::vector<absl::Span<const std::byte>> spans;
  for (const std::string& e : extents) spans.push_back(AsBytes(e));
  return files->Write(name, metadata, spans);
}

absl::StatusOr<std::string> ReadExtent(const KvBlobFile& file, size_t extent) {
  std::string bytes(file.extent_bytes(extent), '\0');
  absl::Status s = file.Read(extent, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
  if (!s.ok()) return s;
  return bytes;
}

// All of a blob, or why it cannot be had.
absl::StatusOr<std::vector<std::string>> ReadBlob(const std::string& path, const KvBlobName& name) {
  absl::StatusOr<std::unique_ptr<KvBlobFile>> file = KvBlobFile::Open(path, name);
  if (!file.ok()) return file.status();
  std::vector<std::string> all = {std::string((*file)->metadata())};
  for (size_t i = 0; i < (*file)->extents(); ++i) {
    absl::StatusOr<std::string> bytes = ReadExtent(**file, i);
    if (!bytes.ok()) return bytes.status();
    all.push_back(*std::move(bytes));
  }
  return all;
}

class KvBlobFilesTest : public ::testing::Test {
 protected:
  KvBlobFilesTest() : files_(directory_.path()) {}

  TempDir directory_;
  KvBlobFiles files_;
};

TEST_F(KvBlobFilesTest, RoundTrip) {
  const size_t sizes[] = {1, 2, 4095, 4096, 4097, 9000};
  std::mt19937 random(7);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<std::string> extents(1 + random() % 9);
    for (std::string& e : extents) e = Bytes(sizes[random() % 6], random());
    const std::string metadata = Bytes(random() % 3 == 0 ? 0 : random() % 5000, random());
    const KvBlobName name = NameOf(trial);
    ASSERT_TRUE(WriteBlob(&files_, name, metadata, extents).ok());
    std::vector<std::string> expected = {metadata};
    std::vector<uint64_t> bytes;
    for (const std::string& e : extents) bytes.push_back(e.size());
    expected.insert(expected.end(), extents.begin(), extents.end());
    const auto read = ReadBlob(files_.Path(name), name);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, expected);
    EXPECT_EQ(files_.FileBytes(name), KvBlobFileBytes(metadata.size(), bytes));
  }
  EXPECT_EQ(files_.blobs(), 60u);
  uint64_t blobs = 0, total = 0;
  files_.ForEach(false, [&](const KvBlobName&, uint64_t size) { ++blobs, total += size; });
  EXPECT_EQ(blobs, 60u);
  EXPECT_EQ(total, files_.bytes());
}

TEST_F(KvBlobFilesTest, TheLimitsOfTheFormat) {
  EXPECT_TRUE(absl::IsInvalidArgument(WriteBlob(&files_, NameOf(1), "", {})));
  EXPECT_TRUE(absl::IsInvalidArgument(WriteBlob(&files_, NameOf(1), "", {"a", ""})));
  const std::string longest(kMaxKvMetadataBytes, 'm');
  EXPECT_TRUE(absl::IsInvalidArgument(WriteBlob(&files_, NameOf(1), longest + "m", {"a"})));
  EXPECT_TRUE(absl::IsInvalidArgument(
      WriteBlob(&files_, NameOf(1), "", std::vector<std::string>(kMaxKvExtents + 1, "a"))));
  EXPECT_EQ(FilesIn(directory_.path() + "/kv").size(), 0u);
  ASSERT_TRUE(
      WriteBlob(&files_, NameOf(1), longest, std::vector<std::string>(kMaxKvExtents, "a")).ok());
  EXPECT_TRUE(ReadBlob(files_.Path(NameOf(1)), NameOf(1)).ok());
}

TEST_F(KvBlobFilesTest, TheWorkedExample) {
  KvBlobName name;
  for (size_t i = 0; i < name.bytes.size(); ++i) name.bytes[i] = static_cast<uint8_t>(i);
  ASSERT_TRUE(WriteBlob(&files_, name, "hi", {"keys", "values"}).ok());
  EXPECT_EQ(files_.Path(name), directory_.path() + "/kv/00/" + name.Hex() + ".kv");
  const std::string file = ReadFile(files_.Path(name));
  ASSERT_EQ(file.size(), 0x2006u);
  const auto hex = [&](size_t at, size_t size) {
    return absl::BytesToHexString(absl::string_view(file).substr(at, size));
  };
  EXPECT_EQ(hex(0, 0x20),
            "434149524e4b5642"
            "01000000"
            "02000000"
            "02000000"
            "00000000"
            "0620000000000000");
  EXPECT_EQ(hex(0x20, 0x20), name.Hex());
  EXPECT_EQ(hex(0x40, 0x10), "00100000000000000400000000000000");
  EXPECT_EQ(hex(0x50, 0x10), "a5eb8b745d24e80ddc9571e89e49c5ab");
  EXPECT_EQ(hex(0x60, 0x10), "00200000000000000600000000000000");
  EXPECT_EQ(hex(0x70, 0x10), "cb1d4d54995d7ee007833bbe1eacae9b");
  EXPECT_EQ(file.substr(0x80, 2), "hi");
  EXPECT_EQ(hex(0x82, 0x10), "788cf0ada6b0d70576db9b04e899ec17");
  EXPECT_EQ(file.substr(0x1000, 4), "keys");
  EXPECT_EQ(file.substr(0x2000), "values");
}

TEST_F(KvBlobFilesTest, EveryTruncationAndEveryFlippedBitIsFound) {
  const std::string metadata = Bytes(300, 1);
  const std::vector<std::string> extents = {Bytes(5000, 2), Bytes(64, 3), Bytes(4096, 4)};
  const KvBlobName name = NameOf(3);
  ASSERT_TRUE(WriteBlob(&files_, name, metadata, extents).ok());
  const std::string path = files_.Path(name), whole = ReadFile(path);
  const std::vector<std::string> expected = {metadata, extents[0], extents[1], extents[2]};
  for (size_t size = 0; size < whole.size(); size += size < 600 ? 1 : 512) {
    directory_.Write("damaged", whole.substr(0, size));
    EXPECT_TRUE(absl::IsDataLoss(ReadBlob(directory_.file("damaged"), name).status())) << size;
  }
  directory_.Write("damaged", whole + std::string(1, '\0'));
  EXPECT_TRUE(absl::IsDataLoss(ReadBlob(directory_.file("damaged"), name).status()));
  // Between the head, of 64 + 3 * 32 + 300 + 16 bytes, and the extents, where nobody looks.
  const auto between = [](size_t at) {
    return (at >= 476 && at < 4096) || (at >= 4096 + 5000 && at < 12288) ||
           (at >= 12288 + 64 && at < 16384);
  };
  for (size_t at = 0; at < whole.size(); at += at < 600 ? 1 : 37) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    directory_.Write("damaged", damaged);
    const auto read = ReadBlob(directory_.file("damaged"), name);
    ASSERT_EQ(read.ok(), between(at)) << at << read.status();
    if (read.ok()) {
      EXPECT_EQ(*read, expected) << at;
      continue;
    }
    // Versions are the one thing that may be right and yet not be read.
    EXPECT_TRUE(absl::IsDataLoss(read.status()) || (at >= 8 && at < 12)) << at << read.status();
  }
}

TEST_F(KvBlobFilesTest, ADamagedExtentLeavesTheOthersReadable) {
  const KvBlobName name = NameOf(3);
  ASSERT_TRUE(WriteBlob(&files_, name, "", {"first", "second", "third"}).ok());
  std::string bytes = ReadFile(files_.Path(name));
  bytes[2 * kKvBlobAlignment] ^= 1;
  fs::remove(files_.Path(name));
  directory_.Write("kv/03/" + name.Hex() + ".kv", bytes);
  absl::StatusOr<std::unique_ptr<KvBlobFile>> file = files_.Open(name);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*ReadExtent(**file, 0), "first");
  const absl::Status s = ReadExtent(**file, 1).status();
  EXPECT_TRUE(absl::IsDataLoss(s));
  EXPECT_THAT(s.message(), HasSubstr("extent 1"));
  EXPECT_EQ(*ReadExtent(**file, 2), "third");
}

TEST_F(KvBlobFilesTest, AnotherBlobsFileIsNotTaken) {
  ASSERT_TRUE(WriteBlob(&files_, NameOf(1), "", {"one"}).ok());
  ASSERT_TRUE(WriteBlob(&files_, NameOf(2), "", {"two"}).ok());
  fs::copy_file(files_.Path(NameOf(1)), files_.Path(NameOf(2)),
                fs::copy_options::overwrite_existing);
  const absl::Status s = files_.Open(NameOf(2)).status();
  EXPECT_TRUE(absl::IsDataLoss(s));
  EXPECT_THAT(s.message(), HasSubstr("another blob's"));
  EXPECT_TRUE(absl::IsNotFound(files_.Open(NameOf(9)).status()));
}

TEST_F(KvBlobFilesTest, ANewerVersionIsNamed) {
  ASSERT_TRUE(WriteBlob(&files_, NameOf(1), "", {"one"}).ok());
  std::string bytes = ReadFile(files_.Path(NameOf(1)));
  bytes[8] = 2;
  const std::string path = directory_.Write("newer", bytes);
  const absl::Status s = KvBlobFile::Open(path, NameOf(1)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(s.message(), HasSubstr("version 2"));
}

TEST_F(KvBlobFilesTest, NeitherLinksNorFoldersAreFollowed) {
  ASSERT_TRUE(WriteBlob(&files_, NameOf(1), "", {"one"}).ok());
  fs::create_symlink(files_.Path(NameOf(1)), directory_.file("link"));
  EXPECT_FALSE(KvBlobFile::Open(directory_.file("link"), NameOf(1)).ok());
  fs::create_directory(directory_.file("folder"));
  EXPECT_TRUE(absl::IsDataLoss(KvBlobFile::Open(directory_.file("folder"), NameOf(1)).status()));
}

TEST_F(KvBlobFilesTest, AFileThatShrinksWhileOpenIsDataLoss) {
  ASSERT_TRUE(WriteBlob(&files_, NameOf(1), "", {Bytes(10000, 1), Bytes(10000, 2)}).ok());
  absl::StatusOr<std::unique_ptr<KvBlobFile>> file = files_.Open(NameOf(1));
  ASSERT_TRUE(file.ok());
  fs::resize_file(files_.Path(NameOf(1)), 20000);
  EXPECT_TRUE(ReadExtent(**file, 0).ok());
  EXPECT_TRUE(absl::IsDataLoss(ReadExtent(**file, 1).status()));
}

TEST_F(KvBlobFilesTest, AFullDiskLeavesNoHalfFileAndTheOldOne) {
  ASSERT_TRUE(WriteBlob(&files_, NameOf(1), "", {"old"}).ok());
  {
    const FileSizeLimit limit(8192);
    EXPECT_FALSE(WriteBlob(&files_, NameOf(1), "", {Bytes(20000, 1)}).ok());
    EXPECT_FALSE(WriteBlob(&files_, NameOf(2), "", {Bytes(20000, 1)}).ok());
  }
  EXPECT_EQ(FilesIn(directory_.path() + "/kv/01").size(), 1u);
  EXPECT_EQ(FilesIn(directory_.path() + "/kv/02").size(), 0u);
  EXPECT_EQ((*ReadBlob(files_.Path(NameOf(1)), NameOf(1)))[1], "old");
  EXPECT_EQ(files_.blobs(), 1u);
  EXPECT_EQ(files_.bytes(), files_.FileBytes(NameOf(1)));
}

TEST_F(KvBlobFilesTest, WhileHeldFilesStay) {
  for (int i : {1, 2, 3}) ASSERT_TRUE(WriteBlob(&files_, NameOf(i), "", {"old"}).ok());
  {
    const KvBlobFiles::Hold hold(&files_);
    const KvBlobFiles::Hold another(&files_);
    files_.Remove(NameOf(1));
    files_.Remove(NameOf(2));
    files_.Remove(NameOf(2));
    EXPECT_EQ(files_.blobs(), 1u);
    EXPECT_TRUE(files_.Open(NameOf(1)).ok());
    // One that comes back stays.
    ASSERT_TRUE(WriteBlob(&files_, NameOf(2), "", {"new"}).ok());
    EXPECT_EQ(files_.blobs(), 2u);
  }
  EXPECT_TRUE(absl::IsNotFound(files_.Open(NameOf(1)).status()));
  EXPECT_EQ((*ReadBlob(files_.Path(NameOf(2)), NameOf(2)))[1], "new");
  EXPECT_EQ(files_.bytes(), 2 * files_.FileBytes(NameOf(2)));
}

TEST_F(KvBlobFilesTest, OneAtATimeHasAClaim) {
  constexpr int kThreads = 8, kTurns = 200;
  std::atomic<int> inside[3] = {};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kTurns; ++i) {
        const int a = static_cast<int>(random() % 3), b = static_cast<int>(random() % 3);
        const std::vector<KvBlobName> names = {NameOf(a), NameOf(b)};
        const KvBlobFiles::Claim claim(&files_, names);
        EXPECT_EQ(inside[a].fetch_add(1), 0);
        if (a != b) {
          EXPECT_EQ(inside[b].fetch_add(1), 0);
        }
        inside[a].fetch_sub(1);
        if (a != b) inside[b].fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(KvBlobNameTest, Hex) {
  const KvBlobName name = NameOf(250);
  EXPECT_EQ(KvBlobName::FromHex(name.Hex()), name);
  EXPECT_FALSE(KvBlobName::FromHex(name.Hex() + "0").has_value());
  EXPECT_FALSE(KvBlobName::FromHex(std::string(64, 'A')).has_value());
  EXPECT_FALSE(KvBlobName::FromHex("").has_value());
}

}  // namespace
}  // namespace cairn::index
