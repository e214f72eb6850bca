#include "chunking/readers/html_blocks.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "chunking/readers/text_checks.h"
#include "chunking/text/normalize.h"

namespace cairn::chunking {
namespace {

// Bytes at which collapsing has something to decide: white space and the first bytes of the
// characters that are treated as such or dropped.
constexpr std::array<bool, 256> SpecialBytes() {
  std::array<bool, 256> special{};
  for (const unsigned char c : {' ', '\t', '\n', '\v', '\f', '\r'}) special[c] = true;
  special[0xC2] = special[0xE2] = special[0xEF] = true;
  return special;
}
constexpr std::array<bool, 256> kSpecial = SpecialBytes();

constexpr std::string_view kNoBreakSpace = "\xC2\xA0";
// Invisible characters that only hinder matching: soft hyphen, zero-width space, byte-order mark.
constexpr std::string_view kInvisible[] = {"\xC2\xAD", "\xE2\x80\x8B", "\xEF\xBB\xBF"};

bool StartsWithAt(std::string_view text, size_t at, std::string_view prefix) {
  return text.substr(at, prefix.size()) == prefix;
}

// A code block keeps the indentation of its first line.
std::string_view TrimCode(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n\v\f\r");
  if (first == std::string_view::npos) return {};
  const size_t line = text.rfind('\n', first);
  text.remove_prefix(line == std::string_view::npos ? 0 : line + 1);
  return text.substr(0, text.find_last_not_of(" \t\n\v\f\r") + 1);
}

void AppendBlock(BlockKind kind, int level, std::string_view block, std::string* text,
                 std::vector<Block>* blocks) {
  if (!blocks->empty()) {
    const bool tight = kind == BlockKind::kListItem && blocks->back().kind == kind;
    text->append(tight ? "\n" : "\n\n");
  }
  const size_t begin = text->size();
  text->append(block);
  blocks->push_back({kind, level, {begin, text->size()}});
}

}  // namespace

void HtmlBlocks::StartBlockIfNone() {
  join_next_ = false;
  if (!current_.empty()) return;
  level_ = 0;
  if (context_.heading_level > 0) {
    kind_ = BlockKind::kHeading;
    level_ = context_.heading_level;
  } else if (context_.pre_depth > 0) {
    kind_ = BlockKind::kCode;
  } else if (context_.item_depth > 0 || context_.list_depth > 0) {
    kind_ = BlockKind::kListItem;
    level_ = std::max(context_.list_depth, 1);
  } else {
    kind_ = context_.quote_depth > 0 ? BlockKind::kQuote : BlockKind::kParagraph;
  }
}

void HtmlBlocks::AddText(std::string_view text) {
  if (context_.pre_depth > 0 && !InDataCell()) {
    AddPreformatted(text);
  } else {
    AddCollapsed(text);
  }
}

void HtmlBlocks::AddPreformatted(std::string_view text) {
  if (text.empty()) return;
  StartBlockIfNone();
  current_.append(text);
}

void HtmlBlocks::AddCollapsed(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (IsAsciiSpace(text[at])) {
      pending_space_ = true;
      ++at;
      continue;
    }
    if (StartsWithAt(text, at, kNoBreakSpace)) {
      pending_space_ = true;
      at += kNoBreakSpace.size();
      continue;
    }
    const auto* invisible =
        std::find_if(std::begin(kInvisible), std::end(kInvisible),
                     [&](std::string_view character) { return StartsWithAt(text, at, character); });
    if (invisible != std::end(kInvisible)) {
      at += invisible->size();
      continue;
    }
    const size_t begin = at++;
    while (at < text.size() && !kSpecial[static_cast<unsigned char>(text[at])]) ++at;
    StartBlockIfNone();
    if (pending_space_ && !current_.empty() && current_.back() != '\n') current_.push_back(' ');
    pending_space_ = false;
    current_.append(text.substr(begin, at - begin));
  }
}

void HtmlBlocks::AddLineBreak() {
  if (InDataCell()) {
    pending_space_ = true;
  } else if (!current_.empty()) {
    pending_space_ = false;
    current_.push_back('\n');
  }
}

