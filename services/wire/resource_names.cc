#include "services/wire/resource_names.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"
#include "services/wire/status.h"

namespace cairn::services {
namespace {

using chunking::AbslView;

constexpr size_t kMaxIdBytes = 64;
constexpr size_t kMaxDocumentIdBytes = 1024;
constexpr std::string_view kCollections = "collections/";
constexpr std::string_view kDocuments = "/documents/";
constexpr std::string_view kOperations = "operations/";
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

bool IsIdCharacter(char c) {
  return chunking::IsAsciiLetter(c) || chunking::IsAsciiDigit(c) || c == '-' || c == '_';
}

// RFC 3986, section 2.3.
bool IsUnreserved(char c) { return IsIdCharacter(c) || c == '.' || c == '~'; }

// -1: none.
int HexValue(char c) {
  if (chunking::IsAsciiDigit(c)) return c - '0';
  const char lower = chunking::AsciiLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// False for anything but unreserved characters and whole escapes. Both cases of hexadecimal digits
// do, and an escape may stand for any byte: RFC 3986 has such names mean the same (section 6.2.2).
bool DecodePercent(std::string_view encoded, std::string* out) {
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (IsUnreserved(encoded[i])) {
      out->push_back(encoded[i]);
      continue;
    }
    if (encoded[i] != '%' || encoded.size() - i < 3) return false;
    const int high = HexValue(encoded[i + 1]);
    const int low = HexValue(encoded[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

bool TakePrefix(std::string_view prefix, std::string_view* name) {
  if (name->substr(0, prefix.size()) != prefix) return false;
  name->remove_prefix(prefix.size());
  return true;
}

}  // namespace

bool IsResourceId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes &&
         std::all_of(id.begin(), id.end(), IsIdCharacter);
}

std::string CollectionName(std::string_view collection) {
  return absl::StrCat(AbslView(kCollections), AbslView(collection));
}

std::string DocumentName(std::string_view collection, std::string_view document) {
  std::string name =
      absl::StrCat(AbslView(kCollections), AbslView(collection), AbslView(kDocuments));
  for (const char c : document) {
    if (IsUnreserved(c)) {
      name.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    name.push_back('%');
    name.push_back(kHexDigits[byte >> 4]);
    name.push_back(kHexDigits[byte & 15]);
  }
  return name;
}

std::string OperationName(std::string_view id) {
  return absl::StrCat(AbslView(kOperations), AbslView(id));
}

absl::StatusOr<std::string> ParseCollectionName(std::string_view field, std::string_view name) {
  if (TakePrefix(kCollections, &name) && IsResourceId(name)) return std::string(name);
  return BadField(field,
                  "must be \"collections/{collection}\", {collection} being 1 to 64 letters, "
                  "digits, \"-\" and \"_\"");
}

absl::StatusOr<DocumentPath> ParseDocumentName(std::string_view field, std::string_view name) {
  if (TakePrefix(kCollections, &name)) {
    const size_t end = std::min(name.find('/'), name.size());
    DocumentPath path;
    path.collection = name.substr(0, end);
    name.remove_prefix(end);
    if (IsResourceId(path.collection) && TakePrefix(kDocuments, &name) &&
        name.size() <= 3 * kMaxDocumentIdBytes && DecodePercent(name, &path.document) &&
        !path.document.empty() && path.document.size() <= kMaxDocumentIdBytes) {
      return path;
    }
  }
  return BadField(field,
                  "must be \"collections/{collection}/documents/{document}\", {collection} being "
                  "1 to 64 letters, digits, \"-\" and \"_\", and {document} the percent-encoded id "
                  "of 1 to 1,024 bytes");
}

absl::StatusOr<std::string> ParseOperationName(std::string_view field, std::string_view name) {
  if (TakePrefix(kOperations, &name) && IsResourceId(name)) return std::string(name);
  return BadField(field,
                  "must be \"operations/{operation}\", {operation} being 1 to 64 letters, digits, "
                  "\"-\" and \"_\"");
}

}  // namespace cairn::services
