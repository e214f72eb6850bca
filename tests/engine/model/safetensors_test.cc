#include "engine/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/engine/model/model_builder.h"
#include "tests/support/shared_data.h"

namespace cairn::engine {
namespace {

using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SafetensorsBuilder;
using testing::SafetensorsFile;

// A file that holds one tensor as described, over `bytes` bytes of data.
std::string OneTensor(const std::string& fields, size_t bytes) {
  return SafetensorsFile("{\"t\":{" + fields + "}}", std::string(bytes, 'x'));
}

std::string SafeTensorsError(std::string_view file) {
  const auto parsed = SafeTensors::Parse(file);
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}

TEST(SafeTensors, ReadsTypesShapesAndBytes) {
  const std::string file = SafetensorsBuilder()
                               .Add("matrix", "F32", {2, 3}, std::string(24, 'm'))
                               .Add("scalar", "F64", {}, std::string(8, 's'))
                               .Add("none", "I16", {0, 7}, "")
                               .Add("bytes", "I8", {3}, "abc")
                               .Build();
  const auto parsed = SafeTensors::Parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->tensors().size(), 4u);
  const Tensor& matrix = **parsed->Find("matrix");
  EXPECT_EQ(matrix.type, TensorType::kF32);
  EXPECT_THAT(matrix.shape, ElementsAre(2, 3));
  EXPECT_EQ(matrix.elements(), 6u);
  EXPECT_EQ(matrix.bytes, std::string(24, 'm'));
  EXPECT_EQ((*parsed->Find("scalar"))->elements(), 1u);
  EXPECT_EQ((*parsed->Find("scalar"))->bytes, std::string(8, 's'));
  EXPECT_EQ((*parsed->Find("none"))->elements(), 0u);
  EXPECT_EQ((*parsed->Find("bytes"))->bytes, "abc");
  // Views, not copies.
  EXPECT_EQ((*parsed->Find("bytes"))->bytes.data() + 3, file.data() + file.size());
}

TEST(SafeTensors, KnowsEveryTypesSize) {
  const std::pair<const char*, size_t> types[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2},
                                                  {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
                                                  {"U8", 1},  {"BOOL", 1}};
  for (const auto& [name, size] : types) {
    EXPECT_EQ(SafeTensorsError(
                  SafetensorsBuilder().Add("t", name, {5}, std::string(5 * size, 0)).Build()),
              "")
        << name;
  }
}

TEST(SafeTensors, AcceptsMetadataPaddingAndAnyOrderOfEntries) {
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"__metadata__":{"format":"pt"},)"
      R"("a":{"data_offsets":[0,2],"shape":[2],"dtype":"U8"}}   )";
  const std::string file = SafetensorsFile(header, "xyz");
  const auto parsed = SafeTensors::Parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ((*parsed->Find("a"))->bytes, "xy");
  EXPECT_EQ((*parsed->Find("b"))->bytes, "z");
}

TEST(SafeTensors, AcceptsAFileWithoutTensors) {
  EXPECT_EQ(SafeTensorsError(SafetensorsFile("{}", "")), "");
}

TEST(SafeTensors, FindNamesTheMissingTensor) {
  const std::string file = SafetensorsFile("{}", "");
  const auto parsed = SafeTensors::Parse(file);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->Find("weights").status(), absl::NotFoundError("no tensor \"weights\""));
}

TEST(SafeTensors, RefusesBadHeaderLengths) {
  EXPECT_THAT(SafeTensorsError(""), HasSubstr("truncated"));
  EXPECT_THAT(SafeTensorsError(std::string(8, '\0')), HasSubstr("does not begin with '{'"));
  const auto with_length = [](uint64_t n) { return BytesOf(std::vector<uint64_t>{n}) + "{}"; };
  EXPECT_EQ(SafeTensorsError(with_length(2)), "");
  EXPECT_EQ(SafeTensorsError(with_length(3)),
            "truncated: header length 3, but only 2 bytes follow");
  EXPECT_THAT(SafeTensorsError(with_length(100'000'000)), HasSubstr("truncated"));
  EXPECT_THAT(SafeTensorsError(with_length(100'000'001)),
              HasSubstr("above the limit of 100000000"));
  EXPECT_THAT(SafeTensorsError(with_length(uint64_t{1} << 63)), HasSubstr("above the limit"));
  EXPECT_THAT(SafeTensorsError(with_length(~uint64_t{0})), HasSubstr("above the limit"));
}

TEST(SafeTensors, RefusesHeadersThatAreNotOneJsonObjectInUtf8) {
  using namespace std::string_view_literals;
  for (std::string_view header :
       {" {}"sv, "[]"sv, "{"sv, "{}x"sv, "{}{}"sv, "{}\0"sv, "{\"\xff\":1}"sv, "\xef\xbb\xbf{}"sv,
        "{\"a\":1}"sv, "{\"a\":[]}"sv, "{\"a\":null}"sv}) {
    EXPECT_NE(SafeTensorsError(SafetensorsFile(header, "")), "") << header;
  }
}

