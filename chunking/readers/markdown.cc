#include "chunking/readers/markdown.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "chunking/readers/front_matter.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

// Lists nested deeper than this count as this deep.
constexpr size_t kMaxListDepth = 64;
constexpr size_t kTabStop = 4;
constexpr size_t kCodeIndent = 4;

// A line of the source, taken apart.
struct Line {
  size_t begin = 0;    // Offset of the line in the text.
  size_t content = 0;  // Offset of its first character that is no white space.
  size_t end = 0;      // Offset behind its last such character.
  size_t indent = 0;   // Columns before `content`, tabs expanded.
  bool blank() const { return content == end; }
};

// What the last line left open.
enum class Leaf { kNone, kParagraph, kQuote, kFence, kIndentedCode, kTable };

// The columns that `text` takes when it starts in column `column`.
size_t Columns(std::string_view text, size_t column) {
  const size_t first = column;
  for (const char c : text) column = c == '\t' ? (column / kTabStop + 1) * kTabStop : column + 1;
  return column - first;
}

size_t RunLength(std::string_view text, char c) {
  return std::min(text.find_first_not_of(c), text.size());
}

// The level of an ATX heading, 0 when `content` is none.
int AtxLevel(std::string_view content) {
  const size_t level = RunLength(content, '#');
  if (level < 1 || level > 6) return 0;
  return level == content.size() || IsAsciiSpace(content[level]) ? static_cast<int>(level) : 0;
}

bool IsThematicBreak(std::string_view content) {
  const char mark = content[0];
  if (mark != '-' && mark != '*' && mark != '_') return false;
  size_t marks = 0;
  for (const char c : content) {
    if (c == mark) {
      ++marks;
    } else if (!IsAsciiSpace(c)) {
      return false;
    }
  }
  return marks >= 3;
}

// The size of the list marker that `content` starts with ("-", "12."), 0 when there is none.
size_t MarkerSize(std::string_view content) {
  size_t size = 0;
  if (content[0] == '-' || content[0] == '*' || content[0] == '+') {
    size = 1;
  } else {
    while (size < content.size() && size < 9 && IsAsciiDigit(content[size])) ++size;
    if (size == 0 || size == content.size() || (content[size] != '.' && content[size] != ')')) {
      return 0;
    }
    ++size;
  }
  return size == content.size() || IsAsciiSpace(content[size]) ? size : 0;
}

size_t CountCells(std::string_view row) {
  if (!row.empty() && row.front() == '|') row.remove_prefix(1);
  if (!row.empty() && row.back() == '|') row.remove_suffix(1);
  size_t cells = 1;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] == '\\') {
      ++i;
    } else if (row[i] == '|') {
      ++cells;
    }
  }
  return cells;
}

// The row below a table's header: "| --- | :-: |".
bool IsDelimiterRow(std::string_view content) {
  bool dash = false;
  bool other = false;
  for (const char c : content) {
    if (c == '-') {
      dash = true;
    } else if (c == '|' || c == ':') {
      other = true;
    } else if (!IsAsciiSpace(c)) {
      return false;
    }
  }
  return dash && other;
}

// A heading's text without Markdown's marks: "## See [the *docs*](url) ##" gives "See the docs".
std::string InlineText(std::string_view source) {
  const size_t newline = source.find('\n');
  const bool setext = AtxLevel(source) == 0;
  if (setext && newline != std::string_view::npos) source = source.substr(0, source.rfind('\n'));
  if (!setext) {
    source = Trim(source.substr(RunLength(source, '#')));
    const size_t last = source.find_last_not_of('#');
    if (last == std::string_view::npos) return "";
    if (last + 1 < source.size() && IsAsciiSpace(source[last])) source = source.substr(0, last);
  }
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (c == '\\' && i + 1 < source.size() && std::strchr("\\`*_{}[]()#+-.!|<>", source[i + 1])) {
      text.push_back(source[++i]);
    } else if (c == ']' && i + 1 < source.size() && source[i + 1] == '(') {
      const size_t close = source.find(')', i);
      if (close == std::string_view::npos) break;
      i = close;
    } else if (c != '*' && c != '`' && c != '[') {
      text.push_back(c);
    }
  }
  return OneLine(text);
}

class MarkdownParser {
 public:
  MarkdownParser(std::string_view text, std::vector<Block>* blocks)
      : text_(text), blocks_(*blocks) {}

  void Parse(size_t at) {
    while (at < text_.size()) {
      const Line line = TakeLine(&at);
      if (line.blank()) {
        OnBlank();
      } else if (leaf_ == Leaf::kFence) {
        InFence(line);
      } else if (IsComment(line)) {
        Close();
        at = BehindComment(line);
      } else {
        OnLine(line);
      }
    }
    Close();
  }

