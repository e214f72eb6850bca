#include "engine/batch/passage_lists.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/batch/json_lines.h"
#include "engine/batch/ordered_batches.h"
#include "engine/preparation.h"

namespace cairn::engine {
namespace {

using Json = nlohmann::json;

struct PassageList {
  Json line;  // "passages" taken out.
  std::string query;
  Json::array_t passages;
  std::vector<std::string> texts;
  size_t bytes = 0;
};

absl::StatusOr<std::string> TextOfPassage(const Json& passage) {
  if (passage.is_string()) return passage.get<std::string>();
  const auto text = passage.is_object() ? passage.find("text") : passage.end();
  if (!passage.is_object() || text == passage.end() || !text->is_string()) {
    return absl::InvalidArgumentError("is neither a string nor an object with a \"text\"");
  }
  const auto title = passage.find("title");
  const std::string context =
      title != passage.end() && title->is_string()
          ? ChunkContext(title->get<std::string>(), {}, text->get_ref<const std::string&>())
          : "";
  return context + text->get_ref<const std::string&>();
}

absl::Status Parse(Json line, PassageList* item) {
  const auto query = line.find("query");
  if (query == line.end()) return absl::InvalidArgumentError("no \"query\"");
  if (!query->is_string()) return absl::InvalidArgumentError("\"query\" is not a string");
  item->query = query->get<std::string>();
  const auto passages = line.find("passages");
  if (passages == line.end()) return absl::InvalidArgumentError("no \"passages\"");
  if (!passages->is_array()) return absl::InvalidArgumentError("\"passages\" is not a list");
  for (const Json& passage : *passages) {
    absl::StatusOr<std::string> text = TextOfPassage(passage);
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("passage ", item->texts.size() + 1, " ", text.status().message()));
    }
    item->bytes += 2 * text->size();
    item->texts.push_back(*std::move(text));
  }
  item->passages = std::move(passages->get_ref<Json::array_t&>());
  item->line = std::move(line);
  return absl::OkStatus();
}

absl::Status ScoreList(const Reranker& reranker, PassageList* item) {
  const std::vector<std::string_view> texts(item->texts.begin(), item->texts.end());
  std::vector<float> scores(texts.size());
  if (!texts.empty()) {
    absl::Status s = reranker.Score(item->query, texts, absl::MakeSpan(scores));
    if (!s.ok()) return s;
  }
  if (!std::all_of(scores.begin(), scores.end(), [](float x) { return std::isfinite(x); })) {
    return absl::InternalError("the reranker gave a score that is not a finite number");
  }
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  Json sorted = Json::array();
  for (const size_t i : order) {
    Json passage = std::move(item->passages[i]);
    if (passage.is_string()) passage = {{"text", std::move(passage)}};
    passage["score"] = Shortest(scores[i]);
    sorted.push_back(std::move(passage));
  }
  item->line["passages"] = std::move(sorted);
  return absl::OkStatus();
}

}  // namespace

absl::Status RerankLists(const Reranker& reranker, chunking::ByteSource& in,
                         const std::string& name, std::ostream& out,
                         const PassageListsOptions& options, BatchReport* report) {
  *report = {};
  JsonLines lines(in, name, options.skip_bad);
  const auto read = [&]() -> absl::StatusOr<std::optional<PassageList>> {
    PassageList item;
    absl::StatusOr<bool> more = lines.Next([&](Json line) {
      item = {};
      return Parse(std::move(line), &item);
    });
    report->skipped = lines.skipped();
    report->bytes = lines.bytes();
    if (!more.ok()) return more.status();
    return *more ? std::optional<PassageList>(std::move(item)) : std::nullopt;
  };
  const auto work = [&](absl::Span<PassageList* const> batch) {
    for (PassageList* item : batch) {
      if (absl::Status s = ScoreList(reranker, item); !s.ok()) return s;
    }
    return absl::OkStatus();
  };
  const auto write = [&](PassageList& item) -> absl::Status {
    out << item.line.dump() << '\n';
    if (!out) return absl::DataLossError("cannot write the passages");
    ++report->records;
    if (options.on_progress) options.on_progress(*report);
    return absl::OkStatus();
  };
  // A model's call reads one list, and uses all of the model's threads: one thread here.
  OrderedBatchesOptions batches;
  batches.window_items = 1;
  OrderedBatches<PassageList> run(
      batches, [](const PassageList& item) { return item.texts.size(); },
      [](const PassageList& item) { return item.bytes; });
  return run.Run(read, work, write, options.cancel);
}

}  // namespace cairn::engine
