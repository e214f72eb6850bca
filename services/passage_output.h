// Passages for people.
#ifndef CAIRN_SERVICES_PASSAGE_OUTPUT_H_
#define CAIRN_SERVICES_PASSAGE_OUTPUT_H_

#include <string>
#include <string_view>

#include "engine/engine.h"

namespace cairn::services {

// Prints rank, title and headings, score, where the passage stands, and its text: all of it, or its
// beginning.
void PrintPassage(size_t rank, const SearchHit& hit, bool full);

// "manual.html bytes 120-960"
std::string Place(std::string_view document_id, size_t begin, size_t end);

// `text` with control characters other than tab and line break as \x1b and the like, where standard
// output or error is a terminal: what a document says must not drive it.
std::string ForTerminal(std::string_view text, int descriptor);

// `text` with white space runs made one space, cut at a word after at most `bytes` bytes.
std::string Excerpt(std::string_view text, size_t bytes);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_PASSAGE_OUTPUT_H_
