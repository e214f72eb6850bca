// Model files: whatever the parser accepts keeps its promises, and the model built on it is safe.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "engine/model/safetensors.h"
#include "engine/model/token_vectors.h"

namespace {

void Require(bool promise) {
  if (!promise) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cairn::engine;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto parsed = SafeTensors::Parse(file);
  if (!parsed.ok()) return 0;
  size_t covered = 0;
  for (const auto& [name, tensor] : parsed->tensors()) {
    Require(tensor.bytes.data() >= file.data());
    Require(tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size());
    covered += tensor.bytes.size();
  }
  Require(covered < size);

  const auto vectors = TokenVectors::Create(*parsed, /*bytes_stay=*/false);
  if (!vectors.ok()) return 0;
  std::vector<float> sum(vectors->dim());
  for (size_t id = 0; id < vectors->tokens(); ++id) {
    const TokenVectors::Token& token = vectors->token(static_cast<uint32_t>(id));
    vectors->Accumulate(&token.row, &token.weight, 1, sum.data());
  }
  for (float x : sum) Require(x - x == 0);  // Finite.
  return 0;
}
