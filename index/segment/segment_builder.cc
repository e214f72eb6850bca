#include "index/segment/segment_builder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "index/collection_rows.h"
#include "index/segment/lexical_writer.h"
#include "index/segment/segment.h"

namespace cairn::index {
namespace {

// Share of a build that is done when all postings are written.
constexpr double kVectorsBegin = 0.1;
// Terms written between two looks at the control.
constexpr size_t kTermsPerCheck = 4096;

// One build. The new slots are the inputs' live slots in order.
class Builder {
 public:
  Builder(CollectionId collection, size_t dim, absl::Span<const SegmentBuildInput> inputs,
          const RowStore& store, const RowSnapshot* snapshot, const SegmentBuildOptions& options,
          const WorkControl& control, SectionWriter* out)
      : collection_(collection),
        dim_(dim),
        inputs_(inputs),
        store_(store),
        snapshot_(snapshot),
        options_(options),
        control_(control),
        out_(out) {}

  // Leaves out->status() to be looked at.
  absl::Status Run();
  SegmentRow row() const { return row_; }

 private:
  // Where a new slot's chunk comes from.
  struct Source {
    size_t input = 0;
    Slot slot = 0;
  };
  class Vectors;

  void MapSlots();
  void WriteDocuments();
  absl::Status WritePostings();

  const CollectionId collection_;
  const size_t dim_;
  const absl::Span<const SegmentBuildInput> inputs_;
  const RowStore& store_;
  const RowSnapshot* const snapshot_;
  const SegmentBuildOptions& options_;
  const WorkControl control_;
  SectionWriter* const out_;

  std::vector<std::vector<Slot>> new_slots_;  // By input and old slot; kNoSlot: dead.
  std::vector<Source> sources_;               // By new slot.
  std::vector<uint32_t> lengths_;             // By new slot.
  uint64_t total_length_ = 0;
  SegmentRow row_;
};

// Full vectors of the new slots: from the input itself, or from rows.
class Builder::Vectors : public VectorSource {
 public:
  explicit Vectors(const Builder& builder)
      : builder_(builder), rows_(&builder.store_, builder.collection_, builder.snapshot_) {}

  absl::Status Read(Slot begin, size_t count, absl::Span<float> out,
                    absl::Span<uint8_t> present) override {
    const size_t dim = builder_.dim_;
    chunks_.clear();
    positions_.clear();
    for (size_t i = 0; i < count; ++i) {
      const Source source = builder_.sources_[begin + i];
      const Part& part = *builder_.inputs_[source.input].part;
      if (!part.has_exact_vectors()) {
        chunks_.push_back(part.SlotChunk(source.slot));
        positions_.push_back(i);
        continue;
      }
      const float* const vector = part.ExactVector(source.slot);
      present[i] = vector != nullptr;
      if (vector != nullptr) std::copy(vector, vector + dim, out.data() + i * dim);
    }
    if (chunks_.empty()) return absl::OkStatus();
    values_.resize(chunks_.size() * dim);
    if (absl::Status s = rows_.GetVectors(chunks_, absl::MakeSpan(values_)); !s.ok()) return s;
    for (size_t i = 0; i < chunks_.size(); ++i) {
      const float* const vector = values_.data() + i * dim;
      // No row: a chunk without a known token, or one deleted meanwhile.
      const bool found = dim > 0 && !std::isnan(vector[0]);
      present[positions_[i]] = found;
      if (found) std::copy(vector, vector + dim, out.data() + positions_[i] * dim);
    }
    return absl::OkStatus();
  }

