#include "chunking/chunkers/structure_chunker.h"

#include <algorithm>

#include "chunking/chunkers/chunk_writer.h"
#include "chunking/chunkers/outline.h"
#include "chunking/chunkers/packer.h"
#include "chunking/text/sentence.h"

namespace cairn::chunking {
namespace {

// One call of Split: a walk through the sections in text order.
class Walk {
 public:
  Walk(const Outline& outline, ChunkWriter* writer)
      : outline_(outline), writer_(*writer), packer_(writer) {}

  void Run() {
    for (size_t i = 0; i < outline_.sections.size();) {
      const Section& section = outline_.sections[i];
      if (AddWhole(section)) {
        i = section.next;
      } else {
        OpenSection(section);
        PackOwnText(section);
        ++i;
      }
    }
    packer_.Flush();
  }

 private:
  // Where the open chunk began.
  struct Origin {
    const Section* section = nullptr;
    bool at_heading = false;
  };

  // Whether the open chunk's heading path would remain true of all of it with `section` added.
  bool MayTakeIn(const Section& section) const {
    if (packer_.empty()) return false;
    const Section& origin = *origin_.section;
    const auto index = static_cast<size_t>(&section - outline_.sections.data());
    const bool above = index < origin.next;
    return above || (origin_.at_heading && origin.parent == section.parent);
  }

  bool AddWhole(const Section& section) {
    if (section.begin == section.end) return true;
    const Span extent = outline_.Extent(section.begin, section.end);
    const bool may_take_in = MayTakeIn(section);
    if (may_take_in && packer_.Fits(extent.end)) {
      const size_t region = outline_.sections[section.parent].end;
      if (packer_.headings_only() || !packer_.IsFull(outline_.units[region].first_token)) {
        packer_.Extend(extent.end, !section.has_text);
        return true;
      }
    }
    if (outline_.Tokens(section.begin, section.end) > writer_.max_tokens()) return false;
    if (may_take_in && packer_.headings_only()) return false;
    packer_.Start(extent, !section.has_text);
    origin_ = {&section, section.level > 0};
    return true;
  }

  // Places the heading of a section that is going to be cut.
  void OpenSection(const Section& section) {
    if (section.level == 0) return;
    const Span heading = outline_.units[section.begin].span;
    if (packer_.headings_only() && MayTakeIn(section) && packer_.Fits(heading.end)) {
      packer_.Extend(heading.end, true);
      return;
    }
    packer_.Start(heading, true);
    origin_ = {&section, true};
    packer_.CutToFit();
  }

  void PackOwnText(const Section& section) {
    const size_t region = outline_.units[section.own_end].first_token;
    const size_t origin = packer_.open().begin;
    const bool was_empty = packer_.empty();
    for (size_t i = section.own_begin; i < section.own_end;) {
      size_t end = GroupEnd(i, section.own_end);
      if (packer_.headings_only() && !packer_.Fits(outline_.Extent(i, end).end)) end = i + 1;
      AddGroup(i, end, region);
      i = end;
    }
    if (!packer_.empty() && (was_empty || packer_.open().begin != origin)) {
      origin_ = {&section, false};
    }
  }

  // Adds units [begin, end), which fit into one chunk or are a single unit.
  void AddGroup(size_t begin, size_t end, size_t region) {
    const Span extent = outline_.Extent(begin, end);
    const bool open = !packer_.empty();
    const bool glued = open && packer_.headings_only();
    if (open && packer_.Fits(extent.end) && (glued || !packer_.IsFull(region))) {
      packer_.Extend(extent.end, false);
    } else if (!glued && outline_.Tokens(begin, end) <= writer_.max_tokens()) {
      packer_.Start(extent, false);
    } else {
      if (open && !glued && packer_.tokens() >= writer_.max_tokens() / 2) packer_.Flush();
      AddInParts(outline_.units[begin], outline_.units[end].first_token);
    }
  }

  void AddInParts(const Unit& unit, size_t region) {
    const std::string_view text = writer_.text().substr(unit.span.begin, unit.span.size());
    if (unit.kind == BlockKind::kTable || unit.kind == BlockKind::kCode) {
      for (size_t line = 0; line < text.size();) {
        const size_t newline = text.find('\n', line);
        const size_t end = newline == std::string_view::npos ? text.size() : newline + 1;
        packer_.Add({unit.span.begin + line, unit.span.begin + end}, region);
        line = end;
      }
      return;
    }
    size_t begin = unit.span.begin;
    for (const Span& sentence : SplitSentences(text)) {
      const size_t end = writer_.boundaries().GraphemeCeil(begin, unit.span.begin + sentence.end);
      packer_.Add({begin, end}, region);
      begin = end;
    }
  }

  bool IsItem(size_t unit) const { return outline_.units[unit].kind == BlockKind::kListItem; }
  bool FitOneChunk(size_t begin, size_t end) const {
    return outline_.Tokens(begin, end) <= writer_.max_tokens();
  }

  // The end of the units from `i` on that stay together, at most `end`.
  size_t GroupEnd(size_t i, size_t end) const {
    const bool lead_in =
        outline_.units[i].kind == BlockKind::kParagraph && i + 1 < end && IsItem(i + 1);
    if (!lead_in && !IsItem(i)) return i + 1;
    const size_t first_item = lead_in ? i + 1 : i;
    if (lead_in || i == 0 || !IsItem(i - 1)) {
      size_t list_end = first_item;
      while (list_end < end && IsItem(list_end)) ++list_end;
      if (FitOneChunk(i, list_end)) return list_end;
    }
    const size_t item_end = outline_.item_ends[first_item];
    if (FitOneChunk(i, item_end)) return item_end;
    return lead_in && FitOneChunk(i, i + 2) ? i + 2 : i + 1;
  }

  const Outline& outline_;
  ChunkWriter& writer_;
  Packer packer_;
  Origin origin_;
};

}  // namespace

std::vector<Chunk> StructureChunker::Split(const Document& document) const {
  ChunkWriter writer(document, tokenizer_, options_.max_tokens);
  const Outline outline = BuildOutline(document, &writer);
  Walk(outline, &writer).Run();
  return writer.Take();
}

}  // namespace cairn::chunking
