// Builds the files of tiny models in memory.
#ifndef CAIRN_TESTS_ENGINE_MODEL_MODEL_BUILDER_H_
#define CAIRN_TESTS_ENGINE_MODEL_MODEL_BUILDER_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::engine::testing {

template <class T>
std::string BytesOf(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// A safetensors file of any header, well-formed or not.
inline std::string SafetensorsFile(std::string_view header, std::string_view data) {
  std::string file = BytesOf(std::vector<uint64_t>{header.size()});
  return file.append(header).append(data);
}

// Writes well-formed safetensors files.
class SafetensorsBuilder {
 public:
  SafetensorsBuilder& Add(std::string_view name, std::string_view type,
                          const std::vector<uint64_t>& shape, std::string_view bytes) {
    header_ += header_.empty() ? "{\"" : ",\"";
    header_.append(name).append("\":{\"dtype\":\"").append(type).append("\",\"shape\":[");
    for (size_t i = 0; i < shape.size(); ++i) {
      header_.append(i == 0 ? "" : ",").append(std::to_string(shape[i]));
    }
    header_ += "],\"data_offsets\":[" + std::to_string(data_.size()) + ",";
    data_ += bytes;
    header_ += std::to_string(data_.size()) + "]}";
    return *this;
  }

  std::string Build() const { return SafetensorsFile(header_ + "}", data_); }

 private:
  std::string header_;
  std::string data_;
};

// A BERT tokenizer.json whose ids are the places in `vocabulary`; "[UNK]" is the unknown token.
inline std::string TokenizerJson(const std::vector<std::string>& vocabulary) {
  std::string json =
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],)"
      R"("normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,)"
      R"("strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},)"
      R"("post_processor":null,"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},)"
      R"("model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",)"
      R"("max_input_chars_per_word":100,"vocab":{)";
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    json.append(i == 0 ? "\"" : ",\"").append(vocabulary[i]).append("\":");
    json += std::to_string(i);
  }
  return json + "}}}";
}

}  // namespace cairn::engine::testing

#endif  // CAIRN_TESTS_ENGINE_MODEL_MODEL_BUILDER_H_
