#include "engine/eval/trec_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/eval/absl_view.h"
#include "engine/eval/line_reader.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxTrecLineBytes = size_t{1} << 20;

// Lists of entries by key, each with the line it came from. Files are mostly in the order of their
// topics, so the key of the line before is tried first.
template <typename Entry>
class EntryLists {
 public:
  struct List {
    std::string key;
    std::vector<Entry> entries;
    std::vector<uint64_t> lines;
  };

  void Add(std::string_view key, Entry entry, uint64_t line) {
    if (lists_.empty() || lists_[last_].key != key) {
      const auto [it, is_new] = index_.try_emplace(AbslView(key), lists_.size());
      if (is_new) lists_.push_back({std::string(key), {}, {}});
      last_ = it->second;
    }
    lists_[last_].entries.push_back(std::move(entry));
    lists_[last_].lines.push_back(line);
  }

  std::vector<List>& lists() { return lists_; }

 private:
  std::vector<List> lists_;
  absl::flat_hash_map<std::string, size_t> index_;
  size_t last_ = 0;
};

// The first line, in file order, whose document its list already has.
struct Duplicate {
  uint64_t line = std::numeric_limits<uint64_t>::max();
  absl::string_view document;
  absl::string_view key;
};

template <typename List, typename DocumentOf>
Duplicate FindDuplicate(const std::vector<List>& lists, DocumentOf document_of) {
  Duplicate first;
  absl::flat_hash_set<absl::string_view> seen;
  for (const List& list : lists) {
    seen.clear();
    seen.reserve(list.entries.size());
    for (size_t i = 0; i < list.entries.size(); ++i) {
      if (seen.insert(document_of(list.entries[i])).second) continue;
      if (list.lines[i] < first.line) {
        first = {list.lines[i], document_of(list.entries[i]), list.key};
      }
      break;
    }
  }
  return first;
}

// True for blank lines and comments.
bool IsSkipped(std::string_view line) {
  return line.empty() || line[0] == '#' ||
         line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

bool ParseScore(std::string_view text, float& score) {
  // from_chars takes no plus sign.
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range) {
    // Too large or too small for a double; Abseil's parser tells which.
    if (!absl::SimpleAtod(AbslView(text), &value)) return false;
  } else if (error != std::errc() || parsed != end || std::isnan(value)) {
    return false;
  }
  // Beyond the range of float the conversion is undefined, not infinite.
  if (std::abs(value) > std::numeric_limits<float>::max()) {
    const float infinity = std::numeric_limits<float>::infinity();
    score = value > 0 ? infinity : -infinity;
  } else {
    score = static_cast<float>(value);
  }
  return true;
}

// A whole number, also written with a zero fraction ("1.0").
bool ParseLevel(std::string_view text, int32_t& level) {
  const size_t dot = text.find('.');
  if (dot != std::string_view::npos) {
    const std::string_view fraction = text.substr(dot + 1);
    if (fraction.find_first_not_of('0') != std::string_view::npos) return false;
    text = text.substr(0, dot);
  }
  return absl::SimpleAtoi(AbslView(text), &level);
}

// Splits a line of BEIR's three tab-separated columns.
bool SplitBeir(std::string_view line, std::array<std::string_view, 3>& columns) {
  const size_t first = line.find('\t');
  if (first == std::string_view::npos) return false;
  const size_t second = line.find('\t', first + 1);
  if (second == std::string_view::npos) return false;
  columns = {line.substr(0, first), line.substr(first + 1, second - first - 1),
             line.substr(second + 1)};
  return !columns[0].empty() && !columns[1].empty() &&
         columns[2].find('\t') == std::string_view::npos;
}

bool IsBeirFirstLine(std::string_view line) {
  std::array<std::string_view, 4> fields;
  std::array<std::string_view, 3> columns;
  return SplitFields(line, absl::MakeSpan(fields)) == 3 && SplitBeir(line, columns);
}

struct QrelsLine {
  std::string_view topic;
  std::string_view group;
  std::string_view document;
  std::string_view level;
};

