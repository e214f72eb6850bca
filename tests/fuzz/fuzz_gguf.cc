// GGUF files: whatever the reader accepts keeps its promises, and so do the settings, the tensors
// and the tokenizer read from it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/gguf.h"
#include "engine/model/gguf_config.h"
#include "engine/model/gguf_tokenizer.h"
#include "engine/model/model_layout.h"
#include "kernels/block_format.h"

namespace {

using namespace cairn;

void Require(bool promise) {
  if (!promise) std::abort();
}

void CheckTensors(std::string_view file, const engine::Gguf& gguf) {
  for (const engine::GgufTensor& tensor : gguf.tensors()) {
    const std::string_view bytes = tensor.view.bytes;
    Require(bytes.data() >= file.data());
    Require(bytes.data() + bytes.size() <= file.data() + file.size());
    Require(gguf.FindTensor(tensor.name) == &tensor);
    uint64_t values = 1;
    for (uint64_t size : tensor.view.shape) values *= size;
    Require(kernels::FormatBytes(tensor.view.format, values) == bytes.size());
    std::vector<float> out(values);
    kernels::Dequantize(tensor.view.format, bytes.data(), values, out.data());
  }
}

void ReadEveryValue(const engine::Gguf& gguf) {
  for (const engine::GgufEntry& entry : gguf.metadata()) {
    const engine::GgufValue& value = entry.value;
    Require(gguf.Find(entry.key) == &value);
    value.AsUnsigned();
    value.AsReal();
    value.AsBool();
    value.AsString();
    value.AsFloats();
    value.AsInts();
    value.AsBools();
    const auto strings = value.AsStrings();
    Require(!strings.has_value() || strings->size() == value.count);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto gguf = engine::Gguf::Parse(file);
  if (!gguf.ok()) return 0;
  CheckTensors(file, *gguf);
  ReadEveryValue(*gguf);
  if (const auto config = engine::ReadGgufConfig(*gguf); config.ok()) {
    Require(engine::CheckConfig(*config).ok());
    for (const engine::TensorSpec& spec : engine::TensorsOf(*config)) {
      gguf->FindTensor(spec.name);
    }
  }
  auto vocabulary = engine::DescribeGgufVocabulary(*gguf);
  if (!vocabulary.ok()) return 0;
  const auto tokenizer = chunking::MakeTokenizer(*std::move(vocabulary));
  if (!tokenizer.ok()) return 0;
  const std::vector<uint32_t> ids =
      (*tokenizer)->EncodePrompt("a <s> b", chunking::ControlText::kAsTokens);
  for (uint32_t id : ids) Require(id < (*tokenizer)->vocabulary_size());
  (*tokenizer)->Decode(ids);
  return 0;
}
