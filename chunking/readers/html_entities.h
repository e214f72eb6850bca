// Character references of HTML and SGML.
#ifndef CAIRN_CHUNKING_READERS_HTML_ENTITIES_H_
#define CAIRN_CHUNKING_READERS_HTML_ENTITIES_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace cairn::chunking {

// `text` starts with "&". Appends the character that the reference there stands for and returns the
// reference's size in bytes; 0, and nothing appended, when it is none. All names of the HTML
// standard; numbers out of range become U+FFFD, as browsers have it. Takes constant time.
size_t DecodeEntity(std::string_view text, std::string* out);

// `text` with its references decoded.
std::string DecodeEntities(std::string_view text);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_HTML_ENTITIES_H_
