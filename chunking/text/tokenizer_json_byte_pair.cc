#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "chunking/text/byte_alphabet.h"
#include "chunking/text/byte_level.h"
#include "chunking/text/character_pair.h"
#include "chunking/text/json_members.h"
#include "chunking/text/sentence_piece.h"
#include "chunking/text/tokenizer_json_models.h"
#include "chunking/text/tokenizer_json_parts.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

// What "pre_tokenizer" says.
struct Splitting {
  bool byte_level = false;
  bool add_prefix_space = false;
  std::vector<SplitStep> steps;
  std::optional<Metaspace> metaspace;
};

absl::Status ReadByteLevel(const dom::object& object, Splitting* out) {
  bool use_regex = true;
  out->add_prefix_space = true;
  absl::Status status = ReadBool(object, "add_prefix_space", &out->add_prefix_space);
  status.Update(ReadBool(object, "use_regex", &use_regex));
  if (!status.ok()) return status;
  if (out->byte_level) return Bad("the pre_tokenizer has two parts ByteLevel");
  if (out->add_prefix_space && !out->steps.empty()) {
    return Bad("pre_tokenizer ByteLevel with add_prefix_space must be the first");
  }
  out->byte_level = true;
  if (use_regex) out->steps.push_back(SplitStep::kGpt2);
  return absl::OkStatus();
}

absl::Status ReadSplit(const dom::object& object, Splitting* out) {
  constexpr std::pair<std::string_view, SplitStep> kKnown[] = {
      {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
       SplitStep::kGpt2},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitStep::kLlama3},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitStep::kQwen2},
      {"[0-9][0-9][0-9]", SplitStep::kThreeDigits},
  };
  absl::StatusOr<dom::object> pattern = ReadObject(object, "pattern");
  if (!pattern.ok()) return pattern.status();
  std::string regex, behavior;
  bool invert = false;
  absl::Status status = ReadString(*pattern, "Regex", &regex);
  status.Update(ReadString(object, "behavior", &behavior));
  status.Update(ReadBool(object, "invert", &invert));
  if (!status.ok()) return status;
  for (const auto& [known, step] : kKnown) {
    if (regex != known) continue;
    // All but the last expression match every character, so that keeping only matches is the same.
    const bool removes_rest = behavior == "Removed" && invert && step != SplitStep::kThreeDigits;
    if (!removes_rest && (behavior != "Isolated" || invert)) {
      return Bad("pre_tokenizer Split with behavior \"", behavior, "\" is not known");
    }
    if (out->byte_level && step != SplitStep::kThreeDigits) {
      return Bad("pre_tokenizer Split \"", regex, "\" must be before ByteLevel");
    }
    out->steps.push_back(step);
    return absl::OkStatus();
  }
  return Bad("pre_tokenizer Split with pattern \"", regex, "\" is not known");
}

absl::Status ReadDigits(const dom::object& object, Splitting* out) {
  bool individual = false;
  absl::Status status = ReadBool(object, "individual_digits", &individual);
  if (!status.ok()) return status;
  if (out->byte_level && individual) {
    return Bad("pre_tokenizer Digits with individual_digits must be before ByteLevel");
  }
  const SplitStep runs = out->byte_level ? SplitStep::kByteNumbers : SplitStep::kNumbers;
  out->steps.push_back(individual ? SplitStep::kEachNumber : runs);
  return absl::OkStatus();
}

absl::Status ReadPunctuation(const dom::object& object, Splitting* out) {
  std::string behavior = "Isolated";
  absl::Status status = ReadString(object, "behavior", &behavior);
  if (!status.ok()) return status;
  if (behavior != "Contiguous" || out->byte_level) {
    return Bad(
        "pre_tokenizer Punctuation is only known with behavior \"Contiguous\", before "
        "ByteLevel");
  }
  out->steps.push_back(SplitStep::kPunctuation);
  return absl::OkStatus();
}

