// Typed document metadata. Part of the public API: only standard headers here.
#ifndef CAIRN_CHUNKING_METADATA_H_
#define CAIRN_CHUNKING_METADATA_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace cairn::chunking {

// A list of strings stands for a multi-valued field ("tags"): a filter matches it when any element
// matches.
using MetadataValue = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;

// Ordered by key, so that encodings and hashes of equal metadata are equal.
using Metadata = std::map<std::string, MetadataValue, std::less<>>;

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_METADATA_H_
