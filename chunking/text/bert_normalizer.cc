#include "chunking/text/bert_normalizer.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace cairn::chunking {
namespace {

// The age cut that reproduces the library's tables, and the characters whose category has changed
// since Unicode 8.0.
uint32_t CategoryMask(UChar32 c) {
  switch (c) {
    case 0x166D:   // So today.
    case 0x111C9:  // Mn today.
      return U_GC_PO_MASK;
    case 0x1734:  // Mc today.
      return U_GC_MN_MASK;
    case 0x1885:  // Mn today.
    case 0x1886:  // Mn today.
      return U_GC_LO_MASK;
    case 0xA9BD:  // Mn today.
      return U_GC_MC_MASK;
    default:
      break;
  }
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] > 8 ? 0 : U_GET_GC_MASK(c);
}

bool IsCjkIdeograph(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

const icu::Normalizer2* Nfd() {
  UErrorCode error = U_ZERO_ERROR;
  return icu::Normalizer2::getNFDInstance(error);  // Null only where memory is exhausted.
}

bool Decompose(UChar32 c, icu::UnicodeString* out) {
  const icu::Normalizer2* nfd = Nfd();
  return nfd != nullptr && nfd->getDecomposition(c, *out);
}

}  // namespace

uint8_t BertCharacters::Compute::operator()(char32_t code_point) const {
  const UChar32 c = static_cast<UChar32>(code_point);
  const uint32_t mask = CategoryMask(c);
  uint8_t flags = 0;
  const bool exempt = c == '\t' || c == '\n' || c == '\r';
  if (c == 0 || c == 0xFFFD ||
      (!exempt && (mask & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK)) != 0)) {
    flags |= kControl;
  }
  if (u_isUWhiteSpace(c)) flags |= kSpace;
  const bool ascii_symbol = c > 0x20 && c < 0x7F && !u_isalnum(c);
  if (ascii_symbol || (mask & U_GC_P_MASK) != 0) flags |= kPunctuation;
  if (IsCjkIdeograph(c)) flags |= kCjkIdeograph;
  if ((mask & U_GC_MN_MASK) != 0) flags |= kNonspacingMark;
  UVersionInfo age;
  u_charAge(c, age);
  icu::UnicodeString decomposition;
  if (age[0] <= 8 && Decompose(c, &decomposition)) flags |= kDecomposes;
  if (u_tolower(c) != c) flags |= kHasLower;
  return flags;
}

void BertNormalizer::AppendFolded(char32_t c, uint8_t flags, uint32_t begin, uint32_t end,
                                  AlignedText* out) const {
  if (options_.strip_accents && (flags & BertCharacters::kNonspacingMark) != 0) return;
  if (!options_.lowercase || (flags & BertCharacters::kHasLower) == 0) {
    out->Append(c, begin, end);
  } else if (c == 0x130) {  // The one character whose lower case is two.
    out->Append("i\u0307", begin, end);
  } else {
    out->Append(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))), begin, end);
  }
}

void BertNormalizer::Append(std::string_view text, uint32_t offset, AlignedText* out) const {
  const char* const start = text.data();
  const char* const stop = start + text.size();
  for (const char* p = start; p < stop;) {
    const DecodedCodePoint decoded = DecodeUtf8(p, stop);
    const uint32_t begin = offset + static_cast<uint32_t>(p - start);
    const uint32_t end = begin + decoded.size;
    const bool ill_formed = decoded.size == 1 && static_cast<uint8_t>(*p) >= 0x80;
    p += decoded.size;
    if (ill_formed) continue;
    char32_t c = decoded.value;
    uint8_t flags = (*characters_)[c];
    if (options_.clean_text) {
      if ((flags & BertCharacters::kControl) != 0) continue;
      if ((flags & BertCharacters::kSpace) != 0) {
        c = ' ';
        flags = BertCharacters::kSpace;
      }
    }
    const bool spaced =
        options_.handle_chinese_chars && (flags & BertCharacters::kCjkIdeograph) != 0;
    if (spaced) out->Append(' ', begin, end);
    icu::UnicodeString parts;
    if (options_.strip_accents && (flags & BertCharacters::kDecomposes) != 0 &&
        Decompose(static_cast<UChar32>(c), &parts)) {
      for (int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1)) {
        const char32_t part = static_cast<char32_t>(parts.char32At(i));
        AppendFolded(part, (*characters_)[part], begin, end, out);
      }
    } else {
      AppendFolded(c, flags, begin, end, out);
    }
    if (spaced) out->Append(' ', begin, end);
  }
}

}  // namespace cairn::chunking
