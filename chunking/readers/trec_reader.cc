#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/readers/format.h"
#include "chunking/readers/html_entities.h"
#include "chunking/readers/html_text.h"
#include "chunking/readers/line_reader.h"
#include "chunking/readers/record_readers.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

// "<" farther than this from its ">" is a less-than sign.
constexpr size_t kMaxTagBytes = 1024;

// What an element of a record holds.
enum class TrecField { kNone, kId, kTitle, kText, kDate, kAuthor, kWebHeader, kIgnored };

constexpr struct {
  std::string_view name;
  TrecField field;
} kFields[] = {
    {"docno", TrecField::kId},         {"title", TrecField::kTitle},
    {"headline", TrecField::kTitle},   {"head", TrecField::kTitle},
    {"ti", TrecField::kTitle},         {"hl", TrecField::kTitle},
    {"ttl", TrecField::kTitle},        {"text", TrecField::kText},
    {"body", TrecField::kText},        {"abstract", TrecField::kText},
    {"ab", TrecField::kText},          {"lp", TrecField::kText},
    {"leadpara", TrecField::kText},    {"contents", TrecField::kText},
    {"date", TrecField::kDate},        {"date_time", TrecField::kDate},
    {"dd", TrecField::kDate},          {"byline", TrecField::kAuthor},
    {"author", TrecField::kAuthor},    {"dochdr", TrecField::kWebHeader},
    {"docid", TrecField::kIgnored},    {"doctype", TrecField::kIgnored},
    {"fileid", TrecField::kIgnored},   {"txttype", TrecField::kIgnored},
    {"docoldno", TrecField::kIgnored}, {"first", TrecField::kIgnored},
    {"second", TrecField::kIgnored},   {"ht", TrecField::kIgnored},
    {"profile", TrecField::kIgnored},  {"pub", TrecField::kIgnored},
    {"page", TrecField::kIgnored},
};

TrecField FieldOf(std::string_view name) {
  for (const auto& known : kFields) {
    if (name == known.name) return known.field;
  }
  return TrecField::kNone;
}

struct Tag {
  std::string name;  // In lower case; empty for a comment or declaration.
  bool is_end = false;
  std::string_view inside;  // Between "<" and ">".
};

// The tag that `text` (which starts with "<") starts with; nullopt when that is no tag.
std::optional<Tag> ParseTag(std::string_view text) {
  text = text.substr(0, kMaxTagBytes);
  if (text.size() < 3) return std::nullopt;
  Tag tag;
  tag.is_end = text[1] == '/';
  const size_t begin = tag.is_end ? 2 : 1;
  const bool declaration = text[1] == '!' || text[1] == '?';
  if (!declaration && !IsAsciiLetter(text[begin])) return std::nullopt;
  const size_t close = text.find('>');
  if (close == std::string_view::npos) return std::nullopt;
  tag.inside = text.substr(1, close - 1);
  if (declaration) return tag;
  size_t end = begin;
  while (end < close && !IsAsciiSpace(text[end]) && text[end] != '/') ++end;
  tag.name = AsciiLower(text.substr(begin, end - begin));
  return tag;
}

// The value of `id` or `docno` in "DOC id="X" type="story"".
std::string_view IdAttribute(std::string_view inside) {
  for (const std::string_view key : {" id=", " docno=", " ID=", " DOCNO="}) {
    const size_t found = inside.find(key);
    if (found == std::string_view::npos) continue;
    std::string_view value = inside.substr(found + key.size());
    const char quote = value.empty() ? '\0' : value[0];
    if (quote == '"' || quote == '\'') {
      value.remove_prefix(1);
      return value.substr(0, value.find(quote));
    }
    return value.substr(0, value.find(' '));
  }
  return {};
}

// Appends a paragraph's end. Blank lines are not piled up.
void AppendBreak(std::string* text) {
  if (!text->empty() && !text->ends_with("\n\n")) {
    text->append(text->ends_with("\n") ? "\n" : "\n\n");
  }
}

// The content of one <DOC> as a document.
class TrecRecord {
 public:
  explicit TrecRecord(std::string_view content) : rest_(content) {}

