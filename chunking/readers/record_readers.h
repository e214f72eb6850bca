// Readers of formats that hold many documents. The contract is ReadDocuments'.
#ifndef CAIRN_CHUNKING_READERS_RECORD_READERS_H_
#define CAIRN_CHUNKING_READERS_RECORD_READERS_H_

#include <string>

#include "absl/status/status.h"
#include "chunking/readers/reader.h"

namespace cairn::chunking {

// One JSON object per line, BEIR's layout: `_id` (or `id`, `docid`, `doc_id`; a string or an
// integer), `title`, `text` (or `contents`, `content`, `body`), `metadata` (an object). Other
// scalar fields are metadata too; nested objects give "outer.inner" keys, nulls are passed over.
// A record with a title and no text gets its title for a text.
absl::Status ReadJsonl(ByteSource& input, const ReadOptions& options, DocumentHandler& handler);

// TREC SGML: <DOC> ... </DOC> with <DOCNO>, a title (<TITLE>, <HEADLINE>, <HEAD>, <TI>, ...) and
// text (<TEXT>, <BODY>, <ABSTRACT>, ...; without any of these, all that is in no other known
// element; behind a <DOCHDR>, an HTML page).
absl::Status ReadTrec(ByteSource& input, const ReadOptions& options, DocumentHandler& handler);

// Checks `document` (id, title and raw UTF-8 text set), normalises it, finds its paragraphs unless
// it has blocks, and hands it on, or hands on an issue. A title stands in for a text that is blank.
absl::Status DeliverRecord(Document document, uint64_t line, const ReadOptions& options,
                           DocumentHandler& handler);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_RECORD_READERS_H_
