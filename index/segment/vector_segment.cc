#include "index/segment/vector_segment.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "index/encoded_rows.h"
#include "index/segment/hnsw_graph.h"
#include "index/segment/hnsw_walk.h"
#include "index/segment/ivf_pq.h"
#include "index/segment/vector_meta.h"
#include "index/vector_scan.h"
#include "kernels/distance.h"
#include "kernels/top_k.h"

namespace cairn::index {
namespace {

// Nodes a walk keeps by default. On clustered vectors 128 give a recall@10 of .99; short queries
// among passages, which lie apart from all of them, need more.
constexpr size_t kBaseEf = 256;
constexpr size_t kEfPerResult = 2;
// A walk costs as much for each node it keeps as a scan for this many rows.
constexpr double kRowsPerKeptNode = 30;
// Lists looked into by default: one in kListShare, but at least kMinProbes.
constexpr size_t kListShare = 16;
constexpr size_t kMinProbes = 64;
// What is re-scored of an IVF-PQ search by default: so many for each result, and at least these.
constexpr size_t kPqCandidatesPerResult = 20;
constexpr size_t kMinPqCandidates = 200;
// Exact rows prefetched while one is scored.
constexpr size_t kPrefetchRows = 4;
constexpr size_t kCacheLineBytes = 64;
// Words of `allowed` looked at to estimate how many slots are.
constexpr size_t kSampledWords = 64;

absl::Status DamagedVectors(const std::string& what) {
  return absl::DataLossError(absl::StrCat("damaged vector sections: ", what));
}

// The share of slots that are set, from evenly spread words.
double EstimateShare(const SlotSet& set) {
  const std::vector<uint64_t>& words = set.words();
  if (words.size() <= 2 * kSampledWords) {
    return static_cast<double>(set.Count()) / static_cast<double>(std::max<size_t>(set.size(), 1));
  }
  size_t ones = 0;
  for (size_t i = 0; i < kSampledWords; ++i) {
    const uint64_t word = words[i * (words.size() - 1) / kSampledWords];
    ones += word == ~uint64_t{0} ? 64 : std::popcount(word);
  }
  return static_cast<double>(ones) / (64 * kSampledWords);
}

}  // namespace

struct VectorSegment::Impl {
  // Borrowed for one search.
  struct Scratch {
    Walk walk;
    std::vector<kernels::TopK::Entry> candidates;
  };

  absl::Status Open(uint64_t slots, size_t dim);
  absl::Status OpenRows();

  std::unique_ptr<Scratch> Borrow() const ABSL_LOCKS_EXCLUDED(mutex);
  void Return(std::unique_ptr<Scratch> scratch) const ABSL_LOCKS_EXCLUDED(mutex);

  using Results = std::vector<ScoredSlot>;
  absl::StatusOr<Results> Scan(absl::Span<const float> query, size_t k, const SlotSet& allowed,
                               float floor, const Cancellation* cancellation) const;
  absl::StatusOr<Results> SearchGraph(absl::Span<const float> query, size_t k,
                                      const SlotSet& allowed, float floor,
                                      const VectorSearchOptions& options) const;
  absl::StatusOr<Results> SearchLists(absl::Span<const float> query, size_t k,
                                      const SlotSet& allowed, float floor,
                                      const VectorSearchOptions& options) const;
  // The best of `candidates`, which are by approximate score, best first. `in_doubt(candidate,
  // threshold)` says whether its exact score may reach the threshold; the first that may not ends
  // the search.
  template <typename InDoubt>
  Results Rescore(absl::Span<const float> query, size_t k, float floor,
                  absl::Span<const kernels::TopK::Entry> candidates, InDoubt in_doubt) const;
  size_t AllowedCount(const SlotSet& allowed) const {
    SlotSet both = allowed;
    both.IntersectWith(present);
    return both.Count();
  }
  absl::Status CheckRow(Slot slot) const;

  const float* ExactRow(Slot slot) const { return exact.data() + slot * size_t{meta.dim}; }

  std::shared_ptr<const SectionFile> file;
  VectorMeta meta;
  VectorEncoding encoding = VectorEncoding::kFloat32;
  SlotSet present;
  absl::Span<const float> exact;      // [slots][dim]
  absl::Span<const std::byte> codes;  // [slots] rows; empty for float32
  RowStorage storage;
  std::optional<EncodedRowsView> rows;
  std::optional<HnswGraph> graph;
  std::optional<IvfPqLists> lists;

