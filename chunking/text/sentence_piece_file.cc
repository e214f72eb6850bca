// Sentencepiece's model file: the protocol buffer ModelProto of sentencepiece_model.proto. Only the
// fields named here are read; others are passed over.
#include <cstring>
#include <string>
#include <utility>

#include "chunking/text/json_members.h"
#include "chunking/text/tokenizer.h"
#include "chunking/text/tokenizer_config.h"
#include "chunking/text/vocabulary_description.h"

namespace cairn::chunking {
namespace {

// One field of a message.
struct Field {
  uint32_t number = 0;
  uint32_t type = 0;       // 0: varint, 1: 64 bits, 2: bytes, 5: 32 bits.
  uint64_t integer = 0;    // Types 0 and 5.
  std::string_view bytes;  // Type 2.
};

// Reads a message of protocol buffers field by field, within its bounds.
class MessageReader {
 public:
  explicit MessageReader(std::string_view message) : rest_(message) {}

  // False at the end, or where the message is damaged.
  bool Next(Field* field) {
    uint64_t key = 0;
    if (rest_.empty() || !ReadVarint(&key) || key >> 3 > 0x1FFFFFFF || key >> 3 == 0) return Stop();
    field->number = static_cast<uint32_t>(key >> 3);
    field->type = static_cast<uint32_t>(key & 7);
    switch (field->type) {
      case 0:
        return ReadVarint(&field->integer) || Stop();
      case 1:
        return Take(8, &field->bytes) || Stop();
      case 2: {
        uint64_t size = 0;
        return (ReadVarint(&size) && Take(size, &field->bytes)) || Stop();
      }
      case 5: {
        if (!Take(4, &field->bytes)) return Stop();
        field->integer = 0;
        for (int i = 3; i >= 0; --i) {
          field->integer = field->integer << 8 | static_cast<uint8_t>(field->bytes[i]);
        }
        return true;
      }
      default:
        return Stop();
    }
  }
  // After the last Next: whether the whole message was read.
  bool complete() const { return rest_.empty() && !damaged_; }

