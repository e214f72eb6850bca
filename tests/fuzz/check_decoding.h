// What must hold of decoding with any tokenizer.
#ifndef CAIRN_TESTS_FUZZ_CHECK_DECODING_H_
#define CAIRN_TESTS_FUZZ_CHECK_DECODING_H_

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "chunking/text/utf8.h"

namespace cairn::testing {

inline bool IsUtf8(const std::string& text) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const chunking::DecodedCodePoint c = chunking::DecodeUtf8(p, end);
    if (c.size == 1 && static_cast<uint8_t>(*p) >= 0x80) return false;
    p += c.size;
  }
  return true;
}

// Aborts unless ids decode to valid UTF-8, and the same in a stream.
inline void CheckDecoding(const chunking::Tokenizer& tokenizer, const std::vector<uint32_t>& ids) {
  const std::string decoded = tokenizer.Decode(ids);
  if (!IsUtf8(decoded)) std::abort();
  chunking::StreamDecoder stream(tokenizer, /*continues=*/false);
  std::string streamed;
  for (const uint32_t id : ids) {
    const std::string part = stream.Append(id);
    if (!IsUtf8(part)) std::abort();
    streamed += part;
  }
  if (streamed + stream.Finish() != decoded) std::abort();
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_FUZZ_CHECK_DECODING_H_
