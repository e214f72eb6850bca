#include "engine/generation/constrained_choice.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/generation/sampler.h"

namespace cairn::engine {
namespace {

// The candidates as a tree of tokens below the prompt, which is the root.
class Choices {
 public:
  struct Node {
    uint32_t token = 0;
    std::map<uint32_t, size_t> children;
    bool ends = false;       // A candidate ends here.
    double logprob = 0;      // Of the tokens from the root to here.
    double end_logprob = 0;  // That of the text's ending here.
  };

  Choices(LanguageModel* model, PrefixCache* cache,
          absl::Span<const std::vector<uint32_t>> candidates, const ChoiceOptions& options)
      : model_(model), cache_(cache), options_(options), nodes_(1) {
    for (const std::vector<uint32_t>& candidate : candidates) {
      size_t at = 0;
      for (const uint32_t token : candidate) {
        const size_t next = nodes_[at].children.try_emplace(token, nodes_.size()).first->second;
        if (next == nodes_.size()) nodes_.emplace_back().token = token;
        at = next;
      }
      nodes_[at].ends = true;
      ends_.push_back(at);
    }
  }

  // Computes everything from the end of `prompt` on, of which `kv` has a beginning.
  absl::Status Compute(absl::Span<const uint32_t> prompt, KvSequence kv) {
    prompt_ = prompt;
    const absl::Span<const uint32_t> rest = prompt.subspan(kv.length());
    runs_.push_back({std::move(kv), {0}, {rest.begin(), rest.end()}});
    while (!runs_.empty()) {
      absl::Status status = ComputeNextRuns();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  double logprob(size_t candidate) const {
    const Node& node = nodes_[ends_[candidate]];
    return counts_end() ? node.logprob + node.end_logprob : node.logprob;
  }
  bool counts_end() const { return !options_.end_tokens.empty(); }

 private:
  // Tokens to be computed one after another, for the logits after the last nodes.size() of them.
  struct Run {
    KvSequence kv;
    std::vector<size_t> nodes;
    std::vector<uint32_t> tokens;
  };

  bool NeedsLogits(const Node& node) const {
    return !node.children.empty() || (node.ends && counts_end());
  }

  // One pass, over as many of the runs as its rows allow; what hangs on their ends comes behind the
  // other runs.
  absl::Status ComputeNextRuns() {
    std::vector<SequenceInput> inputs;
    size_t rows = 0;
    for (Run& run : runs_) {
      if (!inputs.empty() && rows + run.nodes.size() > options_.max_rows) break;
      inputs.push_back({&run.kv, run.tokens, run.nodes.size()});
      rows += run.nodes.size();
    }
    const size_t vocabulary = model_->vocabulary_size();
    logits_.resize(rows * vocabulary);
    absl::Status status = model_->Forward(inputs, absl::MakeSpan(logits_));
    absl::Span<const float> logits = logits_;
    for (size_t i = 0; status.ok() && i < inputs.size(); ++i) {
      Run run = std::move(runs_.front());
      runs_.pop_front();
      for (const size_t node : run.nodes) {
        status = TakeLogits(node, logits.first(vocabulary));
        if (!status.ok()) return status;
        logits.remove_prefix(vocabulary);
      }
      if (run.nodes.front() == 0 && cache_ != nullptr) cache_->Insert("", prompt_, run.kv);
      AddRunsBelow(run.nodes.back(), std::move(run.kv));
    }
    return status;
  }

  absl::Status TakeLogits(size_t index, absl::Span<const float> logits) {
    const absl::StatusOr<uint32_t> sound = LargestLogit(logits);
    if (!sound.ok()) return sound.status();
    const double log_sum = LogSumExp(logits);
    Node& node = nodes_[index];
    for (const auto& [token, child] : node.children) {
      nodes_[child].logprob = node.logprob + logits[token] - log_sum;
    }
    double end = 0;
    for (const uint32_t token : options_.end_tokens) end += std::exp(logits[token] - log_sum);
    node.end_logprob = std::log(end);
    return absl::OkStatus();
  }

  // A run for each child that needs logits, up to where the tree branches or the rows are used up.
  void AddRunsBelow(size_t index, KvSequence kv) {
    for (const auto& [token, child] : nodes_[index].children) {
      if (!NeedsLogits(nodes_[child])) continue;
      Run run{kv.Fork(kv.length()), {}, {}};
      for (size_t at = child;; at = nodes_[at].children.begin()->second) {
        run.nodes.push_back(at);
        run.tokens.push_back(nodes_[at].token);
        if (nodes_[at].children.size() != 1 || run.nodes.size() == options_.max_rows) break;
        if (!NeedsLogits(nodes_[nodes_[at].children.begin()->second])) break;
      }
      runs_.push_back(std::move(run));
    }
  }

  LanguageModel* const model_;
  PrefixCache* const cache_;
  const ChoiceOptions& options_;
  absl::Span<const uint32_t> prompt_;
  std::vector<Node> nodes_;
  std::vector<size_t> ends_;  // Each candidate's last node.
  std::deque<Run> runs_;
  std::vector<float> logits_;
};

absl::Status CheckTokens(const LanguageModel& model, absl::Span<const uint32_t> tokens) {
  for (const uint32_t token : tokens) {
    if (token < model.vocabulary_size()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "token ", token, " is not in the model's vocabulary of ", model.vocabulary_size()));
  }
  return absl::OkStatus();
}

absl::Status Check(const LanguageModel& model, absl::Span<const uint32_t> prompt,
                   absl::Span<const std::vector<uint32_t>> candidates,
                   const ChoiceOptions& options) {
  if (candidates.empty()) return absl::InvalidArgumentError("there is nothing to choose from");
  if (prompt.empty()) return absl::InvalidArgumentError("the prompt has no tokens");
  if (options.max_rows == 0) return absl::InvalidArgumentError("max_rows must be positive");
  absl::Status status = CheckTokens(model, options.end_tokens);
  for (size_t i = 0; status.ok() && i < candidates.size(); ++i) {
    status = CheckTokens(model, candidates[i]);
    if (candidates[i].empty() && options.end_tokens.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("choice ", i + 1, " is empty"));
    }
  }
  return status;
}

// Evicts what the prompt's `rest` and the candidates may need, at most, beyond what is free.
void MakeRoom(const KvPool& pool, PrefixCache* cache, size_t rest,
              absl::Span<const std::vector<uint32_t>> candidates) {
  size_t pages = rest / kKvPageTokens + 1;
  for (const auto& candidate : candidates) pages += candidate.size() / kKvPageTokens + 2;
  const size_t free = pool.max_pages() - pool.pages_in_use();
  if (pages > free) cache->Evict(pages - free);
}

}  // namespace

absl::StatusOr<std::vector<RankedChoice>> RankChoices(
    LanguageModel* model, KvPool* pool, PrefixCache* cache, absl::Span<const uint32_t> prompt,
    absl::Span<const std::vector<uint32_t>> candidates, const ChoiceOptions& options) {
  absl::Status status = Check(*model, prompt, candidates, options);
  if (!status.ok()) return status;
  std::vector<KvPageRef> known;
  if (cache != nullptr) known = cache->Lookup("", prompt.first(prompt.size() - 1));
  KvSequence kv = KvSequence::FromPages(pool, std::move(known));
  if (cache != nullptr) MakeRoom(*pool, cache, prompt.size() - kv.length(), candidates);
  Choices choices(model, cache, candidates, options);
  status = choices.Compute(prompt, std::move(kv));
  if (!status.ok()) return status;
  std::vector<RankedChoice> ranked;
  for (size_t i = 0; i < candidates.size(); ++i) {
    ranked.push_back({i, candidates[i].size() + choices.counts_end(), choices.logprob(i)});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [&](const RankedChoice& a, const RankedChoice& b) {
    return options.per_token ? a.logprob_per_token() > b.logprob_per_token()
                             : a.logprob > b.logprob;
  });
  return ranked;
}

}  // namespace cairn::engine