 private:
  const Builder& builder_;
  const CollectionRows rows_;
  std::vector<ChunkId> chunks_;
  std::vector<size_t> positions_;
  std::vector<float> values_;
};

absl::Status Builder::Run() {
  MapSlots();
  WriteDocuments();
  if (absl::Status s = WritePostings(); !s.ok()) return s;
  Vectors vectors(*this);
  return WriteVectors(sources_.size(), dim_, &vectors, options_.vectors,
                      control_.Part(kVectorsBegin, 1), out_);
}

void Builder::MapSlots() {
  new_slots_.resize(inputs_.size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const SegmentBuildInput& input = inputs_[i];
    const absl::Span<const uint32_t> lengths = input.part->lengths();
    new_slots_[i].assign(input.live.size(), kNoSlot);
    for (Slot slot = 0; slot < input.live.size(); ++slot) {
      if (!input.live.Test(slot)) continue;
      new_slots_[i][slot] = static_cast<Slot>(sources_.size());
      sources_.push_back({i, slot});
      lengths_.push_back(lengths[slot]);
      total_length_ += lengths[slot];
    }
  }
  row_.begin = inputs_.front().part->begin();
  row_.end = inputs_.back().part->end();
  row_.slots = sources_.size();
}

void Builder::WriteDocuments() {
  std::vector<uint64_t> first_chunks, id_offsets, metadata_offsets = {0};
  std::vector<uint32_t> first_slots, metadata_of;
  std::string id_bytes, metadata_bytes;
  absl::flat_hash_map<std::string, uint32_t> distinct;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Part& part = *inputs_[i].part;
    for (size_t d = 0; d < part.documents(); ++d) {
      const Part::Document document = part.document(d);
      // A document lives and dies as a whole.
      if (document.chunks == 0 || new_slots_[i][document.first_slot] == kNoSlot) continue;
      first_chunks.push_back(document.first_chunk);
      first_slots.push_back(new_slots_[i][document.first_slot]);
      id_offsets.push_back(id_bytes.size());
      id_bytes.append(document.id);
      const std::string metadata(part.metadata(d));
      const auto [it, inserted] =
          distinct.try_emplace(metadata, static_cast<uint32_t>(distinct.size()));
      if (inserted) {
        metadata_bytes.append(metadata);
        metadata_offsets.push_back(metadata_bytes.size());
      }
      metadata_of.push_back(it->second);
    }
  }
  first_slots.push_back(static_cast<uint32_t>(sources_.size()));
  id_offsets.push_back(id_bytes.size());

  const SegmentMeta meta = {collection_,     static_cast<uint32_t>(dim_), row_.begin,   row_.end,
                            sources_.size(), first_chunks.size(),         total_length_};
  out_->Put(Section::kMeta, absl::MakeConstSpan(&meta, 1));
  out_->Put(Section::kDocumentChunks, absl::MakeConstSpan(first_chunks));
  out_->Put(Section::kDocumentSlots, absl::MakeConstSpan(first_slots));
  out_->Put(Section::kDocumentMetadata, absl::MakeConstSpan(metadata_of));
  out_->Put(Section::kDocumentIds, absl::MakeConstSpan(id_offsets));
  out_->Put(Section::kDocumentIdBytes, absl::MakeConstSpan(id_bytes));
  out_->Put(Section::kMetadata, absl::MakeConstSpan(metadata_offsets));
  out_->Put(Section::kMetadataBytes, absl::MakeConstSpan(metadata_bytes));
}

absl::Status Builder::WritePostings() {
  const float average_length =
      sources_.empty() ? 1.0f : static_cast<float>(total_length_) / sources_.size();
  LexicalWriter writer(out_, lengths_, average_length);
  // The union of the inputs' terms, in order: each input has its own position.
  std::vector<std::vector<TermId>> terms(inputs_.size());
  std::vector<size_t> at(inputs_.size(), 0);
  for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i].part->postings().AppendTerms(&terms[i]);
  std::vector<Posting> postings, merged;
  for (size_t written = 0;; ++written) {
    if (written % kTermsPerCheck == 0 && control_.stopped()) return control_.Check();
    bool any = false;
    TermId next = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (at[i] == terms[i].size()) continue;
      if (!any || terms[i][at[i]] < next) next = terms[i][at[i]];
      any = true;
    }
    if (!any) break;
    merged.clear();
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (at[i] == terms[i].size() || terms[i][at[i]] != next) continue;
      ++at[i];
      inputs_[i].part->postings().Decode(next, &postings);
      for (const Posting& p : postings) {
        const Slot slot = new_slots_[i][p.slot];
        if (slot != kNoSlot) merged.push_back({slot, p.count});
      }
    }
    if (!merged.empty()) writer.Add(next, merged);
  }
  return writer.Finish();
}

}  // namespace

absl::StatusOr<SegmentRow> BuildSegment(const std::string& path, CollectionId collection,
                                        size_t dim, absl::Span<const SegmentBuildInput> inputs,
                                        const RowStore& store, const RowSnapshot* snapshot,
                                        const SegmentBuildOptions& options,
                                        const WorkControl& control) {
  absl::StatusOr<std::unique_ptr<SectionWriter>> out = SectionWriter::Create(path, options.limiter);
  if (!out.ok()) return out.status();
  Builder builder(collection, dim, inputs, store, snapshot, options, control, out->get());
  if (absl::Status s = builder.Run(); !s.ok()) return s;
  absl::StatusOr<FileDigest> digest = (*out)->Finish();
  if (!digest.ok()) return digest.status();
  SegmentRow row = builder.row();
  row.digest = *digest;
  return row;
}

}  // namespace cairn::index
