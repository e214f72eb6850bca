#include "engine/model/safetensors_writer.h"

#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

namespace cairn::engine {
namespace {

constexpr size_t kHeaderAlignment = 8;

}  // namespace

std::string EncodeSafetensors(std::vector<std::pair<std::string, Tensor>> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    const uint64_t x = BytesPerElement(a.second.type);
    const uint64_t y = BytesPerElement(b.second.type);
    return x != y ? x > y : a.first < b.first;
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    assert(tensor.bytes.size() == tensor.elements() * BytesPerElement(tensor.type));
    header[name] = {{"dtype", TensorTypeName(tensor.type)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string json = header.dump();
  json.append((kHeaderAlignment - json.size() % kHeaderAlignment) % kHeaderAlignment, ' ');

  std::string file;
  file.reserve(sizeof(uint64_t) + json.size() + offset);
  for (size_t i = 0; i < sizeof(uint64_t); ++i) {
    file.push_back(static_cast<char>(uint64_t{json.size()} >> 8 * i));
  }
  file += json;
  for (const auto& [name, tensor] : tensors) file.append(tensor.bytes);
  return file;
}

}  // namespace cairn::engine
