#include "chunking/text/vocabulary_description.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "chunking/text/byte_alphabet.h"
#include "chunking/text/byte_level.h"
#include "chunking/text/character_pair.h"
#include "chunking/text/chat_markup.h"
#include "chunking/text/json_members.h"
#include "chunking/text/sentence_piece.h"
#include "chunking/text/unigram.h"
#include "chunking/text/wordpiece.h"

namespace cairn::chunking {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;

struct Family {
  std::string_view name;
  std::vector<SplitStep> steps;
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
};

// By the names that tokenizer.ggml.pre gives them.
std::vector<Family> Families() {
  using Step = SplitStep;
  return {
      {"default", {Step::kPunctuationButBacktick, Step::kGpt2, Step::kNumbers, Step::kThreeDigits}},
      {"gpt-2", {Step::kGpt2}},
      {"phi-2", {Step::kGpt2}},
      {"roberta-bpe", {Step::kGpt2}},
      {"mpt", {Step::kGpt2}, /*nfc=*/true},
      {"olmo", {Step::kGpt2}, /*nfc=*/true},
      {"falcon", {Step::kPunctuation, Step::kGpt2, Step::kByteNumbers, Step::kThreeDigits}},
      {"starcoder", {Step::kEachNumber, Step::kGpt2}},
      {"refact", {Step::kEachNumber, Step::kGpt2}},
      {"smollm", {Step::kEachNumber, Step::kGpt2}},
      {"llama-bpe", {Step::kLlama3}, /*nfc=*/false, /*ignore_merges=*/true, /*add_bos=*/true},
      {"llama3", {Step::kLlama3}, /*nfc=*/false, /*ignore_merges=*/true, /*add_bos=*/true},
      {"llama-v3", {Step::kLlama3}, /*nfc=*/false, /*ignore_merges=*/true, /*add_bos=*/true},
      {"qwen2", {Step::kQwen2}, /*nfc=*/true},
      {"deepseek-r1-qwen", {Step::kQwen2}, /*nfc=*/true},
  };
}

absl::StatusOr<Family> FamilyByName(std::string_view name) {
  if (name.empty()) name = "default";
  std::string known;
  std::vector<Family> families = Families();
  for (Family& family : families) {
    if (family.name == name) return std::move(family);
    absl::StrAppend(&known, known.empty() ? "" : ", ", AbslView(family.name));
  }
  return Bad("pre-tokenizer \"", name, "\" is not known; known are ", known.c_str());
}

// What all kinds share; `description` keeps what the kind itself needs.
class Maker {
 public:
  explicit Maker(VocabularyDescription description) : in_(std::move(description)) {}

  absl::StatusOr<std::unique_ptr<Tokenizer>> Make() {
    absl::Status status = Check();
    if (!status.ok()) return status;
    CollectAddedTokens();
    facts_.special.bos = in_.bos_token_id;
    facts_.special.eos = in_.eos_token_id;
    switch (in_.kind) {
      case VocabularyKind::kSentencePieceBpe:
        return MakeCharacterPairs();
      case VocabularyKind::kByteLevelBpe:
        return MakeByteLevel();
      case VocabularyKind::kWordPiece:
        return MakeWordPiece();
      case VocabularyKind::kSentencePieceUnigram:
        return MakeUnigram();
    }
    return Bad("the kind of the vocabulary is not known");
  }

 private:
  TokenType Type(size_t id) const { return types_.empty() ? TokenType::kNormal : types_[id]; }
  bool IsText(size_t id) const { return Type(id) == TokenType::kNormal && !in_.tokens[id].empty(); }

  absl::Status Check() const;
  void CollectAddedTokens();
  bool IsMarkup(const AddedToken& token) const;
  // Finds the unknown token and fills the texts of control and user-defined tokens, once those of
  // the others are set; defaults for what is absent.
  absl::Status Finish(bool add_bos, bool add_eos);
  void SetPieceTexts(ByteTokens* bytes);
  absl::StatusOr<SentencePieceDescription> StartSentencePiece();

