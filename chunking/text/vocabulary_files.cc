#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/text/json_members.h"
#include "chunking/text/tokenizer.h"
#include "chunking/text/tokenizer_config.h"
#include "chunking/text/vocabulary_description.h"
#include "chunking/text/wordpiece.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

// The next line of `*text`, without white space at its end; removes it from `*text`.
std::string_view NextLine(std::string_view* text) {
  const size_t size = std::min(text->find('\n'), text->size());
  std::string_view line = text->substr(0, size);
  text->remove_prefix(std::min(size + 1, text->size()));
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.remove_suffix(1);
  }
  return line;
}

absl::Status ReadVocabTxt(std::string_view vocabulary, WordPieceModel* model) {
  if (vocabulary.size() >= 0xFFFFFFFF) return Bad("larger than 4 GiB");
  if (!simdjson::validate_utf8(vocabulary.data(), vocabulary.size())) return Bad("invalid UTF-8");
  for (uint32_t id = 0; !vocabulary.empty(); ++id) {
    const std::string_view token = NextLine(&vocabulary);
    if (id >= kMaxVocabulary) return Bad("more than ", kMaxVocabulary, " lines");
    model->facts.texts.Grow(size_t{id} + 1);
    if (token.empty()) continue;  // Its id exists, but nothing is encoded as it.
    if (!model->initial.Insert(token, id)) {
      return Bad("line ", id + 1, ": token \"", token, "\" is there already");
    }
    const bool continues = token.size() > 2 && token.substr(0, 2) == "##";
    if (continues) model->continuing.Insert(token.substr(2), id);
    model->facts.texts.Set(
        id, continues ? std::string(token.substr(2)) : WordPieceText(token, /*clean_up=*/true),
        false);
  }
  return absl::OkStatus();
}

// Adds the tokens that BERT's vocabularies have by name.
absl::Status AddBertTokens(WordPieceModel* model) {
  const auto find = [&](const char* name) -> std::optional<uint32_t> {
    const uint32_t id = model->initial.Find(name);
    if (id == Vocabulary::kNone) return std::nullopt;
    return id;
  };
  for (const char* name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    if (!find(name).has_value()) continue;
    AddedToken token;
    token.content = name;
    token.id = *find(name);
    token.special = true;
    model->facts.texts.Set(token.id, name, true);
    model->added_tokens.push_back(std::move(token));
  }
  VocabularyFacts& facts = model->facts;
  facts.unknown_id = find("[UNK]");
  if (!facts.unknown_id.has_value()) return Bad("no line \"[UNK]\"");
  facts.special.bos = find("[CLS]");
  facts.special.eos = find("[SEP]");
  facts.special.add_bos = facts.special.bos.has_value();
  facts.special.add_eos = facts.special.eos.has_value();
  facts.starts_with_space = true;
  facts.documents = ControlText::kAsTokens;
  return FinishFacts(&facts);
}

absl::Status ReadVocabJson(std::string_view json, VocabularyDescription* out) {
  dom::parser parser;
  const absl::StatusOr<dom::object> root = ParseObject(json, &parser);
  if (!root.ok()) return root.status();
  absl::Status status = CheckVocabularySize(root->size());
  if (!status.ok()) return status;
  IdCheck ids(root->size());
  for (const auto [token, value] : *root) {
    uint64_t id;
    if (value.get(id) != simdjson::SUCCESS) return Bad("token \"", token, "\" has no valid id");
    status = ids.Add(id);
    if (!status.ok()) return status;
    if (id >= out->tokens.size()) out->tokens.resize(id + 1);
    out->tokens[id] = std::string(token);
  }
  return absl::OkStatus();
}

absl::Status ReadMergesTxt(std::string_view merges, VocabularyDescription* out) {
  if (merges.substr(0, 9) == "#version:") NextLine(&merges);
  while (!merges.empty()) {
    const std::string_view line = NextLine(&merges);
    if (line.empty()) continue;
    if (out->merges.size() >= kMaxVocabulary) return Bad("more than ", kMaxVocabulary, " lines");
    out->merges.emplace_back(line);
  }
  return absl::OkStatus();
}

// Sets what the family of `config` does.
absl::Status ApplyTokenizerConfig(const TokenizerConfig& config, VocabularyDescription* out) {
  const std::string& name = config.tokenizer_class;
  if (name == "Qwen2Tokenizer") {
    out->pre = "qwen2";
  } else if (name == "RobertaTokenizer") {
    out->pre = "roberta-bpe";
  } else if (name.empty() || name == "GPT2Tokenizer" || name == "CodeGenTokenizer") {
    out->pre = "gpt-2";
  } else {
    return Bad("tokenizer_config.json: tokenizer_class \"", name, "\" is not known for vocab.json");
  }
  out->added_tokens = config.added_tokens;
  const auto find = [&](std::string_view content) -> std::optional<uint32_t> {
    for (const AddedToken& token : out->added_tokens) {
      if (token.content == content) return token.id;
    }
    const auto at = std::find(out->tokens.begin(), out->tokens.end(), content);
    if (content.empty() || at == out->tokens.end()) return std::nullopt;
    return static_cast<uint32_t>(at - out->tokens.begin());
  };
  out->bos_token_id = find(config.bos_token);
  out->eos_token_id = find(config.eos_token);
  out->unknown_token_id = find(config.unk_token);
  if (!out->eos_token_id.has_value()) out->eos_token_id = find("<|endoftext|>");
  // Without a list of them the tokens that the configuration names, and GPT-2's only one.
  for (const auto& id : {out->bos_token_id, out->eos_token_id}) {
    if (!id.has_value() || *id >= out->tokens.size()) continue;
    const auto same = [&](const AddedToken& token) { return token.id == *id; };
    if (std::any_of(out->added_tokens.begin(), out->added_tokens.end(), same)) continue;
    AddedToken token;
    token.content = out->tokens[*id];
    token.id = *id;
    token.special = true;
    out->added_tokens.push_back(std::move(token));
  }
  if (out->unknown_token_id.value_or(0) >= out->tokens.size()) out->unknown_token_id.reset();
  const bool roberta = out->pre == "roberta-bpe";
  out->add_bos_token = config.add_bos_token.value_or(roberta) && out->bos_token_id.has_value();
  out->add_eos_token = config.add_eos_token.value_or(roberta) && out->eos_token_id.has_value();
  out->add_space_prefix = config.add_prefix_space.value_or(false);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadVocabTxt(std::string_view vocabulary) {
  WordPieceModel model;
  absl::Status status = ReadVocabTxt(vocabulary, &model);
  if (status.ok()) status = AddBertTokens(&model);
  if (!status.ok()) return InFile("vocab.txt", status);
  return std::make_unique<WordPieceTokenizer>(std::move(model));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadVocabAndMerges(std::string_view vocabulary,
                                                              std::string_view merges,
                                                              std::string_view config) {
  VocabularyDescription read;
  read.kind = VocabularyKind::kByteLevelBpe;
  absl::Status status = ReadVocabJson(vocabulary, &read);
  if (!status.ok()) return InFile("vocab.json", status);
  status = ReadMergesTxt(merges, &read);
  if (!status.ok()) return InFile("merges.txt", status);
  const absl::StatusOr<TokenizerConfig> settings = ReadTokenizerConfig(config);
  if (!settings.ok()) return settings.status();
  status = ApplyTokenizerConfig(*settings, &read);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeTokenizer(std::move(read));
  if (!tokenizer.ok()) return InFile("vocab.json and merges.txt", tokenizer.status());
  return tokenizer;
}

}  // namespace cairn::chunking
