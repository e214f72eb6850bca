// The readable text of a web page.
#ifndef CAIRN_CHUNKING_READERS_HTML_TEXT_H_
#define CAIRN_CHUNKING_READERS_HTML_TEXT_H_

#include <string_view>

#include "absl/status/status.h"
#include "chunking/document.h"

namespace cairn::chunking {

// Sets text, blocks, title (from <title>, else the first <h1>) and metadata (author, description,
// keywords, date, lang, url) of `document` from `html`, which is UTF-8 without NUL. White space is
// collapsed as a browser does it, except in <pre>; a table is one block with a line for each row
// and " | " between cells, unless it holds headings or tables, that is, does the page's layout.
// Navigation, scripts, controls and hidden elements are dropped, and so is all that is outside
// <main> (or <article>, when it holds a good part of the text). Takes time proportional to the
// input, whatever the nesting. InvalidArgument when no text is left.
absl::Status ExtractHtml(std::string_view html, Document* document);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_HTML_TEXT_H_
