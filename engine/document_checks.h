// What a document may bring along besides its text: limits that keep every row small and every
// output printable.
#ifndef CAIRN_ENGINE_DOCUMENT_CHECKS_H_
#define CAIRN_ENGINE_DOCUMENT_CHECKS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "chunking/document.h"

namespace cairn::engine {

// Bytes of all names and values, with a fixed amount for each: what metadata costs to keep.
size_t MetadataBytes(const chunking::Metadata& metadata);

// Names of 1 to 1,024 bytes; names and strings valid UTF-8 without NUL; numbers finite; at most 64
// KiB of MetadataBytes. InvalidArgument naming the field.
absl::Status CheckMetadata(const chunking::Metadata& metadata);

// The same of the metadata; an id of 1 to 1,024 bytes of UTF-8 without control characters; a title
// of at most 4,096 bytes of UTF-8 on one line; a source URI of at most 8,192 bytes of UTF-8 without
// NUL. InvalidArgument naming document and field. The text is the readers' to check: they cannot
// split what is not UTF-8.
absl::Status CheckDocument(const chunking::Document& document);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_DOCUMENT_CHECKS_H_
