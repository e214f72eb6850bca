// YAML front matter, as static site generators and note takers write it.
#ifndef CAIRN_CHUNKING_READERS_FRONT_MATTER_H_
#define CAIRN_CHUNKING_READERS_FRONT_MATTER_H_

#include <cstddef>
#include <string_view>

#include "chunking/metadata.h"

namespace cairn::chunking {

// When `text` starts with a line "---", takes the pairs up to the next line "---" or "..." and
// returns where the text behind that line starts; 0 when there is no front matter
// (no closing line, or no pair in it). Values: null
// (passed over), booleans, integers, numbers, quoted and plain strings, lists ("[a, b]" or "- a"
// lines) as lists of strings. Deeper structure is passed over. The last of equal keys counts.
size_t ParseFrontMatter(std::string_view text, Metadata* metadata);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_FRONT_MATTER_H_
