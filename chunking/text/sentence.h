// Sentence boundaries.
#ifndef CAIRN_CHUNKING_TEXT_SENTENCE_H_
#define CAIRN_CHUNKING_TEXT_SENTENCE_H_

#include <string_view>
#include <vector>

#include "chunking/document.h"

namespace cairn::chunking {

// Splits `text` (valid UTF-8) into sentences with ICU's sentence rules and an English abbreviation
// guard ("e.g.", "Fig. 3", "Dr. No", initials). The spans cover the text without gap or overlap:
// white space after a sentence belongs to it. A blank line always ends a sentence. Thread-safe.
std::vector<Span> SplitSentences(std::string_view text);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_SENTENCE_H_
