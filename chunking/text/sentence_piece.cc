#include "chunking/text/sentence_piece.h"

#include <unicode/uchar.h>

#include <utility>

#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::optional<uint8_t> ByteTokens::Parse(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return std::nullopt;
  const int high = HexDigit(token[3]), low = HexDigit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high << 4 | low);
}

bool ByteTokens::HasAll(std::string_view bytes) const {
  return std::all_of(bytes.begin(), bytes.end(),
                     [&](char c) { return ids[static_cast<uint8_t>(c)] != Vocabulary::kNone; });
}

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceDescription description)
    : VocabularyTokenizer(std::move(description.facts)),
      normalizer_(std::move(description.normalizer)),
      metaspace_(std::move(description.metaspace)),
      added_tokens_(description.added_tokens,
                    [this](std::string_view content) { return normalizer_.Apply(content); }),
      model_(std::move(description.model)) {}

void SentencePieceTokenizer::EncodeText(std::string_view text, ControlText control,
                                        std::vector<Token>* tokens) const {
  std::vector<Token> encoded;
  SplitAtAddedTokens(
      added_tokens_.raw(control), text,
      [&](size_t begin, size_t end) { EncodeSegment(text, begin, end, control, &encoded); },
      [&](const AddedTokenMatcher::Match& match) {
        if (match.begin == 0 && metaspace_.has_value() && metaspace_->prepend_to_tokens &&
            !is_control(match.id)) {
          AlignedText mark;
          mark.Append(metaspace_->replacement, 0, 0);
          model_->Encode(mark, 0, mark.text.size(), &encoded);
        }
        AddToken(match.id, static_cast<uint32_t>(match.begin), static_cast<uint32_t>(match.end),
                 &encoded);
      });
  tokens->insert(tokens->end(), encoded.begin(), encoded.end());
}

void SentencePieceTokenizer::EncodeSegment(std::string_view text, size_t begin, size_t end,
                                           ControlText control, std::vector<Token>* tokens) const {
  if (begin == end) return;
  AlignedText aligned;
  AppendWellFormed(text, begin, end, &aligned);
  normalizer_.Apply(&aligned);
  SplitAtAddedTokens(
      added_tokens_.normalized(control), aligned.text,
      [&](size_t from, size_t to) {
        const bool first = begin == 0 && from == 0;
        const bool whole = from == 0 && to == aligned.text.size();
        if (whole) return EncodeNormalized(aligned, first, tokens);
        EncodeNormalized(Slice(aligned, from, to), first, tokens);
      },
      [&](const AddedTokenMatcher::Match& match) {
        AddToken(match.id, aligned.begin[match.begin], aligned.end[match.end - 1], tokens);
      });
}

void SentencePieceTokenizer::EncodeNormalized(const AlignedText& text, bool first,
                                              std::vector<Token>* tokens) const {
  if (text.text.empty()) return;
  if (!metaspace_.has_value()) return model_->Encode(text, 0, text.text.size(), tokens);
  if (!metaspace_->split_white_space) return EncodeMarked(text, first, tokens);
  const char* const stop = text.text.data() + text.text.size();
  size_t begin = 0;
  DecodedCodePoint c;
  for (size_t at = 0; at < text.text.size(); at += c.size) {
    c = DecodeUtf8(text.text.data() + at, stop);
    if (!u_isUWhiteSpace(static_cast<UChar32>(c.value))) continue;
    if (begin < at) EncodeMarked(Slice(text, begin, at), first && begin == 0, tokens);
    begin = at + c.size;
  }
  if (begin == text.text.size()) return;
  EncodeMarked(Slice(text, begin, text.text.size()), first && begin == 0, tokens);
}

void SentencePieceTokenizer::EncodeMarked(const AlignedText& text, bool first,
                                          std::vector<Token>* tokens) const {
  const std::string& mark = metaspace_->replacement;
  const bool marked = text.text.front() == ' ' || text.text.compare(0, mark.size(), mark) == 0;
  AlignedText out;
  if ((metaspace_->prepend == Metaspace::Prepend::kAlways ||
       (metaspace_->prepend == Metaspace::Prepend::kFirst && first)) &&
      (metaspace_->prepend_to_marked || !marked)) {
    out.Append(mark, text.begin[0], text.begin[0]);
  }
  AppendReplaced(text, " ", mark, &out);
  size_t begin = 0;
  while (metaspace_->split && begin < out.text.size()) {
    const size_t next = out.text.find(mark, begin + mark.size());
    if (next == std::string::npos) break;
    model_->Encode(out, begin, next, tokens);
    begin = next;
  }
  if (begin < out.text.size()) model_->Encode(out, begin, out.text.size(), tokens);
}

}  // namespace cairn::chunking