 private:
  Line TakeLine(size_t* at) const {
    const void* newline = std::memchr(text_.data() + *at, '\n', text_.size() - *at);
    const size_t line_end =
        newline == nullptr ? text_.size()
                           : static_cast<size_t>(static_cast<const char*>(newline) - text_.data());
    const Span content = TrimSpan(text_, {*at, line_end});
    Line line = {*at, content.begin, content.end, 0};
    line.indent = Columns(text_.substr(*at, content.begin - *at), 0);
    *at = std::min(line_end + 1, text_.size());
    return line;
  }

  std::string_view Content(const Line& line) const {
    return text_.substr(line.content, line.end - line.content);
  }

  void Open(Leaf leaf, BlockKind kind, int level, size_t begin, size_t end) {
    Close();
    leaf_ = leaf;
    block_ = {kind, level, {begin, end}};
  }

  void Close() {
    if (leaf_ != Leaf::kNone && !block_.span.empty()) blocks_.push_back(block_);
    leaf_ = Leaf::kNone;
  }

  void OnBlank() {
    // Code goes on behind blank lines; whether it does shows with the next line.
    if (leaf_ != Leaf::kFence && leaf_ != Leaf::kIndentedCode) Close();
  }

  void InFence(const Line& line) {
    block_.span.end = line.end;
    const std::string_view content = Content(line);
    if (RunLength(content, fence_mark_) == content.size() && content.size() >= fence_size_ &&
        line.indent < fence_indent_ + kCodeIndent) {
      Close();
    }
  }

  bool IsComment(const Line& line) const {
    return comments_end_ && line.indent < kCodeIndent && Content(line).starts_with("<!--");
  }

  // The line behind "-->". A comment that does not end is text, and so are all that follow.
  size_t BehindComment(const Line& line) {
    const size_t close = text_.find("-->", line.content + 4);
    if (close == std::string_view::npos) {
      comments_end_ = false;
      return line.begin;
    }
    const size_t newline = text_.find('\n', close);
    return newline == std::string_view::npos ? text_.size() : newline + 1;
  }

  void OnLine(const Line& line) {
    if (leaf_ == Leaf::kIndentedCode) {
      if (line.indent >= code_indent_) {
        block_.span.end = line.end;
        return;
      }
      Close();
    }
    // The lists whose items this line is indented enough to be inside of.
    size_t depth = 0;
    while (depth < items_.size() && line.indent >= items_[depth]) ++depth;
    const bool in_paragraph = leaf_ == Leaf::kParagraph || leaf_ == Leaf::kQuote;
    const size_t indent = line.indent - (depth > 0 ? items_[depth - 1] : 0);
    if (indent >= kCodeIndent) {
      if (in_paragraph) return Extend(line);  // Indented code cannot interrupt a paragraph.
      items_.resize(depth);
      code_indent_ = line.indent - indent + kCodeIndent;
      return Open(Leaf::kIndentedCode, BlockKind::kCode, 0, line.content, line.end);
    }
    if (StartsBlock(line, depth)) return;
    if (in_paragraph || leaf_ == Leaf::kTable) return Extend(line);
    items_.resize(depth);
    OpenParagraph(line.content, line.end);
  }

  // Paragraphs inside a list item are parts of the item.
  void OpenParagraph(size_t begin, size_t end) {
    if (items_.empty()) {
      Open(Leaf::kParagraph, BlockKind::kParagraph, 0, begin, end);
    } else {
      Open(Leaf::kParagraph, BlockKind::kListItem, static_cast<int>(items_.size()), begin, end);
    }
    last_line_ = begin;
  }

  void Extend(const Line& line) {
    if (leaf_ == Leaf::kParagraph && StartsTable(line)) return;
    block_.span.end = line.end;
    last_line_ = line.content;
  }

  // GFM: a paragraph's last line is a table's header when a delimiter row of as many cells follows.
  bool StartsTable(const Line& line) {
    const std::string_view header = text_.substr(last_line_, block_.span.end - last_line_);
    if (!IsDelimiterRow(Content(line)) || !Contains(header, '|') ||
        CountCells(header) != CountCells(Content(line))) {
      return false;
    }
    const size_t begin = last_line_;
    block_.span = TrimSpan(text_, {block_.span.begin, begin});
    Open(Leaf::kTable, BlockKind::kTable, 0, begin, line.end);
    return true;
  }

  // Handles a line that starts a block, whatever is open. `depth`: the lists it is inside of.
  bool StartsBlock(const Line& line, size_t depth) {
    const std::string_view content = Content(line);
    switch (content[0]) {
      case '=':
        return StartsSetext(line, depth);
      case '#':
        return StartsAtx(line, depth);
      case '`':
      case '~':
        return StartsFence(line, depth);
      case '>':
        return StartsQuote(line, depth);
      case '-':
        if (StartsSetext(line, depth)) return true;
        break;
      default:
        break;
    }
    if (IsThematicBreak(content)) {
      Close();
      items_.resize(depth);
      return true;
    }
    return StartsItem(line, depth);
  }

