#include "chunking/text/text_normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <utility>

namespace cairn::chunking {

void AppendRange(const AlignedText& from, size_t begin, size_t end, AlignedText* out) {
  out->text.append(from.text, begin, end - begin);
  out->begin.insert(out->begin.end(), from.begin.begin() + begin, from.begin.begin() + end);
  out->end.insert(out->end.end(), from.end.begin() + begin, from.end.begin() + end);
}

AlignedText Slice(const AlignedText& from, size_t begin, size_t end) {
  AlignedText out;
  AppendRange(from, begin, end, &out);
  return out;
}

namespace {

// ICU counts in int32_t; longer texts are composed in pieces of this size.
constexpr size_t kComposedBytes = size_t{1} << 28;

// Rewrites the text through `append_next(at, out)`, which appends what the character (or run) at
// `at` becomes and returns the position after it.
template <typename AppendNext>
void Rewrite(AlignedText* text, AppendNext append_next) {
  AlignedText out;
  out.Reserve(text->text.size());
  for (size_t at = 0; at < text->text.size();) at = append_next(at, &out);
  *text = std::move(out);
}

}  // namespace

void AppendReplaced(const AlignedText& from, std::string_view pattern, std::string_view content,
                    AlignedText* out) {
  out->Reserve(out->text.size() + from.text.size());
  const size_t size = from.text.size();
  for (size_t at = 0; at < size;) {
    const size_t found = std::min(from.text.find(pattern, at), size);
    AppendRange(from, at, found, out);
    if (found == size) return;
    at = found + pattern.size();
    out->Append(content, from.begin[found], from.end[at - 1]);
  }
}

namespace {

bool SpaceAt(std::string_view text, size_t at, size_t* size) {
  const DecodedCodePoint c = DecodeUtf8(text.data() + at, text.data() + text.size());
  *size = c.size;
  return u_isUWhiteSpace(static_cast<UChar32>(c.value));
}

void ApplyBert(const BertNormalizer& normalizer, AlignedText* text) {
  AlignedText once;
  normalizer.Append(text->text, 0, &once);
  // `once` is aligned to text->text; compose the two alignments.
  for (size_t i = 0; i < once.text.size(); ++i) {
    once.begin[i] = text->begin[once.begin[i]];
    once.end[i] = text->end[once.end[i] - 1];
  }
  *text = std::move(once);
}

void ReplaceAll(std::string_view pattern, std::string_view content, AlignedText* text) {
  AlignedText out;
  AppendReplaced(*text, pattern, content, &out);
  *text = std::move(out);
}

void ReplaceBytes(const NormalizerStep& step, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const uint8_t byte = static_cast<uint8_t>(text->text[at]);
    if (byte < 0x80 && step.bytes[byte].has_value()) {
      out->Append(*step.bytes[byte], text->begin[at], text->end[at]);
    } else {
      AppendRange(*text, at, at + 1, out);
    }
    return at + 1;
  });
}

void ReplaceSpaces(std::string_view content, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    size_t end = at, size = 0;
    while (end < text->text.size() && SpaceAt(text->text, end, &size)) end += size;
    if (end > at) {
      out->Append(content, text->begin[at], text->end[end - 1]);
      return end;
    }
    AppendRange(*text, at, at + size, out);
    return at + size;
  });
}

void Strip(bool left, bool right, AlignedText* text) {
  size_t first = text->text.size(), last = 0, size = 0;
  for (size_t at = 0; at < text->text.size(); at += size) {
    if (SpaceAt(text->text, at, &size)) continue;
    first = std::min(first, at);
    last = at + size;
  }
  if (!left) first = 0;
  if (!right) last = text->text.size();
  *text = Slice(*text, first, std::max(first, last));
}

void ReplaceManyBlanks(std::string_view content, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const size_t end = std::min(text->text.find_first_not_of(' ', at), text->text.size());
    if (end >= at + 2) {
      out->Append(content, text->begin[at], text->end[end - 1]);
      return end;
    }
    const size_t next = std::min(text->text.find(' ', end), text->text.size());
    AppendRange(*text, at, next, out);
    return next;
  });
}

void Prepend(std::string_view content, AlignedText* text) {
  if (text->text.empty()) return;
  AlignedText out;
  out.Append(content, text->begin[0], text->begin[0]);
  AppendRange(*text, 0, text->text.size(), &out);
  *text = std::move(out);
}

void ApplyCharsmap(const PrecompiledCharsmap& charsmap, AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const std::string_view rest = std::string_view(text->text).substr(at);
    std::string_view replacement;
    const size_t rule = charsmap.LongestRule(rest, &replacement);
    if (rule > 0) {
      out->Append(replacement, text->begin[at], text->end[at + rule - 1]);
      return at + rule;
    }
    const size_t end = at + DecodeUtf8(rest.data(), rest.data() + rest.size()).size;
    AppendRange(*text, at, end, out);
    return end;
  });
}

void TrimBlanks(AlignedText* text) {
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const size_t word = std::min(text->text.find_first_not_of(' ', at), text->text.size());
    if (word == text->text.size()) return word;
    if (word > at && !out->text.empty()) {
      out->Append(" ", text->begin[at], text->end[word - 1]);
    }
    const size_t end = std::min(text->text.find(' ', word), text->text.size());
    AppendRange(*text, word, end, out);
    return end;
  });
}