  absl::StatusOr<std::unique_ptr<Tokenizer>> MakeCharacterPairs();
  absl::StatusOr<std::unique_ptr<Tokenizer>> MakeUnigram();
  absl::StatusOr<std::unique_ptr<Tokenizer>> MakeByteLevel();
  absl::StatusOr<std::unique_ptr<Tokenizer>> MakeWordPiece();

  VocabularyDescription in_;
  std::vector<TokenType> types_;  // in_.types with in_.added_tokens; empty: all are kNormal.
  std::vector<AddedToken> added_;
  VocabularyFacts facts_;
};

absl::Status Maker::Check() const {
  const size_t size = in_.tokens.size();
  absl::Status status = CheckVocabularySize(size);
  if (!status.ok()) return status;
  size_t bytes = 0;
  for (const std::string& token : in_.tokens) bytes += token.size();
  for (const AddedToken& token : in_.added_tokens) {
    bytes += token.content.size();
    if (token.id < size * 16 + 4096) continue;
    return Bad("id ", token.id, " of an added token is too large");
  }
  if (bytes > kMaxBytes) return Bad("the tokens have more than ", kMaxBytes, " bytes");
  if (!in_.types.empty() && in_.types.size() != size) {
    return Bad(in_.types.size(), " token types for ", size, " tokens");
  }
  const bool scored = in_.kind == VocabularyKind::kSentencePieceBpe ||
                      in_.kind == VocabularyKind::kSentencePieceUnigram;
  if (scored && in_.scores.size() != size) {
    return Bad(in_.scores.size(), " scores for ", size, " tokens");
  }
  for (size_t id = 0; scored && id < size; ++id) {
    if (!std::isfinite(in_.scores[id])) return Bad("the score of token ", id, " is not finite");
  }
  for (const auto* id : {&in_.unknown_token_id, &in_.eot_token_id, &in_.eom_token_id}) {
    if (id->value_or(0) < size) continue;
    return Bad("id ", **id, " of a special token is not in the vocabulary");
  }
  return absl::OkStatus();
}

// Whatever type the file gives it; also what it ends or begins texts with, however that is spelled.
bool Maker::IsMarkup(const AddedToken& token) const {
  for (const auto* id :
       {&in_.bos_token_id, &in_.eos_token_id, &in_.eot_token_id, &in_.eom_token_id}) {
    if (*id == token.id) return true;
  }
  return IsChatMarkup(token.content);
}

void Maker::CollectAddedTokens() {
  types_ = in_.types;
  added_ = in_.added_tokens;
  for (AddedToken& token : added_) {
    token.special |= IsMarkup(token);
    if (token.id >= in_.tokens.size()) continue;
    if (types_.empty()) types_.resize(in_.tokens.size(), TokenType::kNormal);
    types_[token.id] = token.special ? TokenType::kControl : TokenType::kUserDefined;
  }
  std::vector<bool> has_flags(in_.tokens.size());
  for (const AddedToken& token : added_) {
    if (token.id < has_flags.size()) has_flags[token.id] = true;
  }
  for (size_t id = 0; id < in_.tokens.size(); ++id) {
    if (has_flags[id] || in_.tokens[id].empty()) continue;
    if (Type(id) != TokenType::kControl && Type(id) != TokenType::kUserDefined) continue;
    AddedToken token;
    token.content = in_.tokens[id];
    token.id = static_cast<uint32_t>(id);
    token.special = Type(id) == TokenType::kControl || IsMarkup(token);
    added_.push_back(std::move(token));
  }
}

absl::Status Maker::Finish(bool add_bos, bool add_eos) {
  SpecialTokens& special = facts_.special;
  special.add_bos = in_.add_bos_token.value_or(add_bos && special.bos.has_value());
  special.add_eos = in_.add_eos_token.value_or(add_eos && special.eos.has_value());
  facts_.unknown_id = in_.unknown_token_id;
  for (uint32_t id = 0; id < types_.size() && !facts_.unknown_id.has_value(); ++id) {
    if (types_[id] == TokenType::kUnknown) facts_.unknown_id = id;
  }
  facts_.texts.Grow(in_.tokens.size());
  if (facts_.unknown_id.has_value() && Type(*facts_.unknown_id) != TokenType::kNormal) {
    facts_.texts.Set(*facts_.unknown_id, in_.tokens[*facts_.unknown_id], true);
  }
  for (const AddedToken& token : added_) {
    facts_.texts.Set(token.id, token.content, token.special);
    if (EndsAnswers(token.content)) special.end_of_generation.push_back(token.id);
  }
  for (const auto* id : {&in_.eot_token_id, &in_.eom_token_id}) {
    if (id->has_value()) special.end_of_generation.push_back(**id);
  }
  return FinishFacts(&facts_);
}

// Texts of tokens that spell a space as U+2581.
void Maker::SetPieceTexts(ByteTokens* bytes) {
  for (uint32_t id = 0; id < in_.tokens.size(); ++id) {
    const std::string& token = in_.tokens[id];
    const std::optional<uint8_t> byte = ByteTokens::Parse(token);
    if (Type(id) == TokenType::kByte && byte.has_value()) {
      const char c = static_cast<char>(*byte);
      facts_.texts.Set(id, std::string_view(&c, 1), false);
      bytes->ids[*byte] = id;
    } else {
      facts_.texts.Set(id, absl::StrReplaceAll(token, {{AbslView(kSpaceMark), " "}}),
                       Type(id) == TokenType::kUnknown);
    }
  }
}

absl::StatusOr<SentencePieceDescription> Maker::StartSentencePiece() {
  SentencePieceDescription out;
  if (!in_.precompiled_charsmap.empty()) {
    absl::StatusOr<PrecompiledCharsmap> charsmap =
        PrecompiledCharsmap::Read(in_.precompiled_charsmap);
    if (!charsmap.ok()) return charsmap.status();
    NormalizerStep step;
    step.kind = NormalizerStep::Kind::kCharsmap;
    step.charsmap = std::make_shared<const PrecompiledCharsmap>(*std::move(charsmap));
    out.normalizer.push_back(std::move(step));
  }
  if (in_.remove_extra_whitespaces) {
    out.normalizer.emplace_back().kind = NormalizerStep::Kind::kTrimBlanks;
  }
  const bool prefix = in_.add_space_prefix.value_or(true);
  Metaspace& metaspace = out.metaspace.emplace();
  metaspace.prepend = !prefix                 ? Metaspace::Prepend::kNever
                      : in_.space_prefix_once ? Metaspace::Prepend::kFirst
                                              : Metaspace::Prepend::kAlways;
  metaspace.prepend_to_marked = true;
  metaspace.prepend_to_tokens = prefix && in_.space_prefix_once;
  metaspace.split = false;
  facts_.starts_with_space = prefix;
  // Tokens of spaces are looked for in the text, which has no marks yet.
  for (AddedToken& token : added_) {
    absl::StrReplaceAll({{AbslView(kSpaceMark), " "}}, &token.content);
  }
  return out;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Maker::MakeCharacterPairs() {
  absl::StatusOr<SentencePieceDescription> out = StartSentencePiece();
  if (!out.ok()) return out.status();
  CharacterPairVocabulary vocabulary;
  SetPieceTexts(&vocabulary.bytes);
  vocabulary.byte_fallback = true;
  const size_t size = in_.tokens.size();
  for (uint32_t id = 0; id < size; ++id) {
    const bool unused = Type(id) == TokenType::kUnused && !in_.tokens[id].empty();
    if (!IsText(id) && !unused) continue;
    vocabulary.tokens.Insert(in_.tokens[id], id);  // Of tokens with one spelling the first counts.
    if (!unused) continue;
    vocabulary.unused.resize(size);
    vocabulary.unused[id] = true;
  }
  std::vector<uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  const std::vector<float>& scores = in_.scores;
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  vocabulary.ranks.resize(size);
  uint32_t rank = 0;
  for (size_t i = 1; i < size; ++i) {
    if (scores[order[i]] < scores[order[i - 1]]) ++rank;
    vocabulary.ranks[order[i]] = rank;
  }
  absl::Status status = Finish(/*add_bos=*/true, /*add_eos=*/false);
  if (!status.ok()) return status;
  vocabulary.unknown_id = facts_.unknown_id;
  out->facts = std::move(facts_);
  out->added_tokens = std::move(added_);
  out->model = std::make_unique<CharacterPairModel>(std::move(vocabulary));
  return std::make_unique<SentencePieceTokenizer>(*std::move(out));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Maker::MakeUnigram() {
  absl::StatusOr<SentencePieceDescription> out = StartSentencePiece();
  if (!out.ok()) return out.status();
  UnigramVocabulary vocabulary;
  SetPieceTexts(&vocabulary.bytes);
  vocabulary.byte_fallback = true;
  vocabulary.scores.assign(in_.scores.begin(), in_.scores.end());
  for (uint32_t id = 0; id < in_.tokens.size(); ++id) {
    if (!IsText(id) || !vocabulary.tokens.Insert(in_.tokens[id], id)) continue;
    vocabulary.least_score = std::min(vocabulary.least_score, vocabulary.scores[id]);
  }
  if (vocabulary.tokens.size() == 0) return Bad("no token is text");
  absl::Status status = Finish(/*add_bos=*/false, /*add_eos=*/true);
  if (!status.ok()) return status;
  if (!facts_.unknown_id.has_value()) return Bad("a unigram vocabulary needs an unknown token");
  vocabulary.unknown_id = *facts_.unknown_id;
  out->facts = std::move(facts_);
  out->added_tokens = std::move(added_);
  out->model = std::make_unique<UnigramModel>(std::move(vocabulary));
  return std::make_unique<SentencePieceTokenizer>(*std::move(out));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Maker::MakeByteLevel() {
  absl::StatusOr<Family> family = FamilyByName(in_.pre);
  if (!family.ok()) return family.status();
  ByteLevelDescription out;
  for (uint32_t id = 0; id < in_.tokens.size(); ++id) {
    const std::optional<std::string> bytes = BytesFromAlphabet(in_.tokens[id]);
    facts_.texts.Set(id, bytes.has_value() ? *bytes : in_.tokens[id], false);
    if (IsText(id) && bytes.has_value()) out.tokens.Insert(*bytes, id);
  }
  if (in_.merges.size() > kMaxVocabulary) return Bad("more than ", kMaxVocabulary, " merges");
  out.merges.Reserve(in_.merges.size());
  for (uint32_t rank = 0; rank < in_.merges.size(); ++rank) {
    const std::string_view merge = in_.merges[rank];
    const size_t space = merge.find(' ', 1);
    if (merge.empty() || space == std::string_view::npos) {
      return Bad("merge ", rank, " \"", merge, "\" is not two tokens");
    }
    const auto left = BytesFromAlphabet(merge.substr(0, space));
    const auto right = BytesFromAlphabet(merge.substr(space + 1));
    if (!left.has_value() || !right.has_value()) {
      return Bad("merge ", rank, " \"", merge, "\" has parts outside the byte alphabet");
    }
    const uint32_t left_id = out.tokens.Find(*left), right_id = out.tokens.Find(*right);
    const uint32_t id = out.tokens.Find(*left + *right);
    if (left_id == Vocabulary::kNone || right_id == Vocabulary::kNone || id == Vocabulary::kNone) {
      return Bad("merge ", rank, " \"", merge, "\" has parts outside the vocabulary");
    }
    out.merges.Insert(left_id, right_id, {rank, id});
  }
  facts_.starts_with_space = in_.add_space_prefix.value_or(false);
  absl::Status status = Finish(family->add_bos, /*add_eos=*/false);
  if (!status.ok()) return status;
  out.add_prefix_space = facts_.starts_with_space;
  out.ignore_merges = family->ignore_merges;
  out.splits = std::move(family->steps);
  if (family->nfc) out.normalizer.emplace_back().kind = NormalizerStep::Kind::kNfc;
  out.facts = std::move(facts_);
  out.added_tokens = std::move(added_);
  return std::make_unique<ByteLevelTokenizer>(std::move(out));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Maker::MakeWordPiece() {
  WordPieceModel out;
  // Models that know upper case have tokens with capital letters; GGUF does not say it.
  bool lowercase = true;
  for (uint32_t id = 0; id < in_.tokens.size(); ++id) {
    const std::string_view token = in_.tokens[id];
    if (!IsText(id)) continue;
    // "[unused1]" and the like keep their spelling.
    const bool bracketed = token.front() == '[' && token.back() == ']';
    const bool initial = token.substr(0, kSpaceMark.size()) == kSpaceMark;
    if (!bracketed &&
        std::any_of(token.begin(), token.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
      lowercase = false;
    }
    if (initial || bracketed) {
      const std::string_view word = initial ? token.substr(kSpaceMark.size()) : token;
      if (!word.empty()) out.initial.Insert(word, id);
      facts_.texts.Set(id, WordPieceText(word, /*clean_up=*/true), false);
    } else {
      out.continuing.Insert(token, id);
      facts_.texts.Set(id, token, false);
    }
  }
  if (in_.cls_token_id.has_value()) facts_.special.bos = in_.cls_token_id;
  if (in_.separator_token_id.has_value()) facts_.special.eos = in_.separator_token_id;
  if (!in_.unknown_token_id.has_value()) {
    const auto unknown = std::find(in_.tokens.begin(), in_.tokens.end(), "[UNK]");
    if (unknown != in_.tokens.end()) {
      in_.unknown_token_id = static_cast<uint32_t>(unknown - in_.tokens.begin());
    }
  }
  // Files call only some of these control tokens.
  for (const auto* id :
       {&in_.padding_token_id, &in_.unknown_token_id, &facts_.special.bos, &facts_.special.eos}) {
    if (!id->has_value() || **id >= in_.tokens.size() || Type(**id) != TokenType::kNormal) continue;
    AddedToken token;
    token.content = in_.tokens[**id];
    token.id = **id;
    token.special = true;
    if (!token.content.empty()) added_.push_back(std::move(token));
  }
  facts_.starts_with_space = true;
  absl::Status status = Finish(/*add_bos=*/true, /*add_eos=*/true);
  if (!status.ok()) return status;
  if (!facts_.unknown_id.has_value()) return Bad("a WordPiece vocabulary needs an unknown token");
  out.normalizer.lowercase = out.normalizer.strip_accents = lowercase;
  out.facts = std::move(facts_);
  out.added_tokens = std::move(added_);
  return std::make_unique<WordPieceTokenizer>(std::move(out));
}

}  // namespace

absl::StatusOr<VocabularyKind> VocabularyKindByName(std::string_view name) {
  if (name == "llama") return VocabularyKind::kSentencePieceBpe;
  if (name == "gpt2") return VocabularyKind::kByteLevelBpe;
  if (name == "bert") return VocabularyKind::kWordPiece;
  if (name == "t5") return VocabularyKind::kSentencePieceUnigram;
  return Bad("tokenizer model \"", name, "\" is not known; known are llama, gpt2, bert, t5");
}

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(VocabularyDescription description) {
  return Maker(std::move(description)).Make();
}

}  // namespace cairn::chunking