  bool StartsSetext(const Line& line, size_t depth) {
    const std::string_view content = Content(line);
    const bool underlines = leaf_ == Leaf::kParagraph && block_.kind == BlockKind::kParagraph &&
                            depth == 0 && RunLength(content, content[0]) == content.size();
    if (!underlines) return false;
    block_ = {BlockKind::kHeading, content[0] == '=' ? 1 : 2, {block_.span.begin, line.end}};
    Close();
    return true;
  }

  bool StartsAtx(const Line& line, size_t depth) {
    const int level = AtxLevel(Content(line));
    if (level == 0) return false;
    items_.resize(depth);
    Open(Leaf::kParagraph, BlockKind::kHeading, level, line.content, line.end);
    Close();
    return true;
  }

  bool StartsFence(const Line& line, size_t depth) {
    const std::string_view content = Content(line);
    const size_t size = RunLength(content, content[0]);
    if (size < 3) return false;
    if (content[0] == '`' && Contains(content.substr(size), '`')) return false;
    items_.resize(depth);
    Open(Leaf::kFence, BlockKind::kCode, 0, line.content, line.end);
    fence_mark_ = content[0];
    fence_size_ = size;
    fence_indent_ = line.indent;
    return true;
  }

  bool StartsQuote(const Line& line, size_t depth) {
    const bool blank = Content(line).find_first_not_of("> \t") == std::string_view::npos;
    if (leaf_ == Leaf::kQuote && !blank) {
      block_.span.end = line.end;
      return true;
    }
    Close();
    items_.resize(depth);
    if (!blank) Open(Leaf::kQuote, BlockKind::kQuote, 0, line.content, line.end);
    return true;
  }

  bool StartsItem(const Line& line, size_t depth) {
    size_t at = line.content;
    size_t column = line.indent;
    size_t markers = 0;
    while (at < line.end && markers < kMaxListDepth) {  // "- 1. text" opens two lists.
      const std::string_view rest = text_.substr(at, line.end - at);
      const size_t marker = MarkerSize(rest);
      if (marker == 0) break;
      // In a paragraph only lists that start with 1 and some text are let in.
      if (markers == 0 && leaf_ == Leaf::kParagraph && items_.empty() &&
          (marker == rest.size() || (marker > 1 && rest.substr(0, marker - 1) != "1"))) {
        return false;
      }
      if (markers++ == 0) items_.resize(depth);
      const size_t text = std::min(rest.find_first_not_of(" \t", marker), rest.size());
      const size_t gap = Columns(rest.substr(marker, text - marker), column + marker);
      // Five columns or more: the item starts with indented code.
      const bool code = gap > kCodeIndent || text == rest.size();
      if (items_.size() == kMaxListDepth) items_.pop_back();
      items_.push_back(column + marker + (code ? 1 : gap));
      at += text;
      column += marker + gap;
      if (code) break;
    }
    if (markers == 0) return false;
    Open(Leaf::kParagraph, BlockKind::kListItem, static_cast<int>(items_.size()), line.content,
         line.end);
    last_line_ = std::min(at, line.end);
    return true;
  }

  const std::string_view text_;
  std::vector<Block>& blocks_;
  std::vector<size_t> items_;  // Columns where the open list items' content starts, ascending.
  Leaf leaf_ = Leaf::kNone;
  Block block_;           // The open leaf's.
  size_t last_line_ = 0;  // Where the last line of the open paragraph starts.
  char fence_mark_ = '`';
  size_t fence_size_ = 0;
  size_t fence_indent_ = 0;
  size_t code_indent_ = 0;
  bool comments_end_ = true;
};

}  // namespace

void ParseMarkdown(Document* document) {
  const size_t start = ParseFrontMatter(document->text, &document->metadata);
  MarkdownParser(document->text, &document->blocks).Parse(start);
  if (const auto title = document->metadata.find("title"); title != document->metadata.end()) {
    if (const auto* text = std::get_if<std::string>(&title->second)) {
      document->title = OneLine(*text);
      document->metadata.erase(title);
    }
  }
  for (const Block& block : document->blocks) {
    if (!document->title.empty()) break;
    if (block.kind != BlockKind::kHeading || block.level != 1) continue;
    document->title =
        InlineText(std::string_view(document->text).substr(block.span.begin, block.span.size()));
  }
  document->title = CutTitle(std::move(document->title));
}

}  // namespace cairn::chunking