const icu::Normalizer2* Nfc() {
  UErrorCode error = U_ZERO_ERROR;
  return icu::Normalizer2::getNFCInstance(error);  // Null only where memory is exhausted.
}

bool IsNfc(std::string_view text) {
  // Every code point below U+0300 is its own NFC; the lead byte of U+0300 is 0xCC.
  uint8_t largest = 0;
  for (const char c : text) largest = std::max(largest, static_cast<uint8_t>(c));
  if (largest < 0xCC) return true;
  const icu::Normalizer2* nfc = Nfc();
  if (nfc == nullptr || text.size() > kComposedBytes) return false;
  UErrorCode error = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  return nfc->isNormalizedUTF8(piece, error) && U_SUCCESS(error);
}

// Appends the composed form of text[begin, end).
void Compose(const icu::Normalizer2& nfc, const AlignedText& text, size_t begin, size_t end,
             AlignedText* out) {
  UErrorCode error = U_ZERO_ERROR;
  std::string composed;
  icu::StringByteSink<std::string> sink(&composed);
  icu::Edits edits;
  nfc.normalizeUTF8(0,
                    icu::StringPiece(text.text.data() + begin, static_cast<int32_t>(end - begin)),
                    sink, &edits, error);
  if (U_FAILURE(error)) return AppendRange(text, begin, end, out);  // Memory is exhausted.
  icu::Edits::Iterator edit = edits.getFineIterator();
  while (edit.next(error)) {
    const size_t from = begin + static_cast<size_t>(edit.sourceIndex());
    const size_t to = from + static_cast<size_t>(edit.oldLength());
    if (!edit.hasChange()) {
      AppendRange(text, from, to, out);
    } else if (to > from) {
      const std::string_view replacement = std::string_view(composed).substr(
          static_cast<size_t>(edit.destinationIndex()), static_cast<size_t>(edit.newLength()));
      out->Append(replacement, text.begin[from], text.end[to - 1]);
    }
  }
}

void ApplyNfc(AlignedText* text) {
  const icu::Normalizer2* nfc = Nfc();
  if (nfc == nullptr || IsNfc(text->text)) return;
  Rewrite(text, [&](size_t at, AlignedText* out) {
    const std::string& all = text->text;
    size_t end = std::min(all.size(), at + kComposedBytes);
    // A piece ends before a character that interacts with nothing before it; where there is none
    // in 256 MiB, any place is as good.
    for (size_t cut = end; cut < all.size() && cut > at; --cut) {
      const char32_t c = DecodeUtf8(all.data() + cut, all.data() + all.size()).value;
      if (IsUtf8Trail(all[cut]) || !nfc->hasBoundaryBefore(static_cast<UChar32>(c))) continue;
      end = cut;
      break;
    }
    Compose(*nfc, *text, at, end, out);
    return end;
  });
}

}  // namespace

void AppendWellFormed(std::string_view text, size_t begin, size_t end, AlignedText* out) {
  const char* const stop = text.data() + end;
  out->Reserve(out->text.size() + (end - begin));
  for (size_t at = begin; at < end;) {
    const uint8_t byte = static_cast<uint8_t>(text[at]);
    const uint32_t from = static_cast<uint32_t>(at);
    if (byte < 0x80) {
      out->text.push_back(text[at++]);
      out->begin.push_back(from);
      out->end.push_back(from + 1);
      continue;
    }
    const DecodedCodePoint c = DecodeUtf8(text.data() + at, stop);
    if (c.size > 1) out->Append(text.substr(at, c.size), from, from + c.size);
    at += c.size;
  }
}

bool TextNormalizer::Keeps(std::string_view text) const {
  return steps_.empty() ||
         (steps_.size() == 1 && steps_[0].kind == NormalizerStep::Kind::kNfc && IsNfc(text));
}

std::string TextNormalizer::Apply(std::string_view text) const {
  AlignedText aligned;
  aligned.Append(text, 0, 0);
  Apply(&aligned);
  return std::move(aligned.text);
}

void TextNormalizer::Apply(AlignedText* text) const {
  for (const NormalizerStep& step : steps_) {
    switch (step.kind) {
      case NormalizerStep::Kind::kBert:
        ApplyBert(BertNormalizer(step.bert, &characters_), text);
        break;
      case NormalizerStep::Kind::kReplaceBytes:
        ReplaceBytes(step, text);
        break;
      case NormalizerStep::Kind::kReplace:
        ReplaceAll(step.pattern, step.content, text);
        break;
      case NormalizerStep::Kind::kReplaceSpaces:
        ReplaceSpaces(step.content, text);
        break;
      case NormalizerStep::Kind::kStrip:
        Strip(step.strip_left, step.strip_right, text);
        break;
      case NormalizerStep::Kind::kReplaceManyBlanks:
        ReplaceManyBlanks(step.content, text);
        break;
      case NormalizerStep::Kind::kPrepend:
        Prepend(step.content, text);
        break;
      case NormalizerStep::Kind::kNfc:
        ApplyNfc(text);
        break;
      case NormalizerStep::Kind::kCharsmap:
        ApplyCharsmap(*step.charsmap, text);
        break;
      case NormalizerStep::Kind::kTrimBlanks:
        TrimBlanks(text);
        break;
    }
  }
}

}  // namespace cairn::chunking
