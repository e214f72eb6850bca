// Stored rows: decoders take any bytes. The first byte picks the row; the payload is sealed with a
// right checksum, or the fuzzer would never get past it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "index/kv_rows.h"
#include "index/row_codec.h"
#include "index/rows.h"

namespace rows = cairn::index;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view payload(reinterpret_cast<const char*>(data) + 1, size - 1);
  rows::RowWriter writer;
  writer.Raw(payload);
  const std::string row = std::move(writer).Finish("key");
  // What decodes must encode to a row that decodes to the same.
  switch (data[0] % 9) {
    case 0:
      if (auto r = rows::DecodeDocument("key", row); r.ok()) {
        const std::string again = rows::Encode("key", *r);
        if (rows::Encode("key", *rows::DecodeDocument("key", again)) != again) std::abort();
      }
      break;
    case 1:
      if (auto r = rows::DecodeChunk("key", row); r.ok()) {
        const std::string again = rows::Encode("key", *r);
        if (rows::Encode("key", *rows::DecodeChunk("key", again)) != again) std::abort();
      }
      break;
    case 2: {
      rows::ForwardRow r;
      if (rows::DecodeForward("key", row, &r).ok()) {
        const std::string again = rows::Encode("key", r);
        rows::ForwardRow r2;
        if (!rows::DecodeForward("key", again, &r2).ok() || r2.terms != r.terms) std::abort();
      }
      break;
    }
    case 3:
      (void)rows::DecodeCollection("key", row);
      if (auto r = rows::DecodeReembedding("key", row); r.ok()) {
        // Rows of format 1 become longer, and are then what they stay.
        const std::string again = rows::Encode("key", *r);
        if (rows::Encode("key", *rows::DecodeReembedding("key", again)) != again) std::abort();
      }
      break;
    case 4:
      (void)rows::DecodeCounters("key", row);
      if (auto r = rows::DecodeNotes("key", row); r.ok()) {
        if (*rows::DecodeNotes("key", rows::Encode("key", *r)) != *r) std::abort();
      }
      break;
    case 5:
      (void)rows::DecodeTerm("key", row);
      (void)rows::DecodeKvChunk("key", row);
      if (auto r = rows::DecodeKvBlob("key", row); r.ok()) {
        if (*rows::DecodeKvBlob("key", rows::Encode("key", *r)) != *r) std::abort();
      }
      for (const auto kind : {rows::KvRowKind::kSecret, rows::KvRowKind::kBlob,
                              rows::KvRowKind::kRef, rows::KvRowKind::kChunk}) {
        (void)rows::ParseKvKey(kind, rows::KvBegin(kind).append(payload));
      }
      break;
    case 7:
      if (auto r = rows::DecodeManifest("key", row); r.ok()) {
        if (*rows::DecodeManifest("key", rows::Encode("key", *r)) != *r) std::abort();
      }
      break;
    case 8:
      (void)rows::DecodeMetadata(row);
      break;
    default: {
      std::vector<float> out(payload.size() / 4);
      (void)rows::DecodeVector("key", row, absl::MakeSpan(out));
    }
  }
  // Unsealed bytes must be refused without harm too.
  (void)rows::DecodeChunk("key", payload);
  return 0;
}
