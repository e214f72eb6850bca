// Stored rows: decoders take any bytes. The first byte picks the row; the payload is sealed with a
// right checksum, or the fuzzer would never get past it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "index/row_codec.h"
#include "index/rows.h"

namespace index = cairn::index;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view payload(reinterpret_cast<const char*>(data) + 1, size - 1);
  index::RowWriter writer;
  writer.Raw(payload);
  const std::string row = std::move(writer).Finish("key");
  // What decodes must encode to a row that decodes to the same.
  switch (data[0] % 7) {
    case 0:
      if (auto r = index::DecodeDocument("key", row); r.ok()) {
        const std::string again = index::Encode("key", *r);
        if (index::Encode("key", *index::DecodeDocument("key", again)) != again) std::abort();
      }
      break;
    case 1:
      if (auto r = index::DecodeChunk("key", row); r.ok()) {
        const std::string again = index::Encode("key", *r);
        if (index::Encode("key", *index::DecodeChunk("key", again)) != again) std::abort();
      }
      break;
    case 2: {
      index::ForwardRow r;
      if (index::DecodeForward("key", row, &r).ok()) {
        const std::string again = index::Encode("key", r);
        index::ForwardRow r2;
        if (!index::DecodeForward("key", again, &r2).ok() || r2.terms != r.terms) std::abort();
      }
      break;
    }
    case 3:
      (void)index::DecodeCollection("key", row);
      break;
    case 4:
      (void)index::DecodeCounters("key", row);
      break;
    case 5:
      (void)index::DecodeTerm("key", row);
      break;
    default: {
      std::vector<float> out(payload.size() / 4);
      (void)index::DecodeVector("key", row, absl::MakeSpan(out));
    }
  }
  // Unsealed bytes must be refused without harm too.
  (void)index::DecodeChunk("key", payload);
  return 0;
}
