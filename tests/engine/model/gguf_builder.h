// Builds GGUF files in memory, well-formed or not.
#ifndef CAIRN_TESTS_ENGINE_MODEL_GGUF_BUILDER_H_
#define CAIRN_TESTS_ENGINE_MODEL_GGUF_BUILDER_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::engine::testing {

template <class T>
std::string Raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string RawString(std::string_view text) {
  return Raw<uint64_t>(text.size()).append(text);
}

// Every part can be said otherwise than it is.
class GgufBuilder {
 public:
  // An entry whose value is `bytes`, whatever its type says.
  GgufBuilder& Entry(std::string_view key, uint32_t type, std::string_view bytes) {
    metadata_ += RawString(key) + Raw(type);
    metadata_ += bytes;
    ++entries_;
    return *this;
  }
  GgufBuilder& U32(std::string_view key, uint32_t value) { return Entry(key, 4, Raw(value)); }
  GgufBuilder& F32(std::string_view key, float value) { return Entry(key, 6, Raw(value)); }
  GgufBuilder& Bool(std::string_view key, bool value) { return Entry(key, 7, Raw<uint8_t>(value)); }
  GgufBuilder& String(std::string_view key, std::string_view value) {
    return Entry(key, 8, RawString(value));
  }
  GgufBuilder& Array(std::string_view key, uint32_t element, uint64_t count,
                     std::string_view bytes) {
    return Entry(key, 9, Raw(element) + Raw(count) + std::string(bytes));
  }
  GgufBuilder& Strings(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) bytes += RawString(value);
    return Array(key, 8, values.size(), bytes);
  }

  // A tensor's description; sizes in GGUF's order, the row's length first.
  GgufBuilder& Info(std::string_view name, const std::vector<uint64_t>& sizes, uint32_t type,
                    uint64_t offset) {
    infos_ += RawString(name) + Raw(static_cast<uint32_t>(sizes.size()));
    for (uint64_t size : sizes) infos_ += Raw(size);
    infos_ += Raw(type) + Raw(offset);
    ++tensors_;
    return *this;
  }
  // The same with its bytes, behind those before.
  GgufBuilder& Tensor(std::string_view name, const std::vector<uint64_t>& sizes, uint32_t type,
                      std::string_view bytes) {
    data_.resize((data_.size() + alignment_ - 1) / alignment_ * alignment_);
    Info(name, sizes, type, data_.size());
    data_ += bytes;
    return *this;
  }
  GgufBuilder& Data(std::string_view bytes) {
    data_ += bytes;
    return *this;
  }

  GgufBuilder& Alignment(uint32_t bytes) {
    alignment_ = bytes;
    return U32("general.alignment", bytes);
  }
  GgufBuilder& Version(uint32_t version) {
    version_ = version;
    return *this;
  }
  GgufBuilder& SayTensors(uint64_t count) {
    tensors_ = count;
    return *this;
  }
  GgufBuilder& SayEntries(uint64_t count) {
    entries_ = count;
    return *this;
  }

  std::string Build() const {
    std::string file = "GGUF" + Raw(version_) + Raw(tensors_) + Raw(entries_) + metadata_ + infos_;
    if (!data_.empty()) file.resize((file.size() + alignment_ - 1) / alignment_ * alignment_);
    return file + data_;
  }

 private:
  uint32_t version_ = 3;
  uint64_t alignment_ = 32;
  uint64_t entries_ = 0;
  uint64_t tensors_ = 0;
  std::string metadata_, infos_, data_;
};

}  // namespace cairn::engine::testing

#endif  // CAIRN_TESTS_ENGINE_MODEL_GGUF_BUILDER_H_
