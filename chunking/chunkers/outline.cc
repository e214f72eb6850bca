#include "chunking/chunkers/outline.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace cairn::chunking {
namespace {

bool HasLetter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           static_cast<unsigned char>(c) >= 0x80;
  });
}

class UnitLister {
 public:
  UnitLister(const Document& document, ChunkWriter* writer)
      : document_(document), writer_(*writer), text_(document.text) {}

  std::vector<Unit> Run() {
    Boundaries& boundaries = writer_.boundaries();
    units_.reserve(document_.blocks.size() + 1);
    size_t done = 0;
    for (const Block& block : document_.blocks) {
      const size_t wanted = std::clamp(block.span.begin, done, text_.size());
      Span span;
      span.begin = boundaries.GraphemeCeil(done, wanted);
      span.end = boundaries.GraphemeCeil(span.begin, std::max(span.begin, block.span.end));
      span = boundaries.Trim(span);
      if (span.empty()) continue;
      const size_t end = span.end;
      span.begin = FillGap({done, span.begin}, &block);
      Push(span, block.kind, block.level);
      done = end;
    }
    FillGap({done, text_.size()}, nullptr);
    for (Unit& unit : units_) unit.first_token = writer_.tokens().Before(unit.span.begin);
    units_.push_back({{text_.size(), text_.size()}, writer_.tokens().size()});
    return std::move(units_);
  }

 private:
  void Push(Span span, BlockKind kind, int level) { units_.push_back({span, 0, kind, level}); }

  // Finds a home for what is in `gap`. Returns where the unit of `next`, the block that begins at
  // gap.end (null at the end of the text), begins.
  size_t FillGap(Span gap, const Block* next) {
    if (writer_.boundaries().SkipSpace(gap.begin, gap.end) == gap.end) return gap.end;
    if (next != nullptr) gap.end = JoinNextLine(gap);
    if (!units_.empty()) gap.begin = JoinPreviousLine(gap);
    return ListParagraphs(gap, next);
  }

  // What stands before a block on its own line belongs to it. Returns where that begins.
  size_t JoinNextLine(Span gap) {
    const size_t newline = text_.substr(gap.begin, gap.size()).rfind('\n');
    const size_t line = newline == std::string_view::npos ? gap.begin : gap.begin + newline + 1;
    return writer_.boundaries().SkipSpace(line, gap.end);
  }

  // What stands behind a block on its own line belongs to it. Returns where that ends.
  size_t JoinPreviousLine(Span gap) {
    const size_t newline = text_.substr(gap.begin, gap.size()).find('\n');
    const size_t line = newline == std::string_view::npos ? gap.end : gap.begin + newline;
    const Span rest = writer_.boundaries().Trim({gap.begin, line});
    if (!rest.empty()) units_.back().span.end = rest.end;
    return line;
  }

  // Makes units of the paragraphs of `gap`, which consists of whole lines. One that touches a
  // neighbouring block without a blank line between joins that instead; if it could join both, the
  // one behind. A heading, which must begin where its own line does, takes nothing before it.
  // Returns where the part that joins the block behind begins, gap.end if there is none.
  size_t ListParagraphs(Span gap, const Block* next) {
    bool touches_previous = !units_.empty();
    Span paragraph{gap.begin, gap.begin};
    for (size_t line = gap.begin; line < gap.end;) {
      const size_t newline = text_.substr(line, gap.end - line).find('\n');
      const size_t end = newline == std::string_view::npos ? gap.end : line + newline;
      const Span content = writer_.boundaries().Trim({line, end});
      if (!content.empty()) {
        if (paragraph.empty()) paragraph.begin = content.begin;
        paragraph.end = content.end;
      } else if (!paragraph.empty()) {
        ClosePreceding(paragraph, touches_previous);
        paragraph = {end, end};
        touches_previous = false;
      } else if (line > gap.begin) {
        touches_previous = false;
      }
      line = end + 1;
    }
    if (paragraph.empty()) return gap.end;
    const bool joins_next = next != nullptr && next->kind != BlockKind::kHeading &&
                            !HasBlankLine(paragraph.end, gap.end);
    if (joins_next) return paragraph.begin;
    ClosePreceding(paragraph, touches_previous);
    return gap.end;
  }

  bool HasBlankLine(size_t begin, size_t end) const {
    return std::count(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                      text_.begin() + static_cast<std::ptrdiff_t>(end), '\n') > 1;
  }

  void ClosePreceding(Span paragraph, bool touches_previous) {
    const bool joins =
        touches_previous && (units_.back().kind != BlockKind::kHeading ||
                             !HasLetter(text_.substr(paragraph.begin, paragraph.size())));
    if (joins) {
      units_.back().span.end = paragraph.end;
    } else {
      Push(paragraph, BlockKind::kParagraph, 0);
    }
  }

  const Document& document_;
  ChunkWriter& writer_;
  std::string_view text_;
  std::vector<Unit> units_;
};

std::vector<Section> ListSections(const std::vector<Unit>& units) {
  const size_t count = units.size() - 1;
  std::vector<Section> sections(1);
  std::vector<size_t> open = {0};  // The path from the root; at most kDeepestHeading + 1 long.
  const auto close = [&](size_t end) {
    Section& section = sections[open.back()];
    section.end = end;
    section.next = sections.size();
    if (section.own_end > section.own_begin) section.has_text = true;
    if (section.has_text) sections[section.parent].has_text = true;
    open.pop_back();
  };
  for (size_t i = 0; i < count; ++i) {
    if (units[i].kind != BlockKind::kHeading) continue;
    const int level = HeadingLevel(units[i].level);
    sections.back().own_end = i;
    while (sections[open.back()].level >= level) close(i);
    Section section;
    section.begin = i;
    section.own_begin = i + 1;
    section.parent = open.back();
    section.level = level;
    open.push_back(sections.size());
    sections.push_back(section);
  }
  sections.back().own_end = count;
  while (!open.empty()) close(count);
  return sections;
}

std::vector<size_t> ListItemEnds(const std::vector<Unit>& units) {
  const size_t count = units.size() - 1;
  const auto is_item = [](const Unit& unit) { return unit.kind == BlockKind::kListItem; };
  if (std::none_of(units.begin(), units.end(), is_item)) return {};
  std::vector<size_t> ends(count);
  std::vector<size_t> open;  // Items of ascending level whose last nested item is not known yet.
  for (size_t i = 0; i <= count; ++i) {
    const bool item = i < count && is_item(units[i]);
    while (!open.empty() && (!item || units[open.back()].level >= units[i].level)) {
      ends[open.back()] = i;
      open.pop_back();
    }
    if (item) {
      open.push_back(i);
    } else if (i < count) {
      ends[i] = i + 1;
    }
  }
  return ends;
}

}  // namespace

Outline BuildOutline(const Document& document, ChunkWriter* writer) {
  Outline outline;
  outline.units = UnitLister(document, writer).Run();
  outline.sections = ListSections(outline.units);
  outline.item_ends = ListItemEnds(outline.units);
  return outline;
}

}  // namespace cairn::chunking
