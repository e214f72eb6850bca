// Whether a full stop belongs to an abbreviation rather than ending an English sentence.
#ifndef CAIRN_CHUNKING_TEXT_ABBREVIATIONS_H_
#define CAIRN_CHUNKING_TEXT_ABBREVIATIONS_H_

#include <string_view>

namespace cairn::chunking {

// `before` is the sentence so far up to and without the full stop, `after` the text from the next
// sentence's first character on. Decides by the word before the stop and the shape of the word
// after it: "Fig. 3" and "Dr. No" go on, "at 5 p.m. The" ends.
bool FullStopAbbreviates(std::string_view before, std::string_view after);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_ABBREVIATIONS_H_
