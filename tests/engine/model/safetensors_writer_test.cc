#include "engine/model/safetensors_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/model/model_builder.h"

namespace cairn::engine {
namespace {

using testing::BytesOf;

TEST(SafetensorsWriter, IsReadBackAsItWas) {
  const std::string small = BytesOf<int8_t>({1, -2, 3, -4, 5, -6});
  const std::string wide = BytesOf<double>({0.5});
  const std::string middle = BytesOf<float>({1.5f, -2.5f, 3.5f});
  const std::string file = EncodeSafetensors({{"small", {TensorType::kI8, {2, 3}, small}},
                                              {"an \"odd\" name\n", {TensorType::kF64, {}, wide}},
                                              {"none", {TensorType::kI16, {4, 0}, {}}},
                                              {"middle", {TensorType::kF32, {3}, middle}}});
  const auto parsed = SafeTensors::Parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->tensors().size(), 4u);
  const Tensor* tensor = *parsed->Find("small");
  EXPECT_EQ(tensor->type, TensorType::kI8);
  EXPECT_EQ(tensor->shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(tensor->bytes, small);
  EXPECT_EQ((*parsed->Find("an \"odd\" name\n"))->bytes, wide);
  EXPECT_TRUE((*parsed->Find("none"))->bytes.empty());
  tensor = *parsed->Find("middle");
  EXPECT_EQ(tensor->bytes, middle);
  // Aligned, wherever the file begins at a multiple of eight bytes.
  EXPECT_EQ((tensor->bytes.data() - file.data()) % 4, 0);
  EXPECT_EQ(((*parsed->Find("an \"odd\" name\n"))->bytes.data() - file.data()) % 8, 0);
}

TEST(SafetensorsWriter, WritesNoTensorsToo) {
  const std::string file = EncodeSafetensors({});
  const auto parsed = SafeTensors::Parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->tensors().empty());
}

}  // namespace
}  // namespace cairn::engine
