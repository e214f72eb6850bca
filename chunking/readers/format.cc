#include "chunking/readers/format.h"

#include <string>

#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

Format FormatOfExtension(std::string_view source) {
  const std::string_view name = source.substr(source.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return Format::kAuto;
  const std::string extension = AsciiLower(name.substr(dot + 1));
  static constexpr struct {
    std::string_view extension;
    Format format;
  } kExtensions[] = {
      {"txt", Format::kText},     {"text", Format::kText},         {"log", Format::kText},
      {"md", Format::kMarkdown},  {"markdown", Format::kMarkdown}, {"html", Format::kHtml},
      {"htm", Format::kHtml},     {"xhtml", Format::kHtml},        {"jsonl", Format::kJsonl},
      {"ndjson", Format::kJsonl}, {"trec", Format::kTrec},         {"sgml", Format::kTrec},
      {"sgm", Format::kTrec},
  };
  for (const auto& known : kExtensions) {
    if (extension == known.extension) return known.format;
  }
  return Format::kAuto;
}

// A line that is one JSON object, as far as the head shows it. A lone "{" is pretty-printed JSON.
bool StartsWithJsonLine(std::string_view head) {
  if (head.empty() || head[0] != '{') return false;
  const size_t end = head.find('\n');
  const std::string_view line = Trim(head.substr(0, end));
  if (end == std::string_view::npos && head.size() >= kFormatHead / 2) {  // A long first line.
    const std::string_view rest = Trim(head.substr(1));
    return !rest.empty() && rest[0] == '"';
  }
  return line.back() == '}';
}

}  // namespace

Format DetectFormat(std::string_view source, std::string_view head) {
  const Format by_name = FormatOfExtension(source);
  if (by_name != Format::kAuto) return by_name;
  head = head.substr(0, kFormatHead);
  if (head.starts_with(kUtf8Bom)) head.remove_prefix(kUtf8Bom.size());
  while (!head.empty() && IsAsciiSpace(head[0])) head.remove_prefix(1);
  if (StartsWithIgnoreCase(head, "<!doctype html") || StartsWithIgnoreCase(head, "<html") ||
      (StartsWithIgnoreCase(head, "<?xml") &&
       AsciiLower(head).find("<html") != std::string::npos)) {
    return Format::kHtml;
  }
  if (StartsWithIgnoreCase(head, "<DOC>") || StartsWithIgnoreCase(head, "<DOC ")) {
    return Format::kTrec;
  }
  return StartsWithJsonLine(head) ? Format::kJsonl : Format::kText;
}

std::string_view BinaryKind(std::string_view head) {
  static constexpr struct {
    std::string_view magic, kind;
  } kMagic[] = {
      {"%PDF-", "a PDF file"},
      {"%!PS-Adobe", "a PostScript file"},
      {"\x1F\x8B", "gzip-compressed data"},
      {"BZh91AY&SY", "bzip2-compressed data"},
      {"\xFD"
       "7zXZ",
       "xz-compressed data"},
      {"\x28\xB5\x2F\xFD", "zstd-compressed data"},
      {"7z\xBC\xAF", "a 7z archive"},
      {"PK\x03\x04", "a ZIP archive or an office document"},
      {"\xD0\xCF\x11\xE0", "an old office document"},
      {"{\\rtf", "an RTF document"},
      {"\x7F"
       "ELF",
       "an ELF program"},
      {"!<arch>\n", "an ar archive"},
      {"\x89PNG", "a PNG image"},
      {"\xFF\xD8\xFF", "a JPEG image"},
      {"GIF87a", "a GIF image"},
      {"GIF89a", "a GIF image"},
      {"SQLite format 3", "an SQLite database"},
      {"GGUF\x03", "a GGUF model"},
  };
  for (const auto& known : kMagic) {
    if (head.starts_with(known.magic)) return known.kind;
  }
  return "";
}

std::string_view MediaType(Format format) {
  switch (format) {
    case Format::kMarkdown:
      return "text/markdown";
    case Format::kHtml:
      return "text/html";
    case Format::kJsonl:
      return "application/jsonl";
    case Format::kTrec:
      return "text/x-trec";
    case Format::kAuto:
    case Format::kText:
      break;
  }
  return "text/plain";
}

}  // namespace cairn::chunking
