#include "engine/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/engine/model/gguf_builder.h"
#include "tests/support/shared_data.h"

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using ::testing::Optional;
using testing::Raw;
using testing::RawString;

constexpr uint64_t kHuge = ~uint64_t{0};

std::string GgufError(std::string_view file) {
  // An exact-size allocation, so that a sanitizer sees any read beyond it.
  const std::vector<char> exact(file.begin(), file.end());
  const auto parsed = Gguf::Parse({exact.data(), exact.size()});
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}
std::string GgufError(const GgufBuilder& builder) { return GgufError(builder.Build()); }

std::string Floats(size_t n) { return std::string(4 * n, 'f'); }

// A file with a bit of everything.
GgufBuilder Sample() {
  return GgufBuilder()
      .String("general.architecture", "llama")
      .Alignment(64)
      .U32("u32", 7)
      .F32("f32", 0.5f)
      .Bool("yes", true)
      .Strings("words", {"a", "", "b c"})
      .Array("numbers", 5, 2, Raw<int32_t>(-1) + Raw<int32_t>(5))
      .Array("none", 8, 0, "")
      .Tensor("one", {4, 3}, 0, Floats(12))
      .Tensor("two", {32}, 8, std::string(34, 'q'))
      .Tensor("three", {1, 1, 1, 2}, 1, "hhhh");
}

TEST(Gguf, ReadsMetadataTensorsAndBytes) {
  const std::string file = Sample().Build();
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->version(), 3u);
  EXPECT_EQ(gguf->alignment(), 64u);
  EXPECT_EQ(gguf->metadata().size(), 8u);
  EXPECT_EQ(gguf->metadata()[2].key, "u32");
  EXPECT_THAT(gguf->Find("words")->AsStrings(), Optional(ElementsAre("a", "", "b c")));
  EXPECT_THAT(gguf->Find("numbers")->AsInts(), Optional(ElementsAre(-1, 5)));
  EXPECT_EQ(gguf->Find("none")->count, 0u);
  EXPECT_EQ(gguf->Find("absent"), nullptr);

  ASSERT_EQ(gguf->tensors().size(), 3u);
  EXPECT_EQ(gguf->tensors()[0].name, "one");
  EXPECT_THAT(gguf->tensors()[0].view.shape, ElementsAre(3, 4));  // Row-major.
  EXPECT_EQ(gguf->FindTensor("one")->view.bytes, Floats(12));
  EXPECT_EQ(gguf->FindTensor("two")->view.format, kernels::BlockFormat::kQ8_0);
  EXPECT_EQ(gguf->FindTensor("two")->view.bytes, std::string(34, 'q'));
  EXPECT_THAT(gguf->FindTensor("three")->view.shape, ElementsAre(2, 1, 1, 1));
  EXPECT_EQ(gguf->FindTensor("four"), nullptr);
  // Views, not copies.
  EXPECT_EQ(gguf->FindTensor("three")->view.bytes.data() + 4, file.data() + file.size());
}

