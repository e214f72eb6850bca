#include "index/segment/segment.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

// Filters remembered by a segment.
constexpr size_t kKeptFilters = 8;
// Sets of metadata that a filter looks at between two looks at the cancellation.
constexpr size_t kMetadataBetweenLooks = 1024;

absl::Status Contradictory(const char* what) {
  return absl::DataLossError(absl::StrCat("a segment that contradicts itself: ", what));
}

// Whether `values` ascends, from `first` to `last`.
template <typename T>
bool Spans(absl::Span<const T> values, T first, T last) {
  return !values.empty() && values.front() == first && values.back() == last &&
         std::is_sorted(values.begin(), values.end());
}

}  // namespace

absl::StatusOr<std::shared_ptr<Segment>> Segment::Open(const std::string& path,
                                                       CollectionId collection, size_t dim,
                                                       const SegmentRow& row,
                                                       const WorkControl& control) {
  absl::StatusOr<std::shared_ptr<const SectionFile>> file =
      SectionFile::Open(path, row.digest, control);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::shared_ptr<Segment>> segment =
      FromFile(*std::move(file), collection, dim, row);
  if (!segment.ok()) {
    return absl::Status(segment.status().code(),
                        absl::StrCat(path, ": ", segment.status().message()));
  }
  return segment;
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::FromFile(std::shared_ptr<const SectionFile> file,
                                                           CollectionId collection, size_t dim,
                                                           const SegmentRow& row) {
  std::shared_ptr<Segment> segment(new Segment(row, std::move(file)));
  if (absl::Status s = segment->OpenSections(collection, dim); !s.ok()) return s;
  return segment;
}

absl::Status Segment::OpenSections(CollectionId collection, size_t dim) {
  absl::StatusOr<absl::Span<const SegmentMeta>> metas = file_->Get<SegmentMeta>(Section::kMeta, 1);
  if (!metas.ok()) return metas.status();
  const SegmentMeta& meta = metas->front();
  if (meta.collection != collection || meta.dim != dim || meta.begin != row_.begin ||
      meta.end != row_.end || meta.slots != row_.slots || meta.slots >= UINT32_MAX ||
      meta.documents > meta.slots) {
    return absl::DataLossError("a segment that is not the one the manifest names");
  }
  if (absl::Status s = OpenDocuments(meta); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<LexicalSegment>> lexical = LexicalSegment::Open(file_, meta.slots);
  if (!lexical.ok()) return lexical.status();
  lexical_ = *std::move(lexical);
  absl::StatusOr<std::unique_ptr<VectorSegment>> vectors =
      VectorSegment::Open(file_, meta.slots, dim);
  if (!vectors.ok()) return vectors.status();
  vectors_ = *std::move(vectors);
  for (size_t d = 0; d < meta.documents; ++d) AddLive(first_slots_[d + 1] - first_slots_[d], 0);
  AddLiveLength(meta.length);
  return absl::OkStatus();
}

absl::Status Segment::OpenDocuments(const SegmentMeta& meta) {
  const auto chunks = file_->Get<uint64_t>(Section::kDocumentChunks, meta.documents);
  if (!chunks.ok()) return chunks.status();
  const auto slots = file_->Get<uint32_t>(Section::kDocumentSlots, meta.documents + 1);
  if (!slots.ok()) return slots.status();
  const auto metadata_of = file_->Get<uint32_t>(Section::kDocumentMetadata, meta.documents);
  if (!metadata_of.ok()) return metadata_of.status();
  const auto ids = file_->Get<uint64_t>(Section::kDocumentIds, meta.documents + 1);
  if (!ids.ok()) return ids.status();
  const auto id_bytes = file_->Bytes(Section::kDocumentIdBytes);
  if (!id_bytes.ok()) return id_bytes.status();
  const auto metadata = file_->Get<uint64_t>(Section::kMetadata);
  if (!metadata.ok()) return metadata.status();
  const auto metadata_bytes = file_->Bytes(Section::kMetadataBytes);
  if (!metadata_bytes.ok()) return metadata_bytes.status();
  first_chunks_ = *chunks;
  first_slots_ = *slots;
  metadata_of_ = *metadata_of;
  id_offsets_ = *ids;
  id_bytes_ = *id_bytes;
  metadata_offsets_ = *metadata;
  metadata_bytes_ = *metadata_bytes;

  if (!Spans<uint32_t>(first_slots_, 0, static_cast<uint32_t>(meta.slots)) ||
      !Spans<uint64_t>(id_offsets_, 0, id_bytes_.size()) ||
      !Spans<uint64_t>(metadata_offsets_, 0, metadata_bytes_.size())) {
    return Contradictory("offsets");
  }
  ChunkId next = meta.begin;
  for (size_t d = 0; d < meta.documents; ++d) {
    const uint32_t count = first_slots_[d + 1] - first_slots_[d];
    if (count == 0 || first_chunks_[d] < next || first_chunks_[d] >= meta.end ||
        count > meta.end - first_chunks_[d] || metadata_of_[d] + 1 >= metadata_offsets_.size()) {
      return Contradictory("documents");
    }
    next = first_chunks_[d] + count;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ScoredSlot>> Segment::SearchVectors(
    absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor, bool exact,
    ExactVectorSource, const Cancellation* cancellation) const {
  VectorSearchOptions options;
  options.exact = exact;
  options.cancellation = cancellation;
  return vectors_->Search(query, k, allowed, floor, options);
}

absl::StatusOr<SlotSet> Segment::Evaluate(const Filter& filter,
                                          const Cancellation* cancellation) const {
  std::vector<bool> matches(metadata_offsets_.size() - 1);
  for (size_t i = 0; i < matches.size(); ++i) {
    if (i % kMetadataBetweenLooks == 0) {
      if (absl::Status s = CheckCancellation(cancellation); !s.ok()) return s;
    }
    absl::StatusOr<chunking::Metadata> metadata = DecodeMetadata(DistinctMetadata(i));
    if (!metadata.ok()) return metadata.status();
    matches[i] = filter.Matches(*metadata);
  }
  SlotSet set(slots());
  for (size_t d = 0; d < documents(); ++d) {
    if (!matches[metadata_of_[d]]) continue;
    for (Slot slot = first_slots_[d]; slot < first_slots_[d + 1]; ++slot) set.Set(slot);
  }
  return set;
}

absl::StatusOr<SlotSet> Segment::Matching(const Filter& filter,
                                          const Cancellation* cancellation) const {
  const std::string key = filter.ToString();
  std::shared_ptr<const SlotSet> matching;
  {
    absl::MutexLock lock(&filters_mutex_);
    const auto it = std::find_if(filters_.begin(), filters_.end(),
                                 [&](const auto& known) { return known.first == key; });
    if (it != filters_.end()) {
      std::rotate(it, it + 1, filters_.end());
      matching = filters_.back().second;
    }
  }
  if (matching == nullptr) {
    absl::StatusOr<SlotSet> evaluated = Evaluate(filter, cancellation);
    if (!evaluated.ok()) return evaluated.status();
    matching = std::make_shared<const SlotSet>(*std::move(evaluated));
    absl::MutexLock lock(&filters_mutex_);
    if (filters_.size() == kKeptFilters) filters_.erase(filters_.begin());
    filters_.emplace_back(key, matching);
  }
  SlotSet set = *matching;
  set.IntersectWith(live());
  return set;
}

size_t Segment::MemoryBytes() const {
  size_t bytes = Part::MemoryBytes();
  absl::MutexLock lock(&filters_mutex_);
  for (const auto& [key, set] : filters_) bytes += key.size() + set->words().size() * 8;
  return bytes;
}

absl::Status Segment::Check() const {
  for (size_t i = 0; i + 1 < metadata_offsets_.size(); ++i) {
    if (absl::Status s = DecodeMetadata(DistinctMetadata(i)).status(); !s.ok()) return s;
  }
  if (absl::Status s = lexical_->Check(); !s.ok()) return s;
  const absl::Span<const uint32_t> all = lengths();
  const uint64_t total = std::accumulate(all.begin(), all.end(), uint64_t{0});
  absl::StatusOr<absl::Span<const SegmentMeta>> meta = file_->Get<SegmentMeta>(Section::kMeta, 1);
  if (!meta.ok()) return meta.status();
  if (total != meta->front().length) return Contradictory("lengths");
  return vectors_->Check();
}

}  // namespace cairn::index
