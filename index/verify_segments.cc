#include "index/verify_segments.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/row_codec.h"
#include "index/segment/segment.h"

namespace cairn::index {
namespace {

using ProblemSink = absl::FunctionRef<void(const std::string&)>;

// A term and its count as one well-mixed number (SplitMix64's finaliser): a chunk's postings, in
// whatever order they are met, have the sum of theirs.
uint64_t PostingHash(TermId term, uint32_t count) {
  uint64_t x = (uint64_t{term} << 32 | count) + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class SegmentVerifier {
 public:
  SegmentVerifier(const RowStore& store, const RowSnapshot& snapshot,
                  const CollectionRow& collection, const Segment& segment,
                  const WorkControl& control, ProblemSink on_problem)
      : store_(store),
        snapshot_(snapshot),
        collection_(collection),
        segment_(segment),
        control_(control),
        on_problem_(on_problem),
        known_(segment.slots(), false),
        hashes_(segment.slots(), 0) {}

  void Run(absl::Span<const SegmentDocument> documents) {
    Documents(documents);
    HashPostings();
    Chunks(Family::kForward, true);
    Chunks(Family::kTombstones, false);
    for (Slot slot = 0; slot < segment_.slots(); ++slot) {
      if (!known_[slot]) {
        Problem(absl::StrCat("chunk ", segment_.SlotChunk(slot), ", which has no rows"));
      }
    }
    Vectors();
  }

 private:
  void Problem(const std::string& what) {
    on_problem_(absl::StrCat("segment ", segment_.row().file, ": ", what));
  }

  template <typename OnRow>
  void Scan(Family family, OnRow on_row) {
    const absl::Status s = store_.Scan(family, ChunkKey(collection_.id, segment_.begin()),
                                       ChunkKey(collection_.id, segment_.end()), &snapshot_,
                                       [&](std::string_view key, std::string_view value) {
                                         if (control_.stopped()) return control_.Check();
                                         absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
                                         // Damage of rows is reported where rows are checked.
                                         if (chunk.ok()) on_row(*chunk, key, value);
                                         return absl::OkStatus();
                                       });
    if (!s.ok() && !control_.stopped()) {
      Problem(absl::StrCat("its rows cannot all be read: ", s.message()));
    }
  }

  void Documents(absl::Span<const SegmentDocument> documents) {
    for (const SegmentDocument& d : documents) {
      if (d.chunks == 0 || d.first_chunk < segment_.begin() || d.first_chunk >= segment_.end()) {
        continue;
      }
      const std::optional<size_t> i = segment_.FindDocument(d.first_chunk);
      if (!i.has_value()) {
        Problem(absl::StrCat("document ", d.id, " is missing"));
      } else if (segment_.document(*i).id != d.id || segment_.document(*i).chunks != d.chunks ||
                 Hash128(segment_.metadata(*i)) != d.metadata_hash) {
        Problem(absl::StrCat("document ", d.id, " is another there"));
      }
    }
  }

  void HashPostings() {
    std::vector<TermId> terms;
    std::vector<Posting> postings;
    segment_.postings().AppendTerms(&terms);
    for (TermId term : terms) {
      if (control_.stopped()) return;
      segment_.postings().Decode(term, &postings);
      for (const Posting& p : postings) hashes_[p.slot] += PostingHash(term, p.count);
    }
  }

  void Chunks(Family family, bool live) {
    ForwardRow row;
    Scan(family, [&](ChunkId chunk, std::string_view key, std::string_view value) {
      if (!DecodeForward(key, value, &row).ok()) return;
      const std::optional<Slot> slot = segment_.FindSlot(chunk);
      if (!slot.has_value()) {
        // A tombstone may be left over from a build that was not finished.
        if (live) Problem(absl::StrCat("chunk ", chunk, " is missing"));
        return;
      }
      if (known_[*slot]) Problem(absl::StrCat("chunk ", chunk, " is live and deleted at once"));
      known_[*slot] = true;
      uint64_t hash = 0;
      for (const TermCount& t : row.terms) hash += PostingHash(t.term, t.count);
      if (hash != hashes_[*slot] || row.length != segment_.lengths()[*slot]) {
        Problem(absl::StrCat("chunk ", chunk, " has other terms there"));
      }
    });
  }

  void Vectors() {
    std::vector<float> vector(collection_.settings.dim);
    std::vector<bool> has_row(segment_.slots(), false);
    Scan(Family::kVectors, [&](ChunkId chunk, std::string_view key, std::string_view value) {
      const std::optional<Slot> slot = segment_.FindSlot(chunk);
      if (!slot.has_value() || !DecodeVector(key, value, absl::MakeSpan(vector)).ok()) return;
      has_row[*slot] = true;
      const float* const stored = segment_.ExactVector(*slot);
      if (stored == nullptr ||
          std::memcmp(stored, vector.data(), vector.size() * sizeof(float)) != 0) {
        Problem(absl::StrCat("chunk ", chunk, " has another vector there"));
      }
    });
    Scan(Family::kForward, [&](ChunkId chunk, std::string_view, std::string_view) {
      const std::optional<Slot> slot = segment_.FindSlot(chunk);
      if (slot.has_value() && !has_row[*slot] && segment_.ExactVector(*slot) != nullptr) {
        Problem(absl::StrCat("chunk ", chunk, " has a vector there and none in its rows"));
      }
    });
  }

  const RowStore& store_;
  const RowSnapshot& snapshot_;
  const CollectionRow& collection_;
  const Segment& segment_;
  const WorkControl control_;
  const ProblemSink on_problem_;
  std::vector<bool> known_;       // By slot: its rows were met.
  std::vector<uint64_t> hashes_;  // By slot: of its postings.
};

}  // namespace

std::vector<OpenedSegment> OpenSegments(const RowStore& store, const RowSnapshot& snapshot,
                                        const SegmentFiles& files, const CollectionRow& collection,
                                        const WorkControl& control) {
  const std::string key = ManifestKey(collection.id);
  std::string value;
  const absl::Status s = store.Get(Family::kDefault, key, &snapshot, &value);
  if (absl::IsNotFound(s)) return {};
  const absl::StatusOr<ManifestRow> manifest =
      s.ok() ? DecodeManifest(key, value) : absl::StatusOr<ManifestRow>(s);
  if (!manifest.ok()) {
    return {absl::Status(manifest.status().code(),
                         absl::StrCat("manifest: ", manifest.status().message()))};
  }
  std::vector<OpenedSegment> segments;
  for (const SegmentRow& row : manifest->segments) {
    if (control.stopped()) break;
    segments.push_back(Segment::Open(files.Path(collection.id, row.file), collection.id,
                                     collection.settings.dim, row, control));
  }
  return segments;
}

void VerifySegments(const RowStore& store, const RowSnapshot& snapshot,
                    const CollectionRow& collection, absl::Span<const OpenedSegment> segments,
                    bool deep, const WorkControl& control,
                    absl::Span<const SegmentDocument> documents, ProblemSink on_problem) {
  for (const OpenedSegment& segment : segments) {
    if (control.stopped()) return;
    absl::Status sound = segment.status();
    if (sound.ok() && deep) sound = (*segment)->Check();
    if (!sound.ok()) {
      on_problem(std::string(sound.message()));
    } else if (deep) {
      SegmentVerifier(store, snapshot, collection, **segment, control, on_problem).Run(documents);
    }
  }
}

}  // namespace cairn::index