void HtmlBlocks::Break() {
  pending_space_ = true;
  if (InDataCell()) return;
  if (join_next_) {
    if (current_.back() != '\n') current_.push_back('\n');
    return;
  }
  EmitCurrent();
}

void HtmlBlocks::ForceBreak() {
  join_next_ = false;
  Break();
}

void HtmlBlocks::EmitCurrent() {
  join_next_ = false;
  pending_space_ = false;
  if (current_.empty()) return;
  Emit(kind_, level_, current_);
  current_.clear();
}

void HtmlBlocks::Emit(BlockKind kind, int level, std::string_view text) {
  text = kind == BlockKind::kCode ? TrimCode(text) : Trim(text);
  if (text.empty()) return;
  // Blocks are normalised one by one, which gives the same as normalising all of the text: nothing
  // composes across a line end.
  absl::StatusOr<std::string> normalized = NormalizeText(text);
  if (!normalized.ok() || IsBlank(*normalized)) return;
  AppendBlock(kind, level, *normalized, &text_, &blocks_);
  origins_.push_back({context_.main_depth > 0, context_.article_depth > 0});
}

void HtmlBlocks::StartTable() {
  if (!tables_.empty()) MarkLayout();
  ForceBreak();
  tables_.emplace_back();
}

void HtmlBlocks::EndTable() {
  if (tables_.empty()) return;
  EndRow();
  ForceBreak();
  EmitTable(&tables_.back());
  tables_.pop_back();
}

void HtmlBlocks::EmitTable(Table* table) {
  if (table->rows.empty()) return;
  Emit(table->has_columns ? BlockKind::kTable : BlockKind::kParagraph, 0, table->rows);
  table->rows.clear();
  table->has_columns = false;
}

void HtmlBlocks::EndRow() {
  if (tables_.empty()) return;
  EndCell();
  Table& table = tables_.back();
  if (table.filled_cells > 0) {
    table.rows.append(table.filled_cells == 1 ? table.only_cell : table.row).push_back('\n');
    table.has_columns = table.has_columns || table.filled_cells > 1;
  }
  table.row.clear();
  table.cells = table.filled_cells = 0;
}

void HtmlBlocks::StartCell() {
  EndCell();
  ForceBreak();
  if (!tables_.empty()) tables_.back().in_cell = true;
}

void HtmlBlocks::EndCell() {
  if (tables_.empty() || !tables_.back().in_cell) return;
  Table& table = tables_.back();
  if (table.layout) {
    ForceBreak();
    table.in_cell = false;
    return;
  }
  table.in_cell = false;
  const std::string_view cell = Trim(current_);
  if (table.cells++ > 0) table.row.append(" | ");
  table.row.append(cell);
  if (!cell.empty() && ++table.filled_cells == 1) table.only_cell.assign(cell);
  current_.clear();
  pending_space_ = join_next_ = false;
}

void HtmlBlocks::MarkLayout() {
  if (tables_.empty() || tables_.back().layout) return;
  Table& table = tables_.back();
  std::string cell = std::exchange(current_, {});
  const bool in_cell = table.in_cell;
  table.in_cell = false;
  EndRow();
  EmitTable(&table);
  table.layout = true;
  table.in_cell = in_cell;
  current_ = std::move(cell);
  EmitCurrent();
}

void HtmlBlocks::Finish(Document* document) {
  while (!tables_.empty()) EndTable();
  EmitCurrent();
  size_t in_main = 0;
  size_t in_article = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (origins_[i].in_main) in_main += blocks_[i].span.size();
    if (origins_[i].in_article) in_article += blocks_[i].span.size();
  }
  const bool main_only = in_main > 0;
  const bool articles_only = !main_only && in_article > text_.size() / 4;
  if (!main_only && !articles_only) {
    document->text = std::move(text_);
    document->blocks = std::move(blocks_);
    return;
  }
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (main_only ? !origins_[i].in_main : !origins_[i].in_article) continue;
    const Block& block = blocks_[i];
    AppendBlock(block.kind, block.level,
                std::string_view(text_).substr(block.span.begin, block.span.size()),
                &document->text, &document->blocks);
  }
}

}  // namespace cairn::chunking