  Document Parse() {
    while (!rest_.empty()) {
      const size_t plain = std::min(rest_.find('<'), rest_.size());
      AddText(rest_.substr(0, plain));
      rest_.remove_prefix(plain);
      if (rest_.empty()) break;
      if (const std::optional<Tag> tag = ParseTag(rest_)) {
        rest_.remove_prefix(tag->inside.size() + 2);
        OnTag(*tag);
      } else {
        AddText(rest_.substr(0, 1));
        rest_.remove_prefix(1);
      }
    }
    if (document_.blocks.empty()) document_.text = std::move(IsBlank(text_) ? other_ : text_);
    return std::move(document_);
  }

 private:
  void AddText(std::string_view raw) {
    if (raw.empty()) return;
    std::string* target = Target();
    if (target == nullptr) return;
    // White space alone would only separate the text of elements that are passed over.
    if (target == &other_ && other_.empty() && Trim(raw).empty()) return;
    target->append(Contains(raw, '&') ? DecodeEntities(raw) : std::string(raw));
  }

  std::string* Target() {
    switch (field_) {
      case TrecField::kNone:
        return &other_;
      case TrecField::kText:
        return &text_;
      case TrecField::kWebHeader:
      case TrecField::kIgnored:
        return nullptr;
      default:
        return &value_;
    }
  }

  void OnTag(const Tag& tag) {
    if (field_ == TrecField::kNone) {
      if (!tag.is_end) Start(tag.name);
      return;
    }
    if (tag.is_end && tag.name == field_name_) {
      End();
    } else if (!tag.is_end && tag.name == field_name_) {
      End();  // An element without an end tag, followed by one of its kind.
      Start(tag.name);
    } else if (field_ == TrecField::kText) {
      if (tag.name == "p" || tag.name == "div" || tag.name == "table") AppendBreak(&text_);
    } else if (!tag.is_end && FieldOf(tag.name) != TrecField::kNone && !Nests(tag.name)) {
      End();
      Start(tag.name);
    }
  }

  // Elements that are found inside others of a record's head ("<HEADLINE><TI>...").
  static bool Nests(std::string_view name) { return FieldOf(name) == TrecField::kTitle; }

  void Start(const std::string& name) {
    field_ = FieldOf(name);
    field_name_ = name;
    if (field_ == TrecField::kText) AppendBreak(&text_);
    if (field_ == TrecField::kNone && name == "p") AppendBreak(&other_);
    value_.clear();
  }

  void End() {
    const TrecField field = std::exchange(field_, TrecField::kNone);
    std::string value(Trim(value_));
    switch (field) {
      case TrecField::kId:
        if (document_.id.empty()) document_.id = std::move(value);
        break;
      case TrecField::kTitle:
        if (document_.title.empty()) document_.title = std::move(value);
        break;
      case TrecField::kDate:
        if (!value.empty()) document_.metadata.emplace("date", OneLine(value));
        break;
      case TrecField::kAuthor:
        if (!value.empty()) document_.metadata.emplace("author", OneLine(value));
        break;
      case TrecField::kWebHeader:
        TakeWebPage();
        break;
      default:
        break;
    }
  }

  // Behind the header of a web collection's record its page follows.
  void TakeWebPage() {
    Document page;
    if (!ExtractHtml(std::exchange(rest_, {}), &page).ok()) return;
    document_.text = std::move(page.text);
    document_.blocks = std::move(page.blocks);
    if (document_.title.empty()) document_.title = std::move(page.title);
    document_.metadata.merge(page.metadata);
  }

  std::string_view rest_;
  Document document_;
  TrecField field_ = TrecField::kNone;
  std::string field_name_;
  std::string text_;   // Of text elements.
  std::string other_;  // Of no known element.
  std::string value_;  // Of the open short element.
};

// Puts records together from lines.
class TrecReader {
 public:
  TrecReader(const ReadOptions& options, DocumentHandler& handler)
      : options_(options), handler_(handler) {}

