#include "chunking/text/vocabulary_tokenizer.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "chunking/text/utf8_repair.h"

namespace cairn::chunking {

void TokenTexts::Grow(size_t limit) { texts_.resize(std::max(limit, texts_.size())); }

void TokenTexts::Set(uint32_t id, std::string_view bytes, bool control) {
  Grow(size_t{id} + 1);
  assert(arena_.size() + bytes.size() < 0xFFFFFFFF && bytes.size() < 0x80000000);
  texts_[id].begin = static_cast<uint32_t>(arena_.size());
  texts_[id].size = static_cast<uint32_t>(bytes.size()) & 0x7FFFFFFF;
  texts_[id].control = control;
  arena_.append(bytes);
}

absl::Status FinishFacts(VocabularyFacts* facts) {
  SpecialTokens& special = facts->special;
  for (const std::optional<uint32_t>& id : {special.bos, special.eos}) {
    if (id.value_or(0) < facts->texts.size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("id ", *id, " of a special token is not in the vocabulary"));
  }
  if ((special.add_bos && !special.bos.has_value()) ||
      (special.add_eos && !special.eos.has_value())) {
    return absl::InvalidArgumentError("a bos or eos token is to be added, but there is none");
  }
  std::vector<uint32_t>& ends = special.end_of_generation;
  if (special.eos.has_value()) ends.push_back(*special.eos);
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return absl::OkStatus();
}

size_t VocabularyTokenizer::CountTokens(std::string_view text) const {
  std::vector<Token> tokens;
  EncodeText(text, facts_.documents, &tokens);
  return tokens.size();
}

std::vector<uint32_t> VocabularyTokenizer::EncodePrompt(std::string_view text,
                                                        ControlText control) const {
  std::vector<Token> tokens;
  EncodeText(text, control, &tokens);
  const SpecialTokens& special = facts_.special;
  std::vector<uint32_t> ids;
  ids.reserve(tokens.size() + 2);
  if (special.add_bos && special.bos.has_value()) ids.push_back(*special.bos);
  for (const Token& token : tokens) ids.push_back(token.id);
  if (special.add_eos && special.eos.has_value()) ids.push_back(*special.eos);
  return ids;
}

void VocabularyTokenizer::AppendBytes(uint32_t id, ControlText control, std::string* bytes) const {
  if (id >= facts_.texts.size()) return;
  if (control == ControlText::kAsTokens && facts_.texts.control(id)) return;
  bytes->append(facts_.texts.text(id));
}

std::string VocabularyTokenizer::Decode(absl::Span<const uint32_t> ids) const {
  std::string bytes;
  for (const uint32_t id : ids) AppendBytes(id, ControlText::kAsTokens, &bytes);
  std::string_view rest = bytes;
  if (facts_.starts_with_space && !rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  std::string text;
  text.reserve(rest.size());
  AppendRepairedUtf8(rest, &text);
  return text;
}

}  // namespace cairn::chunking