absl::Status ReadPreTokenizer(const dom::object& object, size_t depth, Splitting* out) {
  constexpr size_t kMaxParts = 16;
  absl::StatusOr<std::string> type = ComponentType(object);
  if (!type.ok()) return type.status();
  if (*type == "ByteLevel") return ReadByteLevel(object, out);
  if (*type == "Split") return ReadSplit(object, out);
  if (*type == "Digits") return ReadDigits(object, out);
  if (*type == "Punctuation") return ReadPunctuation(object, out);
  if (*type == "Metaspace") {
    if (out->metaspace.has_value()) return Bad("the pre_tokenizer has two parts Metaspace");
    return ReadMetaspace(object, &out->metaspace.emplace());
  }
  if (*type != "Sequence") return Bad("pre_tokenizer type \"", *type, "\" is not known for BPE");
  absl::StatusOr<dom::array> parts = ReadArray(object, "pretokenizers");
  if (!parts.ok()) return parts.status();
  if (depth > 0 || parts->size() > kMaxParts) return Bad("the pre_tokenizer has too many parts");
  for (const dom::element element : *parts) {
    dom::object inner;
    if (element.get(inner) != simdjson::SUCCESS) return Bad("a pre_tokenizer must be an object");
    absl::Status status = ReadPreTokenizer(inner, depth + 1, out);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Splitting> ReadSplitting(const dom::object& root) {
  Splitting read;
  if (!Member(root, "pre_tokenizer").has_value()) return read;
  absl::StatusOr<dom::object> object = ReadObject(root, "pre_tokenizer");
  if (!object.ok()) return object.status();
  absl::Status status = ReadPreTokenizer(*object, 0, &read);
  if (!status.ok()) return status;
  if (read.metaspace.has_value() && (read.byte_level || !read.steps.empty())) {
    return Bad("pre_tokenizer Metaspace must be alone");
  }
  if (!read.byte_level && !read.steps.empty()) return Bad("the pre_tokenizer has no ByteLevel");
  return read;
}

// The settings of a BPE model.
struct BytePairSettings {
  std::optional<uint32_t> unknown_id;
  bool fuse_unknown = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

absl::StatusOr<BytePairSettings> ReadSettings(const dom::object& model) {
  BytePairSettings read;
  double dropout = 0;
  std::string prefix, suffix, unknown;
  absl::Status status = ReadOptional(model, "dropout", "a number", &dropout);
  status.Update(ReadString(model, "continuing_subword_prefix", &prefix));
  status.Update(ReadString(model, "end_of_word_suffix", &suffix));
  status.Update(ReadString(model, "unk_token", &unknown));
  status.Update(ReadBool(model, "fuse_unk", &read.fuse_unknown));
  status.Update(ReadBool(model, "byte_fallback", &read.byte_fallback));
  status.Update(ReadBool(model, "ignore_merges", &read.ignore_merges));
  if (!status.ok()) return status;
  if (dropout != 0) return Bad("a BPE model with dropout is not known");
  if (!prefix.empty()) return Bad("a BPE model with continuing_subword_prefix is not known");
  if (!suffix.empty()) return Bad("a BPE model with end_of_word_suffix is not known");
  if (unknown.empty()) return read;
  absl::StatusOr<dom::object> vocabulary = ReadObject(model, "vocab");
  if (!vocabulary.ok()) return vocabulary.status();
  uint64_t id;
  if (vocabulary->at_key(unknown).get(id) != simdjson::SUCCESS) {
    return Bad("the unknown token \"", unknown, "\" is not in the vocabulary");
  }
  read.unknown_id = static_cast<uint32_t>(id);
  return read;
}

// Calls add(token, id) for each entry of "vocab".
template <typename Add>
absl::Status ReadVocabulary(const dom::object& model, Add add) {
  absl::StatusOr<dom::object> vocabulary = ReadObject(model, "vocab");
  if (!vocabulary.ok()) return vocabulary.status();
  absl::Status status = CheckVocabularySize(vocabulary->size());
  if (!status.ok()) return status;
  IdCheck ids(vocabulary->size());
  for (const auto [token, value] : *vocabulary) {
    uint64_t id;
    if (value.get(id) != simdjson::SUCCESS) return Bad("token \"", token, "\" has no valid id");
    status = ids.Add(id);
    if (status.ok()) status = add(token, static_cast<uint32_t>(id));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// One merge: "left right" or ["left", "right"].
bool ReadMerge(const dom::element& element, std::string_view* left, std::string_view* right) {
  dom::array pair;
  if (element.get(pair) == simdjson::SUCCESS) {
    return pair.size() == 2 && pair.at(0).get(*left) == simdjson::SUCCESS &&
           pair.at(1).get(*right) == simdjson::SUCCESS;
  }
  std::string_view both;
  if (element.get(both) != simdjson::SUCCESS) return false;
  const size_t space = both.find(' ');
  if (space == std::string_view::npos) return false;
  *left = both.substr(0, space);
  *right = both.substr(space + 1);
  return true;
}

// Reads "merges"; find(token) gives the id of a token as the file spells it.
template <typename Find>
absl::Status ReadMerges(const dom::object& model, Find find, MergeTable* out) {
  const absl::StatusOr<dom::array> merges = ReadArray(model, "merges");
  if (!merges.ok()) return merges.status();
  if (merges->size() > kMaxVocabulary) return Bad("more than ", kMaxVocabulary, " merges");
  out->Reserve(merges->size());
  uint32_t rank = 0;
  for (const dom::element element : *merges) {
    std::string_view left, right;
    if (!ReadMerge(element, &left, &right)) return Bad("merge ", rank, " is not two tokens");
    const uint32_t left_id = find(left), right_id = find(right);
    const uint32_t id = find(std::string(left).append(right));
    if (left_id == Vocabulary::kNone || right_id == Vocabulary::kNone || id == Vocabulary::kNone) {
      return Bad("merge ", rank, " \"", left, " ", right, "\" has parts outside the vocabulary");
    }
    out->Insert(left_id, right_id, {rank++, id});
  }
  return absl::OkStatus();
}

// Reads added tokens, post-processor and configuration.
template <typename Find>
absl::Status ReadSpecial(const TokenizerJson& file, size_t size, Find find,
                         std::vector<AddedToken>* tokens, VocabularyFacts* facts) {
  absl::StatusOr<std::vector<AddedToken>> added = ReadAddedTokens(file.root, size, find);
  if (!added.ok()) return added.status();
  *tokens = *std::move(added);
  AddTexts(*tokens, facts);
  absl::Status status = ReadPostProcessor(file.root, &facts->special);
  if (!status.ok()) return status;
  const auto find_any = [&](std::string_view content) {
    for (const AddedToken& token : *tokens) {
      if (token.content == content) return token.id;
    }
    return uint32_t{find(content)};
  };
  status = ApplyTokenizerConfig(file.config, find_any, &facts->special);
  return status.ok() ? FinishFacts(facts) : status;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadByteLevel(const TokenizerJson& file,
                                                         const BytePairSettings& settings,
                                                         Splitting splitting) {
  ByteLevelDescription read;
  // Tokens outside the alphabet are only found as added tokens.
  Vocabulary others;
  absl::Status status =
      ReadVocabulary(file.model, [&](std::string_view token, uint32_t id) -> absl::Status {
        const std::optional<std::string> bytes = BytesFromAlphabet(token);
        read.facts.texts.Set(id, bytes.has_value() ? *bytes : std::string(token), false);
        if (bytes.has_value()) return InsertToken(*bytes, id, &read.tokens);
        return InsertToken(token, id, &others);
      });
  const auto find = [&](std::string_view token) {
    const std::optional<std::string> bytes = BytesFromAlphabet(token);
    return bytes.has_value() ? read.tokens.Find(*bytes) : others.Find(token);
  };
  if (status.ok()) status = ReadMerges(file.model, find, &read.merges);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<NormalizerStep>> steps = ReadNormalizers(file.root);
  if (!steps.ok()) return steps.status();
  read.normalizer = *std::move(steps);
  read.splits = std::move(splitting.steps);
  read.add_prefix_space = splitting.add_prefix_space;
  read.ignore_merges = settings.ignore_merges;
  read.facts.unknown_id = settings.unknown_id;
  read.facts.starts_with_space = splitting.add_prefix_space;
  status = ReadSpecial(file, read.facts.texts.size(), find, &read.added_tokens, &read.facts);
  if (!status.ok()) return status;
  return std::make_unique<ByteLevelTokenizer>(std::move(read));
}

std::string SpacesFromMarks(std::string_view text) {
  return absl::StrReplaceAll(AbslView(text), {{AbslView(kSpaceMark), " "}});
}

// Whether the decoder takes a space from the start of a text.
absl::StatusOr<bool> DecoderStrips(const dom::object& root, const Splitting& splitting) {
  if (splitting.metaspace.has_value() &&
      splitting.metaspace->prepend != Metaspace::Prepend::kNever) {
    return true;
  }
  if (!Member(root, "decoder").has_value()) return false;
  absl::StatusOr<dom::object> decoder = ReadObject(root, "decoder");
  if (!decoder.ok()) return decoder.status();
  if (!Member(*decoder, "decoders").has_value()) return false;
  absl::StatusOr<dom::array> decoders = ReadArray(*decoder, "decoders");
  if (!decoders.ok()) return decoders.status();
  for (const dom::element element : *decoders) {
    dom::object part;
    if (element.get(part) != simdjson::SUCCESS) return Bad("a decoder must be an object");
    absl::StatusOr<std::string> type = ComponentType(part);
    if (!type.ok()) return type.status();
    uint64_t start = 0;
    absl::Status status;
    if (*type == "Strip") {
      status = ReadOptional(part, "start", "a non-negative integer", &start);
    }
    if (!status.ok()) return status;
    if (start > 0) return true;
  }
  return false;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadCharacterLevel(const TokenizerJson& file,
                                                              const BytePairSettings& settings,
                                                              Splitting splitting) {
  SentencePieceDescription read;
  CharacterPairVocabulary vocabulary;
  if (settings.ignore_merges) return Bad("ignore_merges is only known with ByteLevel");
  absl::Status status =
      ReadVocabulary(file.model, [&](std::string_view token, uint32_t id) -> absl::Status {
        const std::optional<uint8_t> byte = ByteTokens::Parse(token);
        if (settings.byte_fallback && byte.has_value()) {
          const char c = static_cast<char>(*byte);
          vocabulary.bytes.ids[*byte] = id;
          read.facts.texts.Set(id, std::string_view(&c, 1), false);
        } else {
          read.facts.texts.Set(id, SpacesFromMarks(token), id == settings.unknown_id);
        }
        return InsertToken(token, id, &vocabulary.tokens);
      });
  const auto find = [&](std::string_view token) { return vocabulary.tokens.Find(token); };
  if (status.ok()) status = ReadMerges(file.model, find, &vocabulary.merges);
  if (!status.ok()) return status;
  vocabulary.unknown_id = settings.unknown_id;
  vocabulary.fuse_unknown = settings.fuse_unknown;
  vocabulary.byte_fallback = settings.byte_fallback;
  const absl::StatusOr<bool> strips = DecoderStrips(file.root, splitting);
  if (!strips.ok()) return strips.status();
  read.facts.starts_with_space = *strips;
  read.facts.unknown_id = settings.unknown_id;
  absl::StatusOr<std::vector<NormalizerStep>> steps = ReadNormalizers(file.root);
  if (!steps.ok()) return steps.status();
  read.normalizer = *std::move(steps);
  read.metaspace = std::move(splitting.metaspace);
  status = ReadSpecial(file, read.facts.texts.size(), find, &read.added_tokens, &read.facts);
  if (!status.ok()) return status;
  // A token found in the normalised text stands for its normalised form, often with a space.
  const TextNormalizer normalizer(read.normalizer);
  for (const AddedToken& token : read.added_tokens) {
    if (!token.normalized || token.special) continue;
    read.facts.texts.Set(token.id, SpacesFromMarks(normalizer.Apply(token.content)), false);
  }
  read.model = std::make_unique<CharacterPairModel>(std::move(vocabulary));
  return std::make_unique<SentencePieceTokenizer>(std::move(read));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadBytePairJson(const TokenizerJson& file) {
  const absl::StatusOr<BytePairSettings> settings = ReadSettings(file.model);
  if (!settings.ok()) return settings.status();
  absl::StatusOr<Splitting> splitting = ReadSplitting(file.root);
  if (!splitting.ok()) return splitting.status();
  return splitting->byte_level ? LoadByteLevel(file, *settings, *std::move(splitting))
                               : LoadCharacterLevel(file, *settings, *std::move(splitting));
}

}  // namespace cairn::chunking