  mutable absl::Mutex mutex;
  mutable std::vector<std::unique_ptr<Scratch>> idle ABSL_GUARDED_BY(mutex);
};

absl::Status VectorSegment::Impl::Open(uint64_t slots, size_t dim) {
  const auto record = file->Get<VectorMeta>(Section::kVectorMeta, 1);
  if (!record.ok()) return record.status();
  meta = record->front();
  if (meta.version != kVectorVersion) {
    return absl::UnimplementedError(absl::StrCat("vector sections of version ", meta.version));
  }
  if (meta.kind > static_cast<uint8_t>(VectorIndexKind::kIvfPq) ||
      meta.encoding > static_cast<uint8_t>(VectorEncoding::kInt8) || meta.reserved != 0) {
    return DamagedVectors("kind or encoding");
  }
  if (meta.slots != slots || meta.dim != dim || slots > kMaxVectorSlots || dim == 0 ||
      dim > kMaxVectorDim) {
    return DamagedVectors("number of slots or dimension");
  }
  encoding = static_cast<VectorEncoding>(meta.encoding);
  const auto words = file->Get<uint64_t>(Section::kVectorPresent, (slots + 63) / 64);
  if (!words.ok()) return words.status();
  present.Resize(slots);
  for (Slot slot = 0; slot < slots; ++slot) {
    if (((*words)[slot / 64] >> (slot % 64) & 1) != 0) present.Set(slot);
  }
  if (present.words() != std::vector<uint64_t>(words->begin(), words->end()) ||
      present.Count() != meta.count) {
    return DamagedVectors("number of vectors");
  }
  if (absl::Status s = OpenRows(); !s.ok()) return s;
  if (meta.kind == static_cast<uint8_t>(VectorIndexKind::kHnsw)) {
    absl::StatusOr<HnswGraph> opened = HnswGraph::Open(*file, meta);
    if (!opened.ok()) return opened.status();
    graph = *std::move(opened);
  }
  if (meta.kind == static_cast<uint8_t>(VectorIndexKind::kIvfPq)) {
    absl::StatusOr<IvfPqLists> opened = IvfPqLists::Open(*file, meta);
    if (!opened.ok()) return opened.status();
    lists = *std::move(opened);
  }
  return absl::OkStatus();
}

absl::Status VectorSegment::Impl::OpenRows() {
  const auto vectors = file->Get<float>(Section::kVectorExact, meta.slots * meta.dim);
  if (!vectors.ok()) return vectors.status();
  exact = *vectors;
  if (encoding == VectorEncoding::kFloat32) {
    storage.rows = reinterpret_cast<const std::byte*>(exact.data());
  } else {
    const auto bytes = file->Get<std::byte>(Section::kVectorCodes,
                                            meta.slots * EncodedRowBytes(meta.dim, encoding));
    const auto norms = file->Get<float>(Section::kVectorNorms, meta.slots);
    const auto errors = file->Get<float>(Section::kVectorErrors, meta.slots);
    for (const absl::Status& s : {bytes.status(), norms.status(), errors.status()}) {
      if (!s.ok()) return s;
    }
    codes = *bytes;
    storage.rows = codes.data();
    storage.norms = norms->data();
    storage.errors = errors->data();
    if (encoding == VectorEncoding::kInt8) {
      const auto scales = file->Get<float>(Section::kVectorScales, meta.slots);
      if (!scales.ok()) return scales.status();
      storage.scales = scales->data();
    }
  }
  rows.emplace(meta.slots, meta.dim, encoding, storage);
  return absl::OkStatus();
}

std::unique_ptr<VectorSegment::Impl::Scratch> VectorSegment::Impl::Borrow() const {
  absl::MutexLock lock(&mutex);
  if (idle.empty()) return std::make_unique<Scratch>();
  std::unique_ptr<Scratch> scratch = std::move(idle.back());
  idle.pop_back();
  return scratch;
}

void VectorSegment::Impl::Return(std::unique_ptr<Scratch> scratch) const {
  absl::MutexLock lock(&mutex);
  idle.push_back(std::move(scratch));
}

absl::StatusOr<std::vector<ScoredSlot>> VectorSegment::Impl::Scan(
    absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor,
    const Cancellation* cancellation) const {
  SlotSet wanted = allowed;
  wanted.IntersectWith(present);
  const auto score = [&](absl::Span<const Slot> slots, absl::Span<float> scores) {
    const kernels::DistanceKernels& kernels = kernels::GetDistanceKernels();
    for (size_t i = 0; i < slots.size(); ++i) {
      scores[i] = kernels.dot_f32(query.data(), ExactRow(slots[i]), meta.dim);
    }
    return absl::OkStatus();
  };
  return ScanForTopK(*rows, query, k, std::move(wanted), floor, score, cancellation);
}

template <typename InDoubt>
std::vector<ScoredSlot> VectorSegment::Impl::Rescore(
    absl::Span<const float> query, size_t k, float floor,
    absl::Span<const kernels::TopK::Entry> candidates, InDoubt in_doubt) const {
  const kernels::DistanceKernels& kernels = kernels::GetDistanceKernels();
  const size_t row_bytes = meta.dim * sizeof(float);
  const auto prefetch = [&](size_t i) {
    if (i >= candidates.size()) return;
    const char* const row = reinterpret_cast<const char*>(ExactRow(candidates[i].slot));
    for (size_t byte = 0; byte < row_bytes; byte += kCacheLineBytes) __builtin_prefetch(row + byte);
  };
  for (size_t i = 0; i < kPrefetchRows; ++i) prefetch(i);
  kernels::TopK top(k);
  for (size_t i = 0; i < candidates.size(); ++i) {
    const float threshold = std::max(top.threshold(), floor);
    if (top.size() == k && !in_doubt(candidates[i], threshold)) break;
    prefetch(i + kPrefetchRows);
    const Slot slot = candidates[i].slot;
    const float score = kernels.dot_f32(query.data(), ExactRow(slot), meta.dim);
    if (score >= floor) top.Push(score, slot);
  }
  Results results;
  results.reserve(top.size());
  for (const kernels::TopK::Entry& entry : top.TakeSorted()) {
    results.push_back({entry.slot, entry.score});
  }
  return results;
}

absl::StatusOr<std::vector<ScoredSlot>> VectorSegment::Impl::SearchGraph(
    absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor,
    const VectorSearchOptions& options) const {
  const double share = EstimateShare(allowed);
  const double scanned = share * static_cast<double>(meta.count);
  const double wanted =
      static_cast<double>(std::max(k, options.ef != 0 ? options.ef : kBaseEf + kEfPerResult * k));
  // So many kept nodes hold the wanted number of allowed ones, if the filter knows nothing of the
  // query.
  const double kept = wanted / std::max(share, 1e-9);
  if (kept * kRowsPerKeptNode >= scanned)
    return Scan(query, k, allowed, floor, options.cancellation);

  const EncodedQuery encoded = rows->EncodeCoarse(query);
  const WalkTarget target = {&*rows, encoded.coarse.data(), encoded.coarse_scale,
                             options.cancellation};
  std::unique_ptr<Scratch> scratch = Borrow();
  graph->Search(target, static_cast<size_t>(kept), &scratch->walk);
  if (absl::Status s = CheckCancellation(options.cancellation); !s.ok()) {
    Return(std::move(scratch));
    return s;
  }
  scratch->candidates.clear();
  for (const WalkEntry& entry : scratch->walk.found()) {
    if (!allowed.Test(entry.node()) || !present.Test(entry.node())) continue;
    scratch->candidates.push_back({entry.score(), entry.node()});
  }
  // A filter that keeps away from the query, or a part of the graph that no link leads to.
  const size_t found = scratch->candidates.size();
  if (static_cast<double>(found) < wanted / 2 && found < AllowedCount(allowed)) {
    Return(std::move(scratch));
    return Scan(query, k, allowed, floor, options.cancellation);
  }
  // The bound on the encoding's error holds for the worst direction that the error may have. Its
  // part along the query is smaller by the square root of the dimension on average: four times that
  // leaves out one candidate in ten thousand that the bound would not.
  const float likely = std::min(1.0f, 4 / std::sqrt(static_cast<float>(meta.dim)));
  Results results = Rescore(query, k, floor, scratch->candidates,
                            [&](const kernels::TopK::Entry& candidate, float threshold) {
                              const float error = likely * rows->Error(encoded, candidate.slot);
                              return candidate.score + error >= threshold;
                            });
  Return(std::move(scratch));
  return results;
}

absl::StatusOr<std::vector<ScoredSlot>> VectorSegment::Impl::SearchLists(
    absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor,
    const VectorSearchOptions& options) const {
  const size_t candidates = std::max(
      k, options.ef != 0 ? options.ef : std::max(kMinPqCandidates, kPqCandidatesPerResult * k));
  const double share = EstimateShare(allowed);
  if (share * static_cast<double>(meta.count) <= 2.0 * static_cast<double>(candidates)) {
    return Scan(query, k, allowed, floor, options.cancellation);
  }
  const size_t nprobe =
      options.nprobe != 0 ? options.nprobe : std::max(kMinProbes, lists->lists() / kListShare);
  SlotSet wanted = allowed;
  wanted.IntersectWith(present);
  const std::vector<kernels::TopK::Entry> found =
      lists->Search(query, candidates, nprobe, candidates, wanted, options.cancellation);
  if (absl::Status s = CheckCancellation(options.cancellation); !s.ok()) return s;
  return Rescore(query, k, floor, found, [](const kernels::TopK::Entry&, float) { return true; });
}

absl::Status VectorSegment::Impl::CheckRow(Slot slot) const {
  const absl::Span<const float> vector(ExactRow(slot), meta.dim);
  const size_t row_bytes = EncodedRowBytes(meta.dim, encoding);
  if (!present.Test(slot)) {
    const auto zero = [](const auto& x) { return x == std::remove_reference_t<decltype(x)>{}; };
    if (!std::all_of(vector.begin(), vector.end(), zero))
      return DamagedVectors("vector of no chunk");
    return absl::OkStatus();
  }
  if (absl::Status s = CheckUnitVector(vector, meta.dim); !s.ok()) {
    return DamagedVectors(absl::StrCat("slot ", slot, ": ", s.message()));
  }
  if (encoding == VectorEncoding::kFloat32) return absl::OkStatus();
  std::vector<std::byte> row(row_bytes);
  const RowMeasures measures = EncodeRow(vector, encoding, row.data());
  if (std::memcmp(row.data(), rows->Row(slot), row_bytes) != 0 ||
      measures.scale != rows->Scale(slot) || measures.norm != storage.norms[slot] ||
      measures.error != storage.errors[slot]) {
    return DamagedVectors(absl::StrCat("slot ", slot, ": the code is that of another vector"));
  }
  return absl::OkStatus();
}

VectorSegment::VectorSegment(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
VectorSegment::~VectorSegment() = default;

absl::StatusOr<std::unique_ptr<VectorSegment>> VectorSegment::Open(
    std::shared_ptr<const SectionFile> file, uint64_t slots, size_t dim) {
  auto impl = std::make_unique<Impl>();
  impl->file = std::move(file);
  if (absl::Status s = impl->Open(slots, dim); !s.ok()) return s;
  return std::unique_ptr<VectorSegment>(new VectorSegment(std::move(impl)));
}

absl::StatusOr<std::vector<ScoredSlot>> VectorSegment::Search(
    absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor,
    const VectorSearchOptions& options) const {
  assert(allowed.size() == impl_->meta.slots);
  if (absl::Status s = CheckUnitVector(query, impl_->meta.dim); !s.ok()) return s;
  k = std::min<size_t>(k, impl_->meta.count);
  if (k == 0) return std::vector<ScoredSlot>();
  if (!options.exact && impl_->graph.has_value()) {
    return impl_->SearchGraph(query, k, allowed, floor, options);
  }
  if (!options.exact && impl_->lists.has_value()) {
    return impl_->SearchLists(query, k, allowed, floor, options);
  }
  return impl_->Scan(query, k, allowed, floor, options.cancellation);
}

const float* VectorSegment::Exact(Slot slot) const {
  return impl_->present.Test(slot) ? impl_->ExactRow(slot) : nullptr;
}

absl::Status VectorSegment::Check() const {
  for (Slot slot = 0; slot < impl_->meta.slots; ++slot) {
    if (absl::Status s = impl_->CheckRow(slot); !s.ok()) return s;
  }
  if (impl_->graph.has_value()) return impl_->graph->Check(impl_->present);
  if (impl_->lists.has_value()) return impl_->lists->Check(impl_->present);
  return absl::OkStatus();
}

VectorIndexKind VectorSegment::kind() const {
  return static_cast<VectorIndexKind>(impl_->meta.kind);
}
VectorEncoding VectorSegment::encoding() const { return impl_->encoding; }
uint64_t VectorSegment::count() const { return impl_->meta.count; }

}  // namespace cairn::index
