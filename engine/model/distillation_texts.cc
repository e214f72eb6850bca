#include "engine/model/distillation_texts.h"

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "chunking/text/utf8.h"
#include "engine/model/model_file.h"

namespace cairn::engine {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;

bool IsUtf8Line(std::string_view text) {
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const chunking::DecodedCodePoint c = chunking::DecodeUtf8(p, end);
    if (c.value == chunking::kReplacementCharacter && c.size == 1) return false;
    p += c.size;
  }
  return true;
}

// Calls `take` for each line, without what ends it. Its errors get the line's number.
absl::Status ReadLines(const std::string& path,
                       absl::FunctionRef<absl::Status(std::string_view)> take) {
  const auto file = ReadModelFile(path, kMaxFileBytes);
  if (!file.ok()) return file.status();
  std::string_view rest = file->view();
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const absl::Status status =
        IsUtf8Line(line) ? take(line) : absl::InvalidArgumentError("not valid UTF-8");
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(path, ": line ", number, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

// "word(p)", where a marker says where an adjective may stand -> "word".
std::string_view WithoutMarker(std::string_view word) {
  const size_t open = word.rfind('(');
  if (open == word.npos || open == 0 || !word.ends_with(')')) return word;
  const std::string_view marker = word.substr(open + 1, word.size() - open - 2);
  for (const char c : marker) {
    if (!absl::ascii_isalpha(static_cast<unsigned char>(c))) return word;
  }
  return marker.empty() ? word : word.substr(0, open);
}

// `offset lexfile type count(hex) word lexid word lexid ... | gloss`; lines that begin with two
// spaces are the licence.
absl::Status AppendSynset(std::string_view line, std::vector<std::string>* texts) {
  if (line.starts_with("  ") || line.empty()) return absl::OkStatus();
  const size_t bar = line.find(" | ");
  if (bar == line.npos) return absl::InvalidArgumentError("no gloss");
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(line.data(), bar), absl::ByAnyChar(" "), absl::SkipEmpty());
  uint32_t count = 0;
  if (fields.size() < 4 || !absl::SimpleHexAtoi(fields[3], &count) || count == 0 ||
      count > (fields.size() - 4) / 2) {
    return absl::InvalidArgumentError("the words and their number do not agree");
  }
  std::string text;
  for (uint32_t i = 0; i < count; ++i) {
    const absl::string_view word = fields[4 + 2 * i];
    absl::StrAppend(&text, i == 0 ? "" : ", ",
                    std::string(WithoutMarker({word.data(), word.size()})));
  }
  absl::StrReplaceAll({{"_", " "}}, &text);
  const std::string_view gloss = line.substr(bar + 3);
  absl::StrAppend(&text, ": ",
                  absl::StripAsciiWhitespace(absl::string_view(gloss.data(), gloss.size())));
  texts->push_back(std::move(text));
  return absl::OkStatus();
}

}  // namespace

absl::Status AppendLines(const std::string& path, std::vector<std::string>* texts) {
  return ReadLines(path, [&](std::string_view line) {
    if (line.find_first_not_of(" \t\f\v") != line.npos) texts->emplace_back(line);
    return absl::OkStatus();
  });
}

absl::Status AppendWordnet(const std::string& directory, std::vector<std::string>* texts) {
  for (const char* part : {"noun", "verb", "adj", "adv"}) {
    const absl::Status status =
        ReadLines(absl::StrCat(directory, "/data.", part),
                  [&](std::string_view line) { return AppendSynset(line, texts); });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace cairn::engine
