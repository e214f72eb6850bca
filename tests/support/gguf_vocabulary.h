// Just enough of a GGUF reader for the reference vocabularies, which are known to be sound.
#ifndef CAIRN_TESTS_SUPPORT_GGUF_VOCABULARY_H_
#define CAIRN_TESTS_SUPPORT_GGUF_VOCABULARY_H_

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "chunking/text/vocabulary_description.h"

namespace cairn::testing {

class GgufVocabulary {
 public:
  explicit GgufVocabulary(std::string file) : file_(std::move(file)) {}

  chunking::VocabularyDescription Read() {
    at_ = 16;  // Magic, version, number of tensors.
    for (uint64_t left = Number<uint64_t>(); left > 0; --left) {
      const std::string key = String();
      ReadValue(key, Number<uint32_t>());
    }
    return std::move(out_);
  }

 private:
  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof(value));
    at_ += sizeof(value);
    return value;
  }
  std::string String() {
    const uint64_t size = Number<uint64_t>();
    at_ += size;
    return file_.substr(at_ - size, size);
  }
  // Numbers of the types that GGUF counts 0 to 7 and 10 to 12.
  double Scalar(uint32_t type) {
    switch (type) {
      case 0:
      case 7:
        return Number<uint8_t>();
      case 1:
        return Number<int8_t>();
      case 2:
        return Number<uint16_t>();
      case 3:
        return Number<int16_t>();
      case 4:
        return Number<uint32_t>();
      case 5:
        return Number<int32_t>();
      case 6:
        return Number<float>();
      case 10:
        return static_cast<double>(Number<uint64_t>());
      case 11:
        return static_cast<double>(Number<int64_t>());
      default:
        return Number<double>();
    }
  }

  void ReadValue(const std::string& key, uint32_t type) {
    if (type == 8) return TakeString(key, String());
    if (type != 9) return TakeNumber(key, Scalar(type));
    const uint32_t element = Number<uint32_t>();
    for (uint64_t left = Number<uint64_t>(); left > 0; --left) {
      if (element == 8) {
        TakeString(key, String());
      } else {
        TakeNumber(key, Scalar(element));
      }
    }
  }
  void TakeString(const std::string& key, std::string value) {
    if (key == "tokenizer.ggml.model") out_.kind = *chunking::VocabularyKindByName(value);
    if (key == "tokenizer.ggml.pre") out_.pre = value;
    if (key == "tokenizer.ggml.tokens") out_.tokens.push_back(std::move(value));
    if (key == "tokenizer.ggml.merges") out_.merges.push_back(std::move(value));
  }
  void TakeNumber(const std::string& key, double value) {
    const auto id = static_cast<uint32_t>(value);
    if (key == "tokenizer.ggml.scores") out_.scores.push_back(static_cast<float>(value));
    if (key == "tokenizer.ggml.token_type") {
      out_.types.push_back(static_cast<chunking::TokenType>(id));
    }
    if (key == "tokenizer.ggml.bos_token_id") out_.bos_token_id = id;
    if (key == "tokenizer.ggml.eos_token_id") out_.eos_token_id = id;
    if (key == "tokenizer.ggml.unknown_token_id") out_.unknown_token_id = id;
    if (key == "tokenizer.ggml.seperator_token_id") out_.separator_token_id = id;
    if (key == "tokenizer.ggml.cls_token_id") out_.cls_token_id = id;
    if (key == "tokenizer.ggml.padding_token_id") out_.padding_token_id = id;
    if (key == "tokenizer.ggml.add_bos_token") out_.add_bos_token = value != 0;
    if (key == "tokenizer.ggml.add_eos_token") out_.add_eos_token = value != 0;
  }

  std::string file_;
  size_t at_ = 0;
  chunking::VocabularyDescription out_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_GGUF_VOCABULARY_H_