TEST(Gguf, ReadsScalarsOfEveryType) {
  const std::string file = GgufBuilder()
                               .Entry("u8", 0, Raw<uint8_t>(200))
                               .Entry("i8", 1, Raw<int8_t>(-3))
                               .Entry("u16", 2, Raw<uint16_t>(60'000))
                               .Entry("i16", 3, Raw<int16_t>(300))
                               .Entry("i32", 5, Raw<int32_t>(-70'000))
                               .Entry("u64", 10, Raw<uint64_t>(uint64_t{1} << 40))
                               .Entry("i64", 11, Raw<int64_t>(9))
                               .Entry("f64", 12, Raw<double>(2.5))
                               .Build();
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(gguf->Find("u8")->AsUnsigned(), 200u);
  EXPECT_EQ(gguf->Find("i8")->AsUnsigned(), std::nullopt);
  EXPECT_EQ(gguf->Find("u16")->AsUnsigned(), 60'000u);
  EXPECT_EQ(gguf->Find("i16")->AsUnsigned(), 300u);
  EXPECT_EQ(gguf->Find("i32")->AsUnsigned(), std::nullopt);
  EXPECT_EQ(gguf->Find("u64")->AsUnsigned(), uint64_t{1} << 40);
  EXPECT_EQ(gguf->Find("i64")->AsUnsigned(), 9u);
  EXPECT_EQ(gguf->Find("f64")->AsReal(), 2.5);
  EXPECT_EQ(*gguf->Unsigned("u16"), 60'000u);
  EXPECT_EQ(*gguf->Real("f64"), 2.5f);
  EXPECT_EQ(*gguf->Real("u8"), 200.0f);
}

TEST(Gguf, TypedAccessTellsAbsentFromWrong) {
  const std::string file = GgufBuilder()
                               .U32("u32", 7)
                               .Entry("wide", 10, Raw<uint64_t>(uint64_t{1} << 32))
                               .F32("nan", std::numeric_limits<float>::quiet_NaN())
                               .Entry("large", 12, Raw<double>(1e300))
                               .Build();
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(*gguf->Unsigned("absent"), std::nullopt);
  EXPECT_EQ(*gguf->String("absent"), std::nullopt);
  EXPECT_THAT(gguf->String("u32").status().message(),
              HasSubstr("metadata \"u32\": type uint32, or its value, is not a string"));
  // Would lose bits in a cast.
  EXPECT_THAT(gguf->Unsigned("wide").status().message(), HasSubstr("wide"));
  EXPECT_FALSE(gguf->Real("nan").ok());
  EXPECT_FALSE(gguf->Real("large").ok());
  EXPECT_FALSE(gguf->Bool("u32").ok());
}

TEST(Gguf, RefusesOtherFilesVersionsAndByteOrders) {
  EXPECT_THAT(GgufError(""), HasSubstr("truncated"));
  EXPECT_THAT(GgufError("ggjt\3\0\0\0"), HasSubstr("not a GGUF file"));
  EXPECT_EQ(GgufError(GgufBuilder().Version(2)), "");
  EXPECT_EQ(GgufError(GgufBuilder().Version(3)), "");
  EXPECT_THAT(GgufError(GgufBuilder().Version(1)), HasSubstr("version 1 is not supported"));
  EXPECT_THAT(GgufError(GgufBuilder().Version(0)), HasSubstr("version 0 is not supported"));
  EXPECT_THAT(GgufError(GgufBuilder().Version(4)), HasSubstr("version 4 is not supported"));
  EXPECT_THAT(GgufError(GgufBuilder().Version(0x03000000)), HasSubstr("big-endian"));
}

TEST(Gguf, RefusesCountsThatTheFileCannotHold) {
  EXPECT_EQ(GgufError(GgufBuilder()), "");
  for (uint64_t count : {uint64_t{1}, uint64_t{1} << 32, uint64_t{1} << 62, kHuge}) {
    EXPECT_THAT(GgufError(GgufBuilder().SayEntries(count)),
                HasSubstr("metadata entries do not fit"));
    EXPECT_THAT(GgufError(GgufBuilder().SayTensors(count)), HasSubstr("tensors do not fit"));
  }
  // One more than there are.
  EXPECT_NE(GgufError(Sample().SayEntries(9)), "");
  EXPECT_NE(GgufError(Sample().SayTensors(4)), "");
}

TEST(Gguf, RefusesStringLengthsBeyondTheFile) {
  for (uint64_t length : {uint64_t{100}, uint64_t{1} << 32, uint64_t{1} << 63, kHuge - 7, kHuge}) {
    const std::string lie = Raw(length) + "text";
    EXPECT_THAT(GgufError(GgufBuilder().Entry("k", 8, lie)),
                HasSubstr("truncated: metadata \"k\""));
    EXPECT_THAT(GgufError(GgufBuilder().Array("k", 8, 1, lie)), HasSubstr("string 0"));
    // A key, and a tensor's name.
    const std::string head = "GGUF" + Raw<uint32_t>(3);
    const std::string rest = lie + std::string(40, '\0');
    EXPECT_NE(GgufError(head + Raw<uint64_t>(0) + Raw<uint64_t>(1) + rest), "");
    EXPECT_NE(GgufError(head + Raw<uint64_t>(1) + Raw<uint64_t>(0) + rest), "");
  }
}

TEST(Gguf, RefusesEmptyAndOverlongNames) {
  EXPECT_THAT(GgufError(GgufBuilder().U32("", 1)), HasSubstr("metadata key 0 has 0 bytes"));
  EXPECT_EQ(GgufError(GgufBuilder().U32(std::string(65'535, 'k'), 1)), "");
  EXPECT_THAT(GgufError(GgufBuilder().U32(std::string(65'536, 'k'), 1)), HasSubstr("65536 bytes"));
  EXPECT_THAT(GgufError(GgufBuilder().Tensor("", {1}, 0, "ffff")), HasSubstr("has 0 bytes"));
  EXPECT_EQ(GgufError(GgufBuilder().Tensor(std::string(64, 't'), {1}, 0, "ffff")), "");
  EXPECT_THAT(GgufError(GgufBuilder().Tensor(std::string(65, 't'), {1}, 0, "ffff")),
              HasSubstr("has 65 bytes"));
}

TEST(Gguf, RefusesArraysBeyondTheFile) {
  EXPECT_EQ(GgufError(GgufBuilder().Array("k", 4, 2, "aaaabbbb")), "");
  EXPECT_THAT(GgufError(GgufBuilder().Array("k", 4, 3, "aaaabbbb")), HasSubstr("3 elements of 4"));
  // 2^62 * 4 wraps to 0, 2^61 * 8 as well.
  EXPECT_THAT(GgufError(GgufBuilder().Array("k", 4, uint64_t{1} << 62, "")),
              HasSubstr("do not fit"));
  EXPECT_THAT(GgufError(GgufBuilder().Array("k", 10, (uint64_t{1} << 61) + 1, std::string(8, 'a'))),
              HasSubstr("do not fit"));
  EXPECT_THAT(GgufError(GgufBuilder().Array("k", 0, kHuge, "")), HasSubstr("do not fit"));
  EXPECT_THAT(GgufError(GgufBuilder().Array("k", 8, kHuge / 8 + 2, std::string(16, '\0'))),
              HasSubstr("strings do not fit"));
}

TEST(Gguf, RefusesNestedArraysAndUnknownTypes) {
  const std::string inner = Raw<uint32_t>(4) + Raw<uint64_t>(0);
  EXPECT_THAT(GgufError(GgufBuilder().Array("k", 9, 1, inner)), HasSubstr("nested array"));
  for (uint32_t type : {13u, 255u, 0x80000000u, 0xffffffffu}) {
    EXPECT_THAT(GgufError(GgufBuilder().Entry("k", type, "12345678")), HasSubstr("unknown type"));
    EXPECT_THAT(GgufError(GgufBuilder().Array("k", type, 0, "")),
                HasSubstr("unknown element type"));
  }
  EXPECT_THAT(GgufError(GgufBuilder().Entry("k", 7, "\x02")), HasSubstr("neither 0 nor 1"));
}

TEST(Gguf, RefusesDuplicateKeysAndTensors) {
  EXPECT_EQ(GgufError(GgufBuilder().U32("a", 1).U32("b", 1)), "");
  EXPECT_EQ(GgufError(GgufBuilder().U32("a", 1).U32("b", 1).U32("a", 2)),
            "duplicate metadata key \"a\"");
  EXPECT_EQ(GgufError(GgufBuilder().Tensor("t", {1}, 0, "ffff").Tensor("t", {1}, 0, "ffff")),
            "duplicate tensor \"t\"");
}

TEST(Gguf, RefusesAlignmentsThatAreNoPowersOfTwo) {
  for (uint32_t good : {1u, 8u, 32u, 4096u}) {
    EXPECT_EQ(GgufError(GgufBuilder().Alignment(good).Tensor("t", {1}, 0, "ffff")), "") << good;
  }
  for (uint32_t bad : {0u, 3u, 24u, 0xffffffffu}) {
    EXPECT_THAT(GgufError(GgufBuilder().U32("general.alignment", bad)), HasSubstr("power of two"));
  }
  EXPECT_THAT(GgufError(GgufBuilder().String("general.alignment", "32")),
              HasSubstr("power of two"));
  EXPECT_THAT(GgufError(GgufBuilder().Entry("general.alignment", 10, Raw(uint64_t{1} << 63))),
              HasSubstr("power of two"));
}

TEST(Gguf, RefusesImpossibleShapes) {
  const auto shaped = [](const std::vector<uint64_t>& sizes, uint32_t type = 0) {
    return GgufError(GgufBuilder().Info("t", sizes, type, 0).Data(Floats(64)));
  };
  EXPECT_EQ(shaped({4, 4}), "");
  EXPECT_THAT(shaped({}), HasSubstr("0 dimensions"));
  EXPECT_THAT(shaped({1, 1, 1, 1, 1}), HasSubstr("5 dimensions"));
  EXPECT_THAT(shaped({4, 0}), HasSubstr("a dimension of 0"));
  // Products that wrap to something small.
  EXPECT_THAT(shaped({uint64_t{1} << 32, uint64_t{1} << 32}), HasSubstr("overflows"));
  EXPECT_THAT(shaped({uint64_t{1} << 62, 4}), HasSubstr("overflows"));
  EXPECT_THAT(shaped({uint64_t{1} << 62}), HasSubstr("overflows"));
  EXPECT_THAT(shaped({kHuge}), HasSubstr("overflows"));
  EXPECT_THAT(shaped({uint64_t{1} << 63, 2, 1, 1}), HasSubstr("overflows"));
  // More values than an int holds is a matter of the file's size only.
  EXPECT_THAT(shaped({uint64_t{1} << 33}), HasSubstr("lie outside"));
  // Rows of whole blocks: the tensor's size being a multiple is not enough.
  EXPECT_THAT(shaped({16, 2}, 8), HasSubstr("rows of 16 values are no whole blocks of Q8_0"));
  EXPECT_THAT(shaped({32, 2}, 12), HasSubstr("no whole blocks of Q4_K"));
  // A number of dimensions that would make an allocation.
  const std::string info = RawString("t") + Raw<uint32_t>(0xffffffffu) + std::string(64, '\0');
  EXPECT_THAT(GgufError("GGUF" + Raw<uint32_t>(3) + Raw<uint64_t>(1) + Raw<uint64_t>(0) + info),
              HasSubstr("4294967295 dimensions"));
}

TEST(Gguf, RefusesFormatsItDoesNotKnowByName) {
  const auto typed = [](uint32_t type) {
    return GgufError(GgufBuilder().Tensor("t", {256}, type, Floats(256)));
  };
  for (uint32_t known : {0u, 1u, 2u, 3u, 6u, 7u, 8u, 12u, 13u, 14u, 30u}) {
    EXPECT_EQ(typed(known), "") << known;
  }
  EXPECT_EQ(typed(10), "tensor \"t\": format 10 (Q2_K) is not supported");
  EXPECT_EQ(typed(4), "tensor \"t\": format 4 (unknown) is not supported");
  EXPECT_EQ(typed(0xffffffffu), "tensor \"t\": format 4294967295 (unknown) is not supported");
}

TEST(Gguf, RefusesTensorsOutsideTheFileMisalignedOrOverlapping) {
  const auto at = [](uint64_t offset) {
    return GgufError(GgufBuilder().Info("t", {8}, 0, offset).Data(std::string(96, 'd')));
  };
  EXPECT_EQ(at(0), "");
  EXPECT_EQ(at(64), "");
  EXPECT_THAT(at(96), HasSubstr("lie outside the 96 bytes"));
  EXPECT_THAT(at(4), HasSubstr("offset 4 is not a multiple of 32"));
  // Offset plus size wraps.
  EXPECT_THAT(at(kHuge - 31), HasSubstr("lie outside"));
  EXPECT_THAT(at(uint64_t{1} << 63), HasSubstr("lie outside"));
  const auto two = [](uint64_t a, uint64_t b) {
    return GgufError(
        GgufBuilder().Info("a", {12}, 0, a).Info("b", {8}, 0, b).Data(std::string(128, 'd')));
  };
  EXPECT_EQ(two(0, 64), "");
  EXPECT_EQ(two(32, 0), "");
  EXPECT_EQ(two(0, 32), "tensor \"b\": overlaps tensor \"a\"");
  EXPECT_NE(two(64, 64), "");
}

TEST(Gguf, ManyEntriesAndTensorsAreNoProblem) {
  GgufBuilder builder;
  for (int i = 0; i < 20'000; ++i) builder.U32("k" + std::to_string(i), i);
  for (int i = 0; i < 20'000; ++i) builder.Tensor("t" + std::to_string(i), {1}, 0, "ffff");
  const std::string file = builder.Build();
  const auto gguf = Gguf::Parse(file);
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ(*gguf->Unsigned("k19999"), 19'999u);
  EXPECT_NE(gguf->FindTensor("t777"), nullptr);
}

TEST(Gguf, RefusesAFileCutAnywhere) {
  const std::string file = Sample().Build();
  ASSERT_EQ(GgufError(file), "");
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(GgufError(std::string_view(file).substr(0, size)), "") << size;
  }
}

// What is accepted keeps the promises, whatever the damage.
void CheckPromises(std::string_view file) {
  const std::vector<char> exact(file.begin(), file.end());
  const auto gguf = Gguf::Parse({exact.data(), exact.size()});
  if (!gguf.ok()) return;
  const char* end = exact.data() + exact.size();
  for (const GgufTensor& tensor : gguf->tensors()) {
    ASSERT_GE(tensor.view.bytes.data(), exact.data());
    ASSERT_LE(tensor.view.bytes.data() + tensor.view.bytes.size(), end);
    ASSERT_EQ(gguf->FindTensor(tensor.name), &tensor);
  }
  for (const GgufEntry& entry : gguf->metadata()) {
    ASSERT_EQ(gguf->Find(entry.key), &entry.value);
    if (const auto strings = entry.value.AsStrings(); strings.has_value()) {
      ASSERT_EQ(strings->size(), entry.value.count);
    }
    entry.value.AsUnsigned();
    entry.value.AsFloats();
    entry.value.AsInts();
  }
}

TEST(Gguf, SurvivesEveryChangedByteAndRandomDamage) {
  const std::string file = Sample().Build();
  for (size_t at = 0; at < file.size(); ++at) {
    for (int value = 0; value < 256; value += at < 256 ? 1 : 17) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(value);
      CheckPromises(damaged);
    }
  }
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = file;
    for (int n = random() % 4; n >= 0; --n) damaged[random() % damaged.size()] ^= 1 << random() % 8;
    CheckPromises(damaged);
  }
}

TEST(Gguf, ReadsPublishedFiles) {
  CAIRN_NEED_SHARED("models/stories260k");
  const std::string root = cairn::testing::SharedDir();
  EXPECT_EQ(GgufError(cairn::testing::ReadFileOrDie(root + "/models/stories260k/stories260K.gguf")),
            "");
  for (const char* name : {"bert-bge", "falcon", "gpt-2", "llama-spm", "mpt", "phi-3"}) {
    const std::string path = root + "/tokenizers/ggml-vocab-" + name + ".gguf";
    EXPECT_EQ(GgufError(cairn::testing::ReadFileOrDie(path)), "") << name;
  }
}

TEST(Gguf, RefusesAFileThatWasRecodedAsText) {
  CAIRN_NEED_SHARED("hostile");
  EXPECT_THAT(GgufError(cairn::testing::ReadFileOrDie(
                  cairn::testing::SharedDir() + "/hostile/ggml-vocab-llama-spm.utf8-mangled.gguf")),
              HasSubstr("metadata key 9 takes"));
}

}  // namespace
}  // namespace cairn::engine