  absl::Status OnLine(const LineReader::Line& line) {
    if (line.oversized) {
      too_long_ = true;  // Matters inside a record only.
      if (inside_) return absl::OkStatus();
      return Issue(line.number,
                   absl::StrCat("line of more than ", options_.max_document_bytes, " bytes"));
    }
    std::string_view rest = line.bytes;
    if (line.number == 1 && rest.starts_with(kUtf8Bom)) rest.remove_prefix(kUtf8Bom.size());
    const std::string_view at_line_start = rest;
    while (!rest.empty()) {
      const size_t plain = FindDocTag(rest);
      if (inside_) Append(rest.substr(0, plain));
      rest.remove_prefix(plain);
      if (rest.empty()) break;
      const Tag tag = *ParseTag(rest);
      const size_t size = tag.inside.size() + 2;
      absl::Status status;
      if (tag.is_end) {
        if (inside_) status = Finish();
      } else if (!inside_ || rest.data() == at_line_start.data()) {
        status = Begin(tag, line.number);
      } else {
        Append(rest.substr(0, size));
      }
      if (!status.ok()) return status;
      rest.remove_prefix(size);
    }
    if (inside_) Append("\n");
    return absl::OkStatus();
  }

  absl::Status OnEnd() {
    if (inside_) return Issue(start_line_, "<DOC> without </DOC> before the input's end");
    return any_ ? absl::OkStatus() : Issue(0, "empty document: no <DOC> in it");
  }

 private:
  absl::Status Issue(uint64_t line, std::string_view reason) {
    any_ = true;
    return handler_.OnIssue({options_.source, line, std::string(reason)});
  }

  // Offset of the first <DOC> or </DOC> tag, or text's size.
  static size_t FindDocTag(std::string_view text) {
    size_t at = 0;
    while ((at = text.find('<', at)) != std::string_view::npos) {
      const std::string_view rest = text.substr(at);
      if (StartsWithIgnoreCase(rest, "<doc") || StartsWithIgnoreCase(rest, "</doc")) {
        const std::optional<Tag> tag = ParseTag(rest);
        if (tag && tag->name == "doc") return at;
      }
      ++at;
    }
    return text.size();
  }

  void Append(std::string_view text) {
    if (too_long_) return;
    if (content_.size() + text.size() > options_.max_document_bytes) {
      too_long_ = true;
      content_.clear();
      return;
    }
    content_.append(text);
  }

  absl::Status Begin(const Tag& tag, uint64_t line) {
    absl::Status status;
    if (inside_) status = Issue(start_line_, "<DOC> without </DOC> before the next <DOC>");
    inside_ = true;
    too_long_ = false;
    start_line_ = line;
    content_.clear();
    id_ = std::string(IdAttribute(tag.inside));
    return status;
  }

  absl::Status Finish() {
    inside_ = false;
    any_ = true;
    if (too_long_) {
      return Issue(start_line_,
                   absl::StrCat("document of more than ", options_.max_document_bytes, " bytes"));
    }
    if (std::optional<TextFault> fault = FindTextFault(content_)) {
      return Issue(start_line_ + fault->line - 1, fault->reason + " of the document");
    }
    Document document = TrecRecord(content_).Parse();
    if (document.id.empty()) document.id = id_;
    if (document.id.empty()) return Issue(start_line_, "no <DOCNO>");
    document.media_type = MediaType(Format::kTrec);
    return DeliverRecord(std::move(document), start_line_, options_, handler_);
  }

  const ReadOptions& options_;
  DocumentHandler& handler_;
  std::string content_;  // Of the open record.
  std::string id_;       // From the <DOC> tag itself.
  uint64_t start_line_ = 0;
  bool inside_ = false;
  bool too_long_ = false;
  bool any_ = false;
};

}  // namespace

absl::Status ReadTrec(ByteSource& input, const ReadOptions& options, DocumentHandler& handler) {
  LineReader lines(input, options.max_document_bytes);
  TrecReader reader(options, handler);
  LineReader::Line line;
  while (true) {
    absl::StatusOr<bool> more = lines.Next(&line);
    if (!more.ok()) return more.status();
    if (!*more) return reader.OnEnd();
    if (absl::Status status = reader.OnLine(line); !status.ok()) return status;
  }
}

}  // namespace cairn::chunking
