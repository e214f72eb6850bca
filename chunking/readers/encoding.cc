#include "chunking/readers/encoding.h"

#include <unicode/ucnv.h>
#include <unicode/ucnv_err.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

// Browsers look no further than 1,024 bytes; some generators put the <meta> behind long scripts.
constexpr size_t kDeclarationWindow = 8192;

struct ConverterCloser {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, ConverterCloser>;

absl::StatusOr<Converter> OpenConverter(const char* name) {
  UErrorCode error = U_ZERO_ERROR;
  Converter converter(ucnv_open(name, &error));
  if (U_FAILURE(error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot convert from ", name, ": ", u_errorName(error)));
  }
  return converter;
}

// `strict`: an ill-formed sequence is an error instead of U+FFFD.
absl::StatusOr<std::string> ToUtf8(std::string_view bytes, const char* encoding, bool strict) {
  absl::StatusOr<Converter> from = OpenConverter(encoding);
  if (!from.ok()) return from.status();
  absl::StatusOr<Converter> to = OpenConverter("UTF-8");
  if (!to.ok()) return to.status();
  UErrorCode error = U_ZERO_ERROR;
  if (strict) {
    ucnv_setToUCallBack(from->get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  }
  std::string utf8;
  utf8.reserve(bytes.size());
  char out[1 << 14];
  UChar pivot[1 << 12];
  UChar* pivot_source = pivot;
  UChar* pivot_target = pivot;
  const char* source = bytes.data();
  bool reset = true;
  do {
    char* target = out;
    error = U_ZERO_ERROR;
    ucnv_convertEx(to->get(), from->get(), &target, std::end(out), &source,
                   bytes.data() + bytes.size(), pivot, &pivot_source, &pivot_target,
                   std::end(pivot), reset, /*flush=*/true, &error);
    utf8.append(out, target);
    reset = false;
  } while (error == U_BUFFER_OVERFLOW_ERROR);
  if (U_FAILURE(error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid ", encoding, " near byte offset ", source - bytes.data()));
  }
  return utf8;
}

// The converter for an encoding label as found in HTML; empty when the label is unknown. Only
// families that are supersets of ASCII and in real use: UTF-7 and its like are ways to smuggle.
std::string ConverterForLabel(std::string_view label) {
  std::string name = AsciiLower(Trim(label));
  // By the encoding standard these labels mean a superset of what they say.
  static constexpr struct {
    std::string_view label, name;
  } kAliases[] = {
      {"ascii", "windows-1252"},
      {"us-ascii", "windows-1252"},
      {"latin1", "windows-1252"},
      {"iso-8859-1", "windows-1252"},
      {"iso8859-1", "windows-1252"},
      {"iso-8859-9", "windows-1254"},
      {"iso-8859-11", "windows-874"},
      {"tis-620", "windows-874"},
      {"gb2312", "gb18030"},
      {"gbk", "gb18030"},
      {"gb_2312-80", "gb18030"},
      {"x-gbk", "gb18030"},
      {"big5-hkscs", "big5-hkscs"},
      {"shift_jis", "windows-31j"},
      {"shift-jis", "windows-31j"},
      {"sjis", "windows-31j"},
      {"x-sjis", "windows-31j"},
      {"euc-kr", "windows-949"},
      {"ks_c_5601-1987", "windows-949"},
      {"cp1251", "windows-1251"},
      {"cp1252", "windows-1252"},
      {"utf8", "utf-8"},
      {"utf-16", "utf-8"},
      {"utf-16le", "utf-8"},
      {"utf-16be", "utf-8"},
  };
  for (const auto& alias : kAliases) {
    if (name == alias.label) return std::string(alias.name);
  }
  static constexpr std::string_view kFamilies[] = {"utf-8", "windows-",  "iso-8859-",
                                                   "koi8-", "gb18030",   "big5",
                                                   "euc-",  "macintosh", "iso-2022-jp"};
  for (const std::string_view family : kFamilies) {
    if (name.starts_with(family)) return name;
  }
  return "";
}

// The value behind the first `key`, "=" and an optional quote in `lower`; empty when none.
std::string_view ValueAfter(std::string_view lower, std::string_view key) {
  size_t at = lower.find(key);
  if (at == std::string_view::npos) return "";
  at += key.size();
  while (at < lower.size() && IsAsciiSpace(lower[at])) ++at;
  if (at == lower.size() || lower[at] != '=') return "";
  ++at;
  while (at < lower.size() && (IsAsciiSpace(lower[at]) || lower[at] == '"' || lower[at] == '\'')) {
    ++at;
  }
  const size_t end = lower.find_first_of("\"'; \t\r\n/>?", at);
  return lower.substr(at, end == std::string_view::npos ? end : end - at);
}

std::string DeclaredEncoding(std::string_view bytes) {
  const std::string lower = AsciiLower(bytes.substr(0, kDeclarationWindow));
  const std::string_view head = lower;
  if (head.starts_with("<?xml")) {
    std::string name = ConverterForLabel(ValueAfter(head.substr(0, head.find('>')), "encoding"));
    if (!name.empty()) return name;
  }
  for (size_t at = 0; (at = head.find("<meta", at)) != std::string_view::npos; ++at) {
    const size_t end = head.find('>', at);
    std::string name = ConverterForLabel(ValueAfter(head.substr(at, end - at), "charset"));
    if (!name.empty()) return name;
    if (end == std::string_view::npos) break;
  }
  return "";
}

}  // namespace

Bom FindBom(std::string_view bytes) {
  if (bytes.starts_with(kUtf8Bom)) return Bom::kUtf8;
  // UTF-32LE's mark starts with UTF-16LE's.
  if (bytes.starts_with(std::string_view("\xFF\xFE\0\0", 4))) return Bom::kUtf32Le;
  if (bytes.starts_with(std::string_view("\0\0\xFE\xFF", 4))) return Bom::kUtf32Be;
  if (bytes.starts_with("\xFF\xFE")) return Bom::kUtf16Le;
  if (bytes.starts_with("\xFE\xFF")) return Bom::kUtf16Be;
  return Bom::kNone;
}

std::string_view BomName(Bom bom) {
  switch (bom) {
    case Bom::kNone:
      return "";
    case Bom::kUtf8:
      return "UTF-8";
    case Bom::kUtf16Le:
      return "UTF-16LE";
    case Bom::kUtf16Be:
      return "UTF-16BE";
    case Bom::kUtf32Le:
      return "UTF-32LE";
    case Bom::kUtf32Be:
      return "UTF-32BE";
  }
  return "";
}

absl::Status DecodeBom(std::string_view* bytes, std::string* storage) {
  const Bom bom = FindBom(*bytes);
  if (bom == Bom::kNone) return absl::OkStatus();
  if (bom == Bom::kUtf8) {
    bytes->remove_prefix(kUtf8Bom.size());
    return absl::OkStatus();
  }
  const size_t mark = bom == Bom::kUtf32Le || bom == Bom::kUtf32Be ? 4 : 2;
  absl::StatusOr<std::string> utf8 =
      ToUtf8(bytes->substr(mark), std::string(BomName(bom)).c_str(), /*strict=*/true);
  if (!utf8.ok()) return utf8.status();
  *storage = *std::move(utf8);
  *bytes = *storage;
  return absl::OkStatus();
}

absl::Status DecodeHtml(std::string_view* bytes, std::string* storage) {
  std::string encoding = DeclaredEncoding(*bytes);
  if (encoding.empty()) encoding = IsUtf8(*bytes) ? "utf-8" : "windows-1252";
  if (encoding == "utf-8") return absl::OkStatus();
  absl::StatusOr<std::string> utf8 = ToUtf8(*bytes, encoding.c_str(), /*strict=*/false);
  if (!utf8.ok()) return utf8.status();
  *storage = *std::move(utf8);
  *bytes = *storage;
  return absl::OkStatus();
}

}  // namespace cairn::chunking
