// The structure of Markdown.
#ifndef CAIRN_CHUNKING_READERS_MARKDOWN_H_
#define CAIRN_CHUNKING_READERS_MARKDOWN_H_

#include "chunking/document.h"

namespace cairn::chunking {

// Finds the blocks of document->text, which is Markdown and stays as it is: CommonMark's leaf
// blocks and lists, and GFM's tables. A block's span is its source lines with their markers ("##
// Title",
// "- item"), without the white space around them. Each list item is a block, and so is each further
// paragraph of it; a block quote is one block up to a blank line. Of "---" front matter the simple
// `key: value` pairs become metadata; it, comments and thematic breaks are in no block. Sets the
// title from the front matter, else from the first heading of level 1; leaves it alone otherwise.
// Takes time proportional to the text.
void ParseMarkdown(Document* document);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_MARKDOWN_H_