TEST(SafeTensors, RefusesDuplicateKeys) {
  const std::string t = R"("t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_EQ(SafeTensorsError(SafetensorsFile("{" + t + "}", "")), "");
  EXPECT_EQ(SafeTensorsError(SafetensorsFile("{" + t + "," + t + "}", "")),
            "header: duplicate key \"t\"");
  EXPECT_EQ(SafeTensorsError(
                OneTensor(R"("dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1])", 1)),
            "header: duplicate key \"dtype\"");
}

TEST(SafeTensors, RefusesOffsetsThatOverlapLeaveGapsOrLeaveTheData) {
  const auto two = [](const std::string& a, const std::string& b) {
    return SafetensorsFile(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
                               R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                           "wxyz");
  };
  EXPECT_EQ(SafeTensorsError(two("[0,2]", "[2,4]")), "");
  EXPECT_EQ(SafeTensorsError(two("[2,4]", "[0,2]")), "");
  EXPECT_EQ(SafeTensorsError(two("[0,2]", "[0,2]")), "tensor \"b\": overlaps another tensor");
  EXPECT_EQ(SafeTensorsError(two("[0,2]", "[1,3]")), "tensor \"b\": overlaps another tensor");
  EXPECT_THAT(SafeTensorsError(two("[0,2]", "[3,5]")), HasSubstr("ends at data byte 5"));
  EXPECT_THAT(SafeTensorsError(two("[0,2]", "[4,2]")), HasSubstr("backwards"));
  EXPECT_THAT(SafeTensorsError(two("[0,2]", "[18446744073709551615,1]")), HasSubstr("backwards"));
  EXPECT_THAT(SafeTensorsError(OneTensor(R"("dtype":"U8","shape":[2],"data_offsets":[1,3])", 3)),
              HasSubstr("gap of 1 bytes"));
  EXPECT_EQ(SafeTensorsError(OneTensor(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])", 3)),
            "1 bytes after the last tensor");
  EXPECT_EQ(SafeTensorsError(SafetensorsFile("{}", "x")), "1 bytes after the last tensor");
}

TEST(SafeTensors, RefusesShapesThatDisagreeWithTheOffsets) {
  const auto shaped = [](const std::string& shape) {
    return OneTensor(R"("dtype":"F32","data_offsets":[0,16],"shape":)" + shape, 16);
  };
  EXPECT_EQ(SafeTensorsError(shaped("[2,2]")), "");
  EXPECT_THAT(SafeTensorsError(shaped("[2,3]")),
              HasSubstr("shape [2,3] of F32 takes 24 bytes, data_offsets give 16"));
  EXPECT_THAT(SafeTensorsError(shaped("[]")), HasSubstr("takes 4 bytes"));
  // 2^62 * 4 wraps to 0, 2^62 + 4 to 16.
  EXPECT_THAT(SafeTensorsError(shaped("[4611686018427387904]")), HasSubstr("overflows"));
  EXPECT_THAT(SafeTensorsError(shaped("[4611686018427387908]")), HasSubstr("overflows"));
  EXPECT_THAT(SafeTensorsError(shaped("[4294967296,4294967296]")), HasSubstr("overflows"));
  EXPECT_THAT(SafeTensorsError(shaped("[4294967296,4294967296,0]")), HasSubstr("overflows"));
}

TEST(SafeTensors, RefusesNumbersThatAreNotUnsignedIntegers) {
  for (const char* bad : {"-1", "1.0", "1e0", "\"1\"", "null", "true", "[1]", "{}",
                          "18446744073709551616", "1e400"}) {
    const std::string value = bad;
    EXPECT_NE(SafeTensorsError(
                  OneTensor(R"("dtype":"U8","data_offsets":[0,1],"shape":[)" + value + "]", 1)),
              "")
        << bad;
    EXPECT_NE(SafeTensorsError(
                  OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,)" + value + "]", 1)),
              "")
        << bad;
  }
}