absl::Status SplitTrecQrels(const LineReader& reader, std::string_view line, QrelsLine& out) {
  std::array<std::string_view, 4> fields;
  const size_t found = SplitFields(line, absl::MakeSpan(fields));
  if (found < fields.size()) {
    return reader.Error(absl::StrCat("expected 4 fields `qid 0 docid level`, found ", found));
  }
  out = {fields[0], fields[1], fields[2], fields[3]};
  return absl::OkStatus();
}

absl::Status SplitBeirQrels(const LineReader& reader, std::string_view line, QrelsLine& out) {
  std::array<std::string_view, 3> columns;
  if (!SplitBeir(line, columns)) {
    return reader.Error("expected 3 tab-separated columns `query-id corpus-id score`");
  }
  out = {columns[0], "", columns[1], columns[2]};
  return absl::OkStatus();
}

using QrelsLists = EntryLists<Judgment>;

// Keys of lists in QrelsFormat::kGroups are topic, NUL, group: fields hold no NUL.
Qrels AssembleQrels(QrelsLists& collected, QrelsFormat format) {
  std::sort(collected.lists().begin(), collected.lists().end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  Qrels qrels;
  qrels.format = format;
  for (QrelsLists::List& list : collected.lists()) {
    const size_t end = std::min(list.key.find('\0'), list.key.size());
    const std::string topic = list.key.substr(0, end);
    if (qrels.topics.empty() || qrels.topics.back().id != topic) {
      qrels.topics.push_back({topic, {}});
    }
    std::string group = end < list.key.size() ? list.key.substr(end + 1) : "";
    qrels.topics.back().groups.push_back({std::move(group), std::move(list.entries)});
  }
  return qrels;
}

// What WriteRun must not write as a field.
bool IsField(std::string_view text) {
  return !text.empty() &&
         text.find_first_of(std::string_view(" \t\r\n\v\f\0", 7)) == std::string_view::npos;
}

absl::Status CheckWritable(const TrecRun& run) {
  if (!IsField(run.tag)) {
    return absl::InvalidArgumentError(absl::StrCat("run tag \"", run.tag, "\" is not one word"));
  }
  for (const RunTopic& topic : run.topics) {
    // A '#' in front would make the line a comment.
    if (!IsField(topic.id) || topic.id[0] == '#') {
      return absl::InvalidArgumentError(
          absl::StrCat("topic id \"", topic.id, "\" cannot be written to a run"));
    }
    for (const ScoredDocument& document : topic.documents) {
      if (!IsField(document.id)) {
        return absl::InvalidArgumentError(absl::StrCat("topic ", topic.id, ": document id \"",
                                                       document.id, "\" is not one word"));
      }
      if (std::isnan(document.score)) {
        return absl::InvalidArgumentError(
            absl::StrCat("topic ", topic.id, ": the score of ", document.id, " is not a number"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

void SortRun(TrecRun& run) {
  std::sort(run.topics.begin(), run.topics.end(),
            [](const RunTopic& a, const RunTopic& b) { return a.id < b.id; });
  const auto before = [](const ScoredDocument& a, const ScoredDocument& b) {
    return a.score != b.score ? a.score > b.score : a.id > b.id;
  };
  for (RunTopic& topic : run.topics) {
    if (std::is_sorted(topic.documents.begin(), topic.documents.end(), before)) continue;
    std::sort(topic.documents.begin(), topic.documents.end(), before);
  }
}

absl::StatusOr<TrecRun> ReadRun(std::istream& in, std::string_view name) {
  LineReader reader(in, name, kMaxTrecLineBytes);
  EntryLists<ScoredDocument> collected;
  TrecRun run;
  std::string_view line;
  std::array<std::string_view, 6> fields;
  while (reader.Next(line)) {
    if (IsSkipped(line)) continue;
    const size_t found = SplitFields(line, absl::MakeSpan(fields));
    if (found < fields.size()) {
      return reader.Error(
          absl::StrCat("expected 6 fields `qid Q0 docid rank score tag`, found ", found));
    }
    float score = 0;
    if (!ParseScore(fields[4], score)) {
      return reader.Error(absl::StrCat("score \"", AbslView(fields[4]), "\" is not a number"));
    }
    if (run.tag.empty()) run.tag = fields[5];
    collected.Add(fields[0], {std::string(fields[2]), score}, reader.line_number());
  }
  if (!reader.status().ok()) return reader.status();
  const Duplicate duplicate = FindDuplicate(
      collected.lists(),
      [](const ScoredDocument& document) -> absl::string_view { return document.id; });
  if (!duplicate.document.empty()) {
    return reader.ErrorAt(duplicate.line, absl::StrCat("document ", duplicate.document,
                                                       " appears twice for topic ", duplicate.key));
  }
  run.topics.reserve(collected.lists().size());
  for (auto& list : collected.lists()) {
    run.topics.push_back({std::move(list.key), std::move(list.entries)});
  }
  SortRun(run);
  return run;
}

absl::StatusOr<TrecRun> ReadRunFile(const std::string& path) {
  absl::StatusOr<std::ifstream> in = OpenToRead(path);
  if (!in.ok()) return in.status();
  return ReadRun(*in, path);
}

absl::StatusOr<Qrels> ReadQrels(std::istream& in, std::string_view name, QrelsFormat format) {
  LineReader reader(in, name, kMaxTrecLineBytes);
  QrelsLists collected;
  std::string_view line;
  std::string key;
  bool is_first = true;
  bool is_beir = false;
  while (reader.Next(line)) {
    if (IsSkipped(line)) continue;
    QrelsLine fields;
    if (is_first) is_beir = format == QrelsFormat::kPlain && IsBeirFirstLine(line);
    absl::Status split =
        is_beir ? SplitBeirQrels(reader, line, fields) : SplitTrecQrels(reader, line, fields);
    if (!split.ok()) return split;
    const bool is_header = is_beir && is_first && fields.topic == "query-id";
    is_first = false;
    if (is_header) continue;
    Judgment judgment;
    judgment.document = fields.document;
    if (!ParseLevel(fields.level, judgment.level)) {
      return reader.Error(
          absl::StrCat("level \"", AbslView(fields.level), "\" is not a whole number"));
    }
    key = fields.topic;
    if (format == QrelsFormat::kGroups) key.append(1, '\0').append(fields.group);
    collected.Add(key, std::move(judgment), reader.line_number());
  }
  if (!reader.status().ok()) return reader.status();
  const Duplicate duplicate = FindDuplicate(
      collected.lists(),
      [](const Judgment& judgment) -> absl::string_view { return judgment.document; });
  if (!duplicate.document.empty()) {
    return reader.ErrorAt(
        duplicate.line, absl::StrCat("document ", duplicate.document, " is judged twice for topic ",
                                     duplicate.key.substr(0, duplicate.key.find('\0'))));
  }
  return AssembleQrels(collected, format);
}

absl::StatusOr<Qrels> ReadQrelsFile(const std::string& path, QrelsFormat format) {
  absl::StatusOr<std::ifstream> in = OpenToRead(path);
  if (!in.ok()) return in.status();
  return ReadQrels(*in, path, format);
}

absl::Status WriteRun(const TrecRun& run, std::ostream& out) {
  absl::Status writable = CheckWritable(run);
  if (!writable.ok()) return writable;
  std::string text;
  for (const RunTopic& topic : run.topics) {
    text.clear();
    size_t rank = 0;
    for (const ScoredDocument& document : topic.documents) {
      std::array<char, 32> number;
      const auto [end, error] =
          std::to_chars(number.data(), number.data() + number.size(), document.score);
      const absl::string_view score(number.data(), static_cast<size_t>(end - number.data()));
      absl::StrAppend(&text, topic.id, " Q0 ", document.id, " ", ++rank, " ", score);
      absl::StrAppend(&text, " ", run.tag, "\n");
    }
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
  }
  out.flush();
  if (!out) return absl::DataLossError("cannot write the run");
  return absl::OkStatus();
}

}  // namespace cairn::engine
