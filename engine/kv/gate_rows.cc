#include "engine/kv/gate_rows.h"

#include <utility>

#include "index/row_batch.h"
#include "index/row_codec.h"

namespace cairn::engine {
namespace {

using index::Family;

// Of the gates: raised when they come to check something else.
constexpr uint64_t kGatesVersion = 1;
constexpr uint64_t kMaxGates = 64;

std::string Key(std::string_view fingerprint) {
  return std::string("kv_gates/").append(fingerprint);
}

}  // namespace

absl::StatusOr<std::optional<ReuseGateReport>> ReadGates(const index::RowStore& rows,
                                                         std::string_view fingerprint) {
  const std::string key = Key(fingerprint);
  std::string value;
  const absl::Status found = rows.Get(Family::kDefault, key, nullptr, &value);
  if (absl::IsNotFound(found)) return std::nullopt;
  if (!found.ok()) return found;
  absl::StatusOr<index::RowReader> reader = index::RowReader::Open(key, value);
  if (!reader.ok() || reader->Varint() != kGatesVersion) return std::nullopt;
  ReuseGateReport report;
  const uint64_t gates = reader->Varint(kMaxGates);
  for (uint64_t i = 0; i < gates && reader->ok(); ++i) {
    ReuseGate& gate = report.gates.emplace_back();
    gate.name = std::string(reader->String());
    gate.difference = reader->Double();
  }
  if (!reader->Done().ok() || report.gates.empty()) return std::nullopt;
  return report;
}

absl::Status WriteGates(index::RowStore* rows, std::string_view fingerprint,
                        const ReuseGateReport& report) {
  const std::string key = Key(fingerprint);
  index::RowWriter writer;
  writer.Varint(kGatesVersion);
  writer.Varint(report.gates.size());
  for (const ReuseGate& gate : report.gates) {
    writer.String(gate.name);
    writer.Double(gate.difference);
  }
  index::RowBatch batch;
  batch.Put(Family::kDefault, key, std::move(writer).Finish(key));
  return rows->Commit(std::move(batch));
}

}  // namespace cairn::engine