TEST(SafeTensors, RefusesMissingUnknownAndMistypedFields) {
  const std::string dtype = R"("dtype":"U8")", shape = R"("shape":[1])";
  const std::string offsets = R"("data_offsets":[0,1])";
  EXPECT_EQ(SafeTensorsError(OneTensor(dtype + "," + shape + "," + offsets, 1)), "");
  EXPECT_THAT(SafeTensorsError(OneTensor(shape + "," + offsets, 1)), HasSubstr("no dtype"));
  EXPECT_THAT(SafeTensorsError(OneTensor(dtype + "," + offsets, 1)), HasSubstr("no shape"));
  EXPECT_THAT(SafeTensorsError(OneTensor(dtype + "," + shape, 1)), HasSubstr("no data_offsets"));
  const std::string all = dtype + "," + shape + "," + offsets;
  EXPECT_THAT(SafeTensorsError(OneTensor(all + R"(,"extra":1)", 1)),
              HasSubstr("unknown key \"extra\""));
  EXPECT_THAT(SafeTensorsError(OneTensor(R"("dtype":"U7",)" + shape + "," + offsets, 1)),
              HasSubstr("unsupported dtype \"U7\""));
  EXPECT_THAT(SafeTensorsError(OneTensor(R"("dtype":8,)" + shape + "," + offsets, 1)),
              HasSubstr("dtype is not a string"));
  EXPECT_THAT(SafeTensorsError(OneTensor(R"("shape":1,)" + dtype + "," + offsets, 1)),
              HasSubstr("shape is not an array"));
  for (const char* count : {"[]", "[0]", "[0,1,1]"}) {
    const std::string bad = std::string(R"("data_offsets":)") + count;
    EXPECT_THAT(SafeTensorsError(OneTensor(dtype + "," + shape + "," + bad, 1)),
                HasSubstr("data_offsets"));
  }
}

TEST(SafeTensors, RefusesMetadataThatIsNotStrings) {
  EXPECT_EQ(SafeTensorsError(SafetensorsFile(R"({"__metadata__":{"a":"b"}})", "")), "");
  for (const char* bad : {"1", "[]", "{\"a\":1}", "{\"a\":{}}", "{\"a\":{\"b\":{}}}"}) {
    EXPECT_NE(SafeTensorsError(SafetensorsFile(std::string("{\"__metadata__\":") + bad + "}", "")),
              "")
        << bad;
  }
}

TEST(SafeTensors, RefusesDeepNestingAndManyDimensions) {
  const std::string deep(1'000'000, '[');
  EXPECT_THAT(SafeTensorsError(SafetensorsFile("{\"t\":{\"shape\":" + deep, "")),
              HasSubstr("header"));
  std::string shape = "1";
  for (int i = 0; i < 100'000; ++i) shape += ",1";
  EXPECT_THAT(SafeTensorsError(
                  OneTensor(R"("dtype":"U8","data_offsets":[0,1],"shape":[)" + shape + "]", 1)),
              HasSubstr("more than 64 numbers"));
}

TEST(SafeTensors, RefusesAFileCutAnywhereOrContinued) {
  const std::string file = SafetensorsBuilder()
                               .Add("a", "F32", {2, 2}, std::string(16, 'a'))
                               .Add("b", "I8", {5}, "bbbbb")
                               .Build();
  ASSERT_EQ(SafeTensorsError(file), "");
  for (size_t size = 0; size < file.size(); ++size) {
    // An exact-size allocation, so that a sanitizer sees any read beyond it.
    const std::vector<char> cut(file.begin(), file.begin() + size);
    EXPECT_NE(SafeTensorsError({cut.data(), cut.size()}), "") << size;
  }
  EXPECT_NE(SafeTensorsError(file + "x"), "");
}

TEST(SafeTensors, SurvivesRandomDamage) {
  const std::string file = SafetensorsBuilder()
                               .Add("a", "F32", {2, 2}, std::string(16, 'a'))
                               .Add("b", "I64", {1}, "bbbbbbbb")
                               .Build();
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = file;
    for (int n = random() % 4; n >= 0; --n) damaged[random() % damaged.size()] ^= 1 << random() % 8;
    const auto parsed = SafeTensors::Parse(damaged);
    if (!parsed.ok()) continue;
    // Whatever is accepted keeps the promises.
    uint64_t total = 0;
    for (const auto& [name, tensor] : parsed->tensors()) {
      EXPECT_GE(tensor.bytes.data(), damaged.data());
      EXPECT_LE(tensor.bytes.data() + tensor.bytes.size(), damaged.data() + damaged.size());
      EXPECT_EQ(tensor.bytes.size() % std::max<uint64_t>(tensor.elements(), 1), 0u);
      total += tensor.bytes.size();
    }
    EXPECT_LE(total, 24u);
  }
}

TEST(SafeTensors, ReadsPublishedFiles) {
  CAIRN_NEED_SHARED("models/static-embeddings");
  const std::string root = cairn::testing::SharedDir() + "/models/static-embeddings/";
  for (const char* name : {"float32", "float16", "int8", "vocab-quantized"}) {
    const std::string file = cairn::testing::ReadFileOrDie(root + name + "/model.safetensors");
    const auto parsed = SafeTensors::Parse(file);
    ASSERT_TRUE(parsed.ok()) << name << parsed.status();
    EXPECT_TRUE(parsed->Find("embeddings").ok());
  }
}

}  // namespace
}  // namespace cairn::engine
