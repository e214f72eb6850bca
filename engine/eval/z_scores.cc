#include "engine/eval/z_scores.h"

#include <array>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/eval/absl_view.h"
#include "engine/eval/line_reader.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxScoreLineBytes = size_t{1} << 20;

bool ParseFinite(std::string_view text, double& value) {
  return absl::SimpleAtod(AbslView(text), &value) && std::isfinite(value);
}

}  // namespace

absl::StatusOr<ZScores> ReadZScores(std::istream& in, std::string_view name) {
  LineReader reader(in, name, kMaxScoreLineBytes);
  ZScores z_scores;
  std::string_view line;
  std::array<std::string_view, 4> fields;
  while (reader.Next(line)) {
    if (!line.empty() && line[0] == '#') continue;
    const size_t found = SplitFields(line, absl::MakeSpan(fields));
    if (found == 0) continue;
    if (found < fields.size()) {
      return reader.Error(
          absl::StrCat("expected 4 fields `topic measure mean deviation`, found ", found));
    }
    ZScoreBasis basis;
    if (!ParseFinite(fields[2], basis.mean) || !ParseFinite(fields[3], basis.deviation) ||
        basis.deviation < 0) {
      return reader.Error("mean and deviation must be finite numbers, the deviation at least 0");
    }
    if (!z_scores[AbslView(fields[0])].emplace(fields[1], basis).second) {
      return reader.Error(
          absl::StrCat(AbslView(fields[1]), " appears twice for topic ", AbslView(fields[0])));
    }
  }
  if (!reader.status().ok()) return reader.status();
  return z_scores;
}

absl::StatusOr<ZScores> ReadZScoresFile(const std::string& path) {
  absl::StatusOr<std::ifstream> in = OpenToRead(path);
  if (!in.ok()) return in.status();
  return ReadZScores(*in, path);
}

absl::StatusOr<EvalResult> ApplyZScores(EvalResult result, const ZScores& z_scores) {
  for (EvalTopic& topic : result.topics) {
    const auto measures = z_scores.find(topic.id);
    for (size_t c = 0; c < result.columns.size(); ++c) {
      const EvalColumn& column = result.columns[c];
      if (column.kind != ColumnKind::kSum && column.kind != ColumnKind::kMean) continue;
      if (measures == z_scores.end() || !measures->second.contains(column.name)) {
        return absl::NotFoundError(
            absl::StrCat("no mean and deviation of ", column.name, " for topic ", topic.id));
      }
      const ZScoreBasis& basis = measures->second.at(column.name);
      topic.values[c] = basis.deviation == 0 ? 0 : (topic.values[c] - basis.mean) / basis.deviation;
    }
  }
  result.is_z_scored = true;
  Summarise(result);
  return result;
}

}  // namespace cairn::engine