 private:
  bool Stop() {
    damaged_ = !rest_.empty() || damaged_;
    return false;
  }
  bool ReadVarint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      *value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    damaged_ = true;
    return false;
  }
  bool Take(uint64_t size, std::string_view* bytes) {
    if (size > rest_.size()) {
      damaged_ = true;
      return false;
    }
    *bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  bool damaged_ = false;
};

// TrainerSpec's and NormalizerSpec's settings that are not VocabularyDescription's.
struct Settings {
  uint64_t model_type = 1;  // 1: unigram, 2: BPE, 3: words, 4: characters.
  std::string bos_piece = "<s>";
  std::string eos_piece = "</s>";
  bool space_is_suffix = false;
  bool escape_spaces = true;
  bool dummy_prefix = true;
  bool remove_extra_spaces = true;
};

absl::Status ReadPiece(std::string_view message, VocabularyDescription* out) {
  if (out->tokens.size() >= kMaxVocabulary) return Bad("more than ", kMaxVocabulary, " pieces");
  std::string_view piece;
  float score = 0;
  uint64_t type = 1;
  MessageReader reader(message);
  for (Field field; reader.Next(&field);) {
    if (field.number == 1 && field.type == 2) piece = field.bytes;
    if (field.number == 2 && field.type == 5) {
      const uint32_t bits = static_cast<uint32_t>(field.integer);
      std::memcpy(&score, &bits, sizeof(score));
    }
    if (field.number == 3 && field.type == 0) type = field.integer;
  }
  const size_t id = out->tokens.size();
  if (!reader.complete()) return Bad("piece ", id, " is cut short");
  if (piece.empty()) return Bad("piece ", id, " is empty");
  if (type < 1 || type > 6) return Bad("piece ", id, " is of unknown type ", type);
  if (!simdjson::validate_utf8(piece.data(), piece.size())) {
    return Bad("piece ", id, " is not valid UTF-8");
  }
  out->tokens.emplace_back(piece);
  out->scores.push_back(score);
  out->types.push_back(static_cast<TokenType>(type));
  return absl::OkStatus();
}

absl::Status ReadTrainer(std::string_view message, Settings* out) {
  MessageReader reader(message);
  for (Field field; reader.Next(&field);) {
    if (field.number == 3 && field.type == 0) out->model_type = field.integer;
    if (field.number == 24 && field.type == 0) out->space_is_suffix = field.integer != 0;
    if (field.number == 46 && field.type == 2) out->bos_piece = std::string(field.bytes);
    if (field.number == 47 && field.type == 2) out->eos_piece = std::string(field.bytes);
  }
  return reader.complete() ? absl::OkStatus() : Bad("the trainer settings are cut short");
}

absl::Status ReadNormalizer(std::string_view message, Settings* settings,
                            VocabularyDescription* out) {
  MessageReader reader(message);
  for (Field field; reader.Next(&field);) {
    if (field.number == 2 && field.type == 2) out->precompiled_charsmap = std::string(field.bytes);
    if (field.number == 3 && field.type == 0) settings->dummy_prefix = field.integer != 0;
    if (field.number == 4 && field.type == 0) settings->remove_extra_spaces = field.integer != 0;
    if (field.number == 5 && field.type == 0) settings->escape_spaces = field.integer != 0;
  }
  return reader.complete() ? absl::OkStatus() : Bad("the normaliser settings are cut short");
}

absl::Status ReadModel(std::string_view model, Settings* settings, VocabularyDescription* out) {
  MessageReader reader(model);
  for (Field field; reader.Next(&field);) {
    if (field.type != 2) continue;
    absl::Status status;
    if (field.number == 1) status = ReadPiece(field.bytes, out);
    if (field.number == 2) status = ReadTrainer(field.bytes, settings);
    if (field.number == 3) status = ReadNormalizer(field.bytes, settings, out);
    if (!status.ok()) return status;
  }
  if (!reader.complete()) return Bad("the file is cut short or not a model");
  if (settings->model_type != 1 && settings->model_type != 2) {
    return Bad("model type ", settings->model_type, " is not known; unigram (1) and BPE (2) are");
  }
  if (settings->space_is_suffix) return Bad("treat_whitespace_as_suffix is not known");
  if (!settings->escape_spaces) return Bad("a model without escape_whitespaces is not known");
  out->kind = settings->model_type == 1 ? VocabularyKind::kSentencePieceUnigram
                                        : VocabularyKind::kSentencePieceBpe;
  out->add_space_prefix = settings->dummy_prefix;
  out->space_prefix_once = true;
  out->remove_extra_whitespaces = settings->remove_extra_spaces;
  return absl::OkStatus();
}

std::optional<uint32_t> FindControl(const VocabularyDescription& in, std::string_view piece) {
  for (uint32_t id = 0; id < in.tokens.size(); ++id) {
    if (in.types[id] == TokenType::kControl && in.tokens[id] == piece) return id;
  }
  return std::nullopt;
}

void ApplyConfig(const TokenizerConfig& config, VocabularyDescription* out) {
  out->added_tokens = config.added_tokens;
  const auto find = [&](const std::string& content,
                        std::optional<uint32_t> otherwise) -> std::optional<uint32_t> {
    if (content.empty()) return otherwise;
    for (const AddedToken& token : out->added_tokens) {
      if (token.content == content) return token.id;
    }
    const std::optional<uint32_t> id = FindControl(*out, content);
    return id.has_value() ? id : otherwise;
  };
  out->bos_token_id = find(config.bos_token, out->bos_token_id);
  out->eos_token_id = find(config.eos_token, out->eos_token_id);
  if (config.add_bos_token.has_value() && out->bos_token_id.has_value()) {
    out->add_bos_token = config.add_bos_token;
  }
  if (config.add_eos_token.has_value() && out->eos_token_id.has_value()) {
    out->add_eos_token = config.add_eos_token;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadSentencePiece(std::string_view model,
                                                             std::string_view config) {
  const absl::StatusOr<TokenizerConfig> settings = ReadTokenizerConfig(config);
  if (!settings.ok()) return settings.status();
  VocabularyDescription read;
  Settings model_settings;
  absl::Status status = ReadModel(model, &model_settings, &read);
  if (status.ok()) {
    read.bos_token_id = FindControl(read, model_settings.bos_piece);
    read.eos_token_id = FindControl(read, model_settings.eos_piece);
    ApplyConfig(*settings, &read);
  }
  if (!status.ok()) return InFile("tokenizer.model", status);
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeTokenizer(std::move(read));
  if (!tokenizer.ok()) return InFile("tokenizer.model", tokenizer.status());
  return tokenizer;
}

}  // namespace cairn::chunking
