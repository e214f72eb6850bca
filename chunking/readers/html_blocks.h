// Collects a web page's text into blocks.
#ifndef CAIRN_CHUNKING_READERS_HTML_BLOCKS_H_
#define CAIRN_CHUNKING_READERS_HTML_BLOCKS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "chunking/document.h"

namespace cairn::chunking {

// What encloses the text that comes; kept by the caller, who knows the open elements.
struct HtmlContext {
  int heading_level = 0;
  int pre_depth = 0;
  int list_depth = 0;
  int item_depth = 0;
  int quote_depth = 0;
  int main_depth = 0;
  int article_depth = 0;
};

// Not thread-safe.
class HtmlBlocks {
 public:
  // `context` must outlive this object.
  explicit HtmlBlocks(const HtmlContext* context) : context_(*context) {}

  // Text with its character references decoded.
  void AddText(std::string_view text);
  void AddLineBreak();

  // A block ends here, or, inside a table's cell, a word.
  void Break();
  // Joins the next block to the current one, on a line of its own (a term and its definition).
  void JoinNext() { join_next_ = !current_.empty(); }
  // As Break, whatever was joined.
  void ForceBreak();

  void StartTable();
  void EndTable();
  void StartRow() { EndRow(); }
  void EndRow();
  void StartCell();
  void EndCell();
  // The innermost table holds what a table of data does not: it does the page's layout.
  void MarkLayout();

  // Ends all that is open and moves text and blocks to `document`: those inside <main>; else those
  // inside <article>, if they are a good part of the page; else all.
  void Finish(Document* document);

 private:
  struct Table {
    bool layout = false;
    bool in_cell = false;
    std::string rows;  // Finished rows, each with "\n".
    std::string row;   // Finished cells.
    size_t cells = 0;  // In `row`.
    size_t filled_cells = 0;
    std::string only_cell;     // The text of the row's filled cell while there is just one.
    bool has_columns = false;  // Some row has two filled cells.
  };
  struct Origin {
    bool in_main;
    bool in_article;
  };

  bool InDataCell() const {
    return !tables_.empty() && !tables_.back().layout && tables_.back().in_cell;
  }
  void AddCollapsed(std::string_view text);
  void AddPreformatted(std::string_view text);
  void StartBlockIfNone();
  void EmitTable(Table* table);
  void EmitCurrent();
  void Emit(BlockKind kind, int level, std::string_view text);

  const HtmlContext& context_;
  std::string text_;
  std::vector<Block> blocks_;
  std::vector<Origin> origins_;  // Of each block.

  std::string current_;  // The block being collected, or the cell.
  BlockKind kind_ = BlockKind::kParagraph;
  int level_ = 0;
  bool pending_space_ = false;
  bool join_next_ = false;
  std::vector<Table> tables_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_HTML_BLOCKS_H_
