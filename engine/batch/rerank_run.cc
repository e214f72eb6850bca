#include "engine/batch/rerank_run.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/batch/json_lines.h"
#include "engine/batch/text_records.h"

namespace cairn::engine {
namespace {

using Texts = absl::flat_hash_map<std::string, std::optional<std::string>>;

// The texts of the documents that are reranked.
absl::StatusOr<Texts> ReadTexts(const TrecRun& run, size_t depth, chunking::ByteSource& corpus,
                                const std::string& name) {
  Texts texts;
  for (const RunTopic& topic : run.topics) {
    for (size_t i = 0; i < std::min(depth, topic.documents.size()); ++i) {
      texts.try_emplace(topic.documents[i].id);
    }
  }
  JsonLines lines(corpus, name, /*skip_bad=*/false);
  while (true) {
    absl::StatusOr<bool> more = lines.Next([&](const nlohmann::json& object) {
      absl::StatusOr<TextRecord> record = ParseTextRecord(object);
      if (!record.ok()) return record.status();
      if (const auto it = texts.find(record->id); it != texts.end()) {
        it->second = std::move(record->text);
      }
      return absl::OkStatus();
    });
    if (!more.ok()) return more.status();
    if (!*more) return texts;
  }
}

absl::Status RerankTopic(const Reranker& reranker, const std::string& query, const Texts& texts,
                         size_t depth, RunTopic* topic) {
  const size_t count = std::min(depth, topic->documents.size());
  if (count == 0) return absl::OkStatus();
  std::vector<std::string_view> passages;
  for (size_t i = 0; i < count; ++i) {
    const std::optional<std::string>& text = texts.find(topic->documents[i].id)->second;
    if (!text.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("document ", topic->documents[i].id, " is not in the corpus"));
    }
    passages.push_back(*text);
  }
  std::vector<float> scores(count);
  absl::Status s = reranker.Score(query, passages, absl::MakeSpan(scores));
  if (!s.ok()) return s;
  if (!std::all_of(scores.begin(), scores.end(), [](float x) { return std::isfinite(x); })) {
    return absl::InternalError("the reranker gave a score that is not a finite number");
  }
  std::vector<ScoredDocument>& documents = topic->documents;
  const float top = count < documents.size() ? documents[count].score : 0;
  for (size_t i = 0; i < count; ++i) documents[i].score = scores[i];
  std::stable_sort(
      documents.begin(), documents.begin() + static_cast<std::ptrdiff_t>(count),
      [](const ScoredDocument& a, const ScoredDocument& b) { return a.score > b.score; });
  const float below = documents[count - 1].score - 1;
  for (size_t i = count; i < documents.size(); ++i) {
    documents[i].score = below - (top - documents[i].score);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RerankRun(const Reranker& reranker, const std::vector<Topic>& topics,
                       chunking::ByteSource& corpus, const std::string& name,
                       const RerankRunOptions& options, TrecRun* run) {
  absl::flat_hash_map<std::string, const std::string*> queries;
  for (const Topic& topic : topics) queries.emplace(topic.id, &topic.text);
  for (const RunTopic& topic : run->topics) {
    if (!queries.contains(topic.id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("topic ", topic.id, " of the run is not among the topics"));
    }
  }
  absl::StatusOr<Texts> texts = ReadTexts(*run, options.depth, corpus, name);
  if (!texts.ok()) return texts.status();
  size_t done = 0;
  for (RunTopic& topic : run->topics) {
    absl::Status s =
        RerankTopic(reranker, *queries.find(topic.id)->second, *texts, options.depth, &topic);
    if (!s.ok()) {
      return absl::Status(s.code(), absl::StrCat("topic ", topic.id, ": ", s.message()));
    }
    if (options.on_progress) options.on_progress(++done);
  }
  return absl::OkStatus();
}

}  // namespace cairn::engine
