#include "engine/document_checks.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxKeyBytes = 1024;
constexpr size_t kMaxMetadataBytes = size_t{64} << 10;
constexpr size_t kMaxSourceBytes = 8192;  // A path, and a line in it.
// What a field, or an element of a list, costs beyond its bytes: about its length and type.
constexpr size_t kFieldOverhead = 8;

absl::Status DocumentFault(std::string_view what, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(chunking::AbslView(what), " ", chunking::AbslView(why)));
}

absl::Status CheckSize(std::string_view what, size_t size, size_t limit) {
  if (size <= limit) return absl::OkStatus();
  return DocumentFault(what, absl::StrCat("has ", size, " bytes; at most ", limit));
}

absl::Status CheckString(std::string_view what, std::string_view s) {
  if (!chunking::IsUtf8(s)) return DocumentFault(what, "is not valid UTF-8");
  if (chunking::Contains(s, '\0')) return DocumentFault(what, "holds a NUL character");
  return absl::OkStatus();
}

size_t ValueBytes(const chunking::MetadataValue& value) {
  size_t bytes = kFieldOverhead;
  if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& item : *list) bytes += item.size() + kFieldOverhead;
  }
  return bytes;
}

absl::Status CheckValue(std::string_view what, const chunking::MetadataValue& value) {
  if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) {
    return DocumentFault(what, "is not a finite number");
  }
  if (const auto* text = std::get_if<std::string>(&value)) return CheckString(what, *text);
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& item : *list) {
      if (absl::Status s = CheckString(what, item); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTitle(std::string_view title) {
  constexpr std::string_view kWhat = "the title";
  if (absl::Status s = CheckSize(kWhat, title.size(), chunking::kMaxTitleBytes); !s.ok()) return s;
  if (absl::Status s = CheckString(kWhat, title); !s.ok()) return s;
  const bool lines = std::any_of(title.begin(), title.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  return lines ? DocumentFault(kWhat, "is not one line") : absl::OkStatus();
}

absl::Status CheckSource(std::string_view source) {
  constexpr std::string_view kWhat = "the source URI";
  if (absl::Status s = CheckSize(kWhat, source.size(), kMaxSourceBytes); !s.ok()) return s;
  return CheckString(kWhat, source);
}

}  // namespace

size_t MetadataBytes(const chunking::Metadata& metadata) {
  size_t bytes = 0;
  for (const auto& [name, value] : metadata) bytes += name.size() + ValueBytes(value);
  return bytes;
}

absl::Status CheckMetadata(const chunking::Metadata& metadata) {
  absl::Status size = CheckSize("the metadata", MetadataBytes(metadata), kMaxMetadataBytes);
  if (!size.ok()) return size;
  for (const auto& [name, value] : metadata) {
    if (name.empty()) return DocumentFault("a metadata field", "has an empty name");
    absl::Status s = CheckSize("the name of a metadata field", name.size(), kMaxKeyBytes);
    if (!s.ok()) return s;
    if (s = CheckString("the name of a metadata field", name); !s.ok()) return s;
    s = CheckValue(absl::StrCat("the metadata field \"", absl::Utf8SafeCHexEscape(name), "\""),
                   value);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckDocument(const chunking::Document& document) {
  if (absl::Status s = chunking::CheckId(document.id); !s.ok()) return s;
  absl::Status s = CheckTitle(document.title);
  if (s.ok()) s = CheckSource(document.source_uri);
  if (s.ok()) s = CheckMetadata(document.metadata);
  if (s.ok()) return s;
  return absl::InvalidArgumentError(absl::StrCat("document ", document.id, ": ", s.message()));
}

}  // namespace cairn::engine
