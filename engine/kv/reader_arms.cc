#include "engine/kv/reader_arms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

constexpr double kShares[] = {0.05, 0.10, 0.15, 0.25, 0.50};
constexpr double kFewShares[] = {0.05, 0.15, 0.50};

// The arms of one source.
class SourceArms {
 public:
  SourceArms(ReaderArmSet set, KvSource source, size_t layers, std::vector<ReaderArm>* arms)
      : all_(set == ReaderArmSet::kAll), source_(source), arms_(arms) {
    shares_.assign(std::begin(kShares), std::end(kShares));
    if (!all_) shares_.assign(std::begin(kFewShares), std::end(kFewShares));
    const auto l = static_cast<double>(layers);
    equal_cost_ = std::min(1.0, (2 + kUsualShare * (l - 1)) / l);
  }

  void Add() {
    Append("reposition", ReuseMethod::kReposition);
    Append("no reposition", ReuseMethod::kReposition).reposition = false;
    Append("reposition, shuffled", ReuseMethod::kReposition).shuffled = true;
    for (double share : WithEqualCost()) Append("random", ReuseMethod::kRandom, share);
    for (double share : WithEqualCost()) Append("first tokens", ReuseMethod::kFirstTokens, share);
    AddCacheBlend();
    for (double share : WithEqualCost()) {
      Append("question attention", ReuseMethod::kQuestionAttention, share);
    }
    if (source_ == KvSource::kDocument) {
      // Caches that were computed alone have no context to have been changed: Cache-Craft would
      // compute nothing.
      Append("cache-craft", ReuseMethod::kCacheCraft).reuse.share = 1;
      if (all_) {  // At most so much.
        for (double share : shares_) Append("cache-craft", ReuseMethod::kCacheCraft, share);
      }
    }
    for (double share : WithEqualCost()) {
      Append("oracle", ReuseMethod::kGiven, share).oracle = true;
    }
    // A check of the blending. It costs the most, and the source must not matter.
    if (source_ == KvSource::kIsolated) Append("everything", ReuseMethod::kFull);
  }

 private:
  void AddCacheBlend() {
    for (double share : shares_) Append("cacheblend kv", ReuseMethod::kCacheBlend, share);
    for (double share : OthersShares()) {
      Append("cacheblend k", ReuseMethod::kCacheBlend, share).reuse.by_values = false;
      Append("cacheblend v", ReuseMethod::kCacheBlend, share).reuse.by_keys = false;
      Append("cacheblend kv offset", ReuseMethod::kCacheBlend, share).reuse.offset = true;
      Append("cacheblend kv gradual", ReuseMethod::kCacheBlend, share).reuse.gradual_layers = 2;
      if (!all_) continue;
      ReaderArm& keys = Append("cacheblend k gradual", ReuseMethod::kCacheBlend, share);
      keys.reuse.by_values = false;
      keys.reuse.gradual_layers = 2;
      ReaderArm& values = Append("cacheblend v gradual", ReuseMethod::kCacheBlend, share);
      values.reuse.by_keys = false;
      values.reuse.gradual_layers = 2;
    }
  }

  std::vector<double> OthersShares() const {
    return all_ ? shares_ : std::vector<double>{kUsualShare};
  }
  std::vector<double> WithEqualCost() const {
    std::vector<double> shares = shares_;
    shares.push_back(equal_cost_);
    std::sort(shares.begin(), shares.end());
    shares.erase(std::unique(shares.begin(), shares.end()), shares.end());
    return shares;
  }

  ReaderArm& Append(std::string method, ReuseMethod reuse, double share = -1) {
    ReaderArm arm;
    arm.method = std::move(method);
    arm.source = source_;
    arm.share = share;
    arm.reuse.method = reuse;
    if (share >= 0) arm.reuse.share = share;
    arms_->push_back(std::move(arm));
    return arms_->back();
  }

  const bool all_;
  const KvSource source_;
  std::vector<ReaderArm>* const arms_;
  std::vector<double> shares_;
  double equal_cost_ = 1;
};

// Cache-Craft with several variants of a chunk. No more than half of a chunk is computed again, as
// the engine does, or as much as its rules say.
void AddPromptArms(ReaderArmSet set, std::vector<ReaderArm>* arms) {
  for (size_t variants : {size_t{1}, size_t{3}, size_t{8}}) {
    ReaderArm arm;
    arm.source = KvSource::kPrompt;
    arm.variants = variants;
    arm.method = "reposition";
    arm.reuse.method = ReuseMethod::kReposition;
    arms->push_back(arm);
    arm.method = "cache-craft";
    arm.reuse.method = ReuseMethod::kCacheCraft;
    arm.reuse.share = 1;
    arms->push_back(arm);
    if (set != ReaderArmSet::kAll) continue;
    for (double share : {0.15, 0.25, 0.50}) {
      arm.share = arm.reuse.share = share;
      arms->push_back(arm);
    }
  }
}

}  // namespace

std::string ReaderArm::Name() const {
  std::string name = method;
  if (source.has_value()) {
    const std::string_view of = KvSourceName(*source);
    name = absl::StrCat(absl::string_view(of.data(), of.size()), "/", method);
  }
  if (variants > 0) absl::StrAppend(&name, ", variants ", variants);
  if (share >= 0) absl::StrAppend(&name, " ", std::round(share * 1000) / 10, "%");
  return name;
}

std::vector<ReaderArm> MakeReaderArms(ReaderArmSet set, size_t layers) {
  std::vector<ReaderArm> arms(3);
  arms[0].method = "full prefill";
  arms[0].prompt = ReaderArm::Prompt::kComputed;
  arms[1].method = "full prefill, shuffled";
  arms[1].prompt = ReaderArm::Prompt::kComputed;
  arms[1].shuffled = true;
  arms[2].method = "no context";
  arms[2].prompt = ReaderArm::Prompt::kNoContext;
  for (KvEncoding encoding : {KvEncoding::kF32, KvEncoding::kF16, KvEncoding::kI8}) {
    ReaderArm own;
    const std::string_view name = KvEncodingName(encoding);
    own.method = absl::StrCat("own caches in ", absl::string_view(name.data(), name.size()));
    own.prompt = ReaderArm::Prompt::kOwnCaches;
    own.encoding = encoding;
    own.reuse.method = ReuseMethod::kReposition;
    arms.push_back(std::move(own));
  }
  for (KvSource source : {KvSource::kIsolated, KvSource::kPreface, KvSource::kDocument}) {
    SourceArms(set, source, layers, &arms).Add();
  }
  AddPromptArms(set, &arms);
  return arms;
}

}  // namespace cairn::engine
