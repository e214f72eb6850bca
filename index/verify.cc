#include "index/verify.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/row_codec.h"
#include "index/rows.h"
#include "index/verify_segments.h"

namespace cairn::index {
namespace {

using ProblemSink = absl::FunctionRef<void(const std::string&)>;

constexpr uint64_t kRowsPerReport = 4096;

// What all that verify have in common: how far they are, and whether to go on.
class Watch {
 public:
  explicit Watch(const VerifyOptions& options)
      : on_progress_(options.on_progress), control_(options.cancel, nullptr) {}

  const WorkControl& control() const { return control_; }
  void Report(std::string_view stage, uint64_t done, uint64_t total) const {
    if (on_progress_) on_progress_(stage, done, total);
  }
  void CountRow() {
    if (++rows_ % kRowsPerReport == 0) Report("rows", rows_, 0);
  }
  uint64_t rows() const { return rows_; }

 private:
  const StageProgress& on_progress_;
  const WorkControl control_;
  uint64_t rows_ = 0;
};

struct ExpectedDocument {
  std::string id;
  DocumentRow row;
  std::string metadata_hash;
};

// Checks one collection, family by family.
class CollectionVerifier {
 public:
  CollectionVerifier(const RowStore& store, const RowSnapshot& snapshot, const std::string& name,
                     const CollectionRow& row, const CountersRow& counters, ProblemSink on_problem,
                     VerifyReport* report, Watch* watch)
      : store_(store),
        snapshot_(snapshot),
        name_(name),
        row_(row),
        counters_(counters),
        on_problem_(on_problem),
        report_(report),
        watch_(watch) {}

  void Run() {
    Documents();
    Chunks();
    Terms();
    Forward();
    Vectors();
  }

  void Segments(absl::Span<const OpenedSegment> segments, bool deep) {
    std::vector<SegmentDocument> documents;
    for (const ExpectedDocument& d : documents_) {
      documents.push_back({d.id, d.row.first_chunk, d.row.chunk_count, d.metadata_hash});
    }
    report_->segments += segments.size();
    VerifySegments(store_, snapshot_, row_, segments, deep, watch_->control(), documents,
                   [&](const std::string& what) { Problem(what); });
  }

 private:
  void Problem(const std::string& what) {
    ++report_->problems;
    on_problem_(absl::StrCat("collection ", name_, ": ", what));
  }

  // False, after reporting it, when the rows could not be read to their end.
  template <typename OnRow>
  bool Scan(Family family, const char* what, OnRow on_row) {
    const absl::Status s =
        store_.Scan(family, CollectionPrefix(row_.id), CollectionEnd(row_.id), &snapshot_,
                    [&](std::string_view key, std::string_view value) {
                      if (watch_->control().stopped()) return watch_->control().Check();
                      watch_->CountRow();
                      on_row(key, value);
                      return absl::OkStatus();
                    });
    if (!s.ok() && !watch_->control().stopped()) {
      Problem(absl::StrCat(what, " rows cannot all be read: ", s.message()));
    }
    return s.ok();
  }

  void Documents() {
    all_documents_ =
        Scan(Family::kDocuments, "document", [&](std::string_view key, std::string_view value) {
          ++report_->documents;
          std::string id(key.substr(CollectionPrefix(row_.id).size()));
          absl::StatusOr<DocumentRow> row = DecodeDocument(key, value);
          if (!row.ok()) {
            Problem(absl::StrCat("document ", id, ": ", row.status().message()));
            return;
          }
          if (row->first_chunk + row->chunk_count > counters_.next_chunk) {
            Problem(absl::StrCat("document ", id, ": chunk ids beyond the counter"));
          }
          std::string hash = Hash128(EncodeMetadata(row->metadata));
          row->metadata.clear();
          documents_.push_back({std::move(id), *std::move(row), std::move(hash)});
        });
    std::sort(documents_.begin(), documents_.end(),
              [](const ExpectedDocument& a, const ExpectedDocument& b) {
                return std::pair(a.row.first_chunk, a.row.chunk_count) <
                       std::pair(b.row.first_chunk, b.row.chunk_count);
              });
    ChunkId next = 0;
    for (const ExpectedDocument& d : documents_) {
      if (d.row.first_chunk < next) {
        Problem(absl::StrCat("document ", d.id, ": claims another document's chunks"));
      }
      next = std::max(next, d.row.first_chunk + d.row.chunk_count);
    }
  }

  // Scans a family keyed by chunk in step with the documents. `on_row(document index, chunk, key,
  // value)`; rows that belong to no document are reported here, and so are missing ones when every
  // chunk must have a row.
  template <typename OnRow>
  void ScanChunks(Family family, const char* what, bool every_chunk, OnRow on_row) {
    size_t d = 0;
    ChunkId expected = documents_.empty() ? 0 : documents_[0].row.first_chunk;
    // Moves on to the first expected chunk that is at least `chunk`.
    const auto advance = [&](ChunkId chunk) {
      while (d < documents_.size()) {
        const DocumentRow& row = documents_[d].row;
        const ChunkId end = row.first_chunk + row.chunk_count;
        while (expected < end && expected < chunk) {
          if (every_chunk) {
            Problem(absl::StrCat("document ", documents_[d].id, ": ", what, " of chunk ", expected,
                                 " is missing"));
          }
          ++expected;
        }
        if (expected < end) return;
        if (++d < documents_.size()) expected = documents_[d].row.first_chunk;
      }
    };
    const bool all = Scan(family, what, [&](std::string_view key, std::string_view value) {
      absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
      if (!chunk.ok()) {
        Problem(absl::StrCat(what, ": ", chunk.status().message()));
        return;
      }
      advance(*chunk);
      if (d == documents_.size() || expected != *chunk) {
        // Where documents could not be read their chunks are no fault of their own.
        if (all_documents_) {
          Problem(absl::StrCat(what, " of chunk ", *chunk, " belongs to no document"));
        }
        return;
      }
      on_row(d, *chunk, key, value);
      ++expected;
    });
    if (all) advance(~ChunkId{0});
  }

  void Chunks() {
    std::string text;  // Of the document whose chunks are being read.
    size_t current = 0;
    bool whole = true;
    uint32_t read = 0;  // Of its chunks.
    const auto finish = [&] {
      const ExpectedDocument& d = documents_[current];
      // Missing chunks are reported as such.
      whole = whole && read == d.row.chunk_count;
      read = 0;
      text += d.row.trailing;
      if (whole && (text.size() != d.row.text_bytes || Hash128(text) != d.row.text_hash)) {
        Problem(absl::StrCat("document ", d.id, ": its chunks do not spell its text"));
      }
      text.clear();
      whole = true;
      ++current;
    };
    ScanChunks(Family::kChunks, "text", true,
               [&](size_t d, ChunkId chunk, std::string_view key, std::string_view value) {
                 ++report_->chunks;
                 while (current < d) finish();
                 const ExpectedDocument& document = documents_[d];
                 ++read;
                 absl::StatusOr<ChunkRow> row = DecodeChunk(key, value);
                 if (!row.ok()) {
                   Problem(absl::StrCat("chunk ", chunk, ": ", row.status().message()));
                   whole = false;
                   return;
                 }
                 // Nothing can be said of how a chunk follows one that cannot be read.
                 if (!whole) return;
                 text += row->gap;
                 if (row->document_id != document.id ||
                     row->ordinal != chunk - document.row.first_chunk ||
                     row->span.begin > text.size() ||
                     // What a chunk repeats of its predecessor must repeat it.
                     std::string_view(text).substr(row->span.begin) !=
                         std::string_view(row->text).substr(
                             0, text.size() - std::min(text.size(), row->span.begin))) {
                   Problem(absl::StrCat("chunk ", chunk, ": does not fit document ", document.id));
                   whole = false;
                   return;
                 }
                 text.resize(row->span.begin);
                 text += row->text;
               });
    while (current < documents_.size()) finish();
  }

  void Terms() {
    const bool all =
        Scan(Family::kTerms, "term", [&](std::string_view key, std::string_view value) {
          ++report_->terms;
          ++term_count_;
          absl::StatusOr<TermId> id = DecodeTerm(key, value);
          if (!id.ok()) {
            Problem(absl::StrCat("a term: ", id.status().message()));
            return;
          }
          if (*id >= known_terms_.size()) {
            // Bounded by the number of rows: a larger id is a fault, found below.
            if (*id >= size_t{1} << 31) return;
            known_terms_.resize(*id + size_t{1}, false);
          }
          if (known_terms_[*id]) Problem(absl::StrCat("two terms with id ", *id));
          known_terms_[*id] = true;
        });
    if (all && known_terms_.size() != term_count_) Problem("the term ids are not dense");
    all_terms_ = all;
    const std::string key = TermCountKey(row_.id);
    std::string value;
    const absl::Status s = store_.Get(Family::kDefault, key, &snapshot_, &value);
    if (absl::IsNotFound(s)) return;  // As in stores of format 1.
    const absl::StatusOr<TermId> count =
        s.ok() ? DecodeTerm(key, value) : absl::StatusOr<TermId>(s);
    if (!count.ok()) {
      Problem(absl::StrCat("number of terms: ", count.status().message()));
    } else if (all && *count != term_count_) {
      Problem(absl::StrCat("there are ", term_count_, " terms where ", *count, " are expected"));
    }
  }

  void Forward() {
    ForwardRow row;
    ScanChunks(Family::kForward, "terms", true,
               [&](size_t, ChunkId chunk, std::string_view key, std::string_view value) {
                 if (absl::Status s = DecodeForward(key, value, &row); !s.ok()) {
                   Problem(absl::StrCat("terms of chunk ", chunk, ": ", s.message()));
                   return;
                 }
                 for (const TermCount& t : row.terms) {
                   if (!all_terms_) break;
                   if (t.term < known_terms_.size() && known_terms_[t.term]) continue;
                   Problem(absl::StrCat("chunk ", chunk, ": unknown term ", t.term));
                   return;
                 }
               });
  }

  void Vectors() {
    std::vector<float> vector(row_.settings.dim);
    ScanChunks(Family::kVectors, "vector", false,
               [&](size_t, ChunkId chunk, std::string_view key, std::string_view value) {
                 ++report_->vectors;
                 absl::Status s = DecodeVector(key, value, absl::MakeSpan(vector));
                 double norm2 = 0;
                 for (float x : vector) norm2 += static_cast<double>(x) * x;
                 if (s.ok() && std::abs(norm2 - 1) > 1e-3) {
                   s = absl::DataLossError("not of unit length");
                 }
                 if (!s.ok()) {
                   Problem(absl::StrCat("vector of chunk ", chunk, ": ", s.message()));
                 }
               });
  }

  const RowStore& store_;
  const RowSnapshot& snapshot_;
  const std::string& name_;
  const CollectionRow& row_;
  const CountersRow& counters_;
  const ProblemSink on_problem_;
  VerifyReport* const report_;
  Watch* const watch_;
  std::vector<ExpectedDocument> documents_;  // By first chunk.
  std::vector<bool> known_terms_;            // By term id.
  size_t term_count_ = 0;
  bool all_documents_ = true;
  bool all_terms_ = true;
};

struct VerifiedCollection {
  std::string name;
  CollectionRow row;
  bool named = true;  // False: on its way to another one's name.
};

// Those of the name `only`, or all where it is empty. The status is an error only when the rows
// cannot be read.
absl::Status ReadCollections(const RowStore& store, const RowSnapshot& snapshot,
                             const std::string& only, ProblemSink problem,
                             std::vector<VerifiedCollection>* collections) {
  const auto scan = [&](const std::string& begin, auto decode) {
    std::string end = begin;
    ++end.back();
    return store.Scan(Family::kDefault, begin, end, &snapshot,
                      [&](std::string_view key, std::string_view bytes) {
                        const std::string name(key.substr(begin.size()));
                        if (!only.empty() && name != only) return absl::OkStatus();
                        const absl::Status s = decode(name, key, bytes);
                        if (!s.ok()) {
                          problem(absl::StrCat("collection ", name, ": ", s.message()));
                        }
                        return absl::OkStatus();
                      });
  };
  absl::Status s = scan(CollectionNameKey(""),
                        [&](const std::string& name, std::string_view key, std::string_view bytes) {
                          absl::StatusOr<CollectionRow> row = DecodeCollection(key, bytes);
                          if (row.ok()) collections->push_back({name, *std::move(row), true});
                          return row.status();
                        });
  if (!s.ok()) return s;
  return scan(ReembeddingKey(""),
              [&](const std::string& name, std::string_view key, std::string_view bytes) {
                absl::StatusOr<ReembeddingRow> row = DecodeReembedding(key, bytes);
                if (row.ok())
                  collections->push_back({name + " (re-embedding)", row->collection, false});
                return row.status();
              });
}

// What was noted of `collections`. Where these are all that there are, other notes belong to
// nothing.
void VerifyNotes(const RowStore& store, const RowSnapshot& snapshot, bool all,
                 const std::vector<VerifiedCollection>& collections, ProblemSink problem) {
  const std::string begin = "notes/", end = "notes0";
  uint64_t strays = 0;
  const absl::Status s = store.Scan(
      Family::kDefault, begin, end, &snapshot, [&](std::string_view key, std::string_view bytes) {
        absl::StatusOr<CollectionId> id = CollectionOfNotesKey(key);
        const auto owner = std::find_if(
            collections.begin(), collections.end(),
            [&](const VerifiedCollection& c) { return id.ok() && c.named && c.row.id == *id; });
        if (owner == collections.end()) {
          ++strays;
        } else if (absl::Status decoded = DecodeNotes(key, bytes).status(); !decoded.ok()) {
          problem(absl::StrCat("collection ", owner->name, ": notes: ", decoded.message()));
        }
        return absl::OkStatus();
      });
  if (!s.ok()) problem(absl::StrCat("notes cannot all be read: ", s.message()));
  if (all && strays > 0) problem(absl::StrCat("notes of ", strays, " collections that are gone"));
}

void VerifyCounters(const RowStore& store, const RowSnapshot& snapshot, ProblemSink problem,
                    CountersRow* counters) {
  std::string value;
  const absl::Status s = store.Get(Family::kDefault, CountersKey(), &snapshot, &value);
  const absl::StatusOr<CountersRow> row =
      s.ok() ? DecodeCounters(CountersKey(), value) : absl::StatusOr<CountersRow>(s);
  if (row.ok()) {
    *counters = *row;
  } else {
    problem(absl::StrCat("counters: ", row.status().message()));
  }
}

// Rows outside every collection's key range belong to nothing. `collections` ascend by id.
void VerifyStrays(const RowStore& store, const RowSnapshot& snapshot,
                  const std::vector<VerifiedCollection>& collections, const WorkControl& control,
                  ProblemSink problem) {
  for (Family f : {Family::kDocuments, Family::kChunks, Family::kVectors, Family::kTerms,
                   Family::kForward, Family::kTombstones}) {
    std::string from;
    uint64_t strays = 0;
    const auto count = [&](const std::string& begin_key, const std::string& end_key) {
      absl::Status scanned =
          store.Scan(f, begin_key, end_key, &snapshot, [&](std::string_view, std::string_view) {
            ++strays;
            return control.Check();
          });
      if (!scanned.ok() && !control.stopped()) problem(std::string(scanned.message()));
    };
    for (const VerifiedCollection& c : collections) {
      count(from, CollectionPrefix(c.row.id));
      from = CollectionEnd(c.row.id);
    }
    count(from, "\xff\xff\xff\xff\xff");
    if (strays > 0) problem(absl::StrCat(strays, " rows belong to no collection"));
  }
}

// Table files, and what belongs to no collection.
void VerifyShared(const RowStore& store, const RowSnapshot& snapshot,
                  const std::vector<VerifiedCollection>& collections, const Watch& watch,
                  ProblemSink problem) {
  const uint64_t bytes = store.DiskBytes();
  const WorkControl::Progress tables = [&](double share) {
    watch.Report("tables", static_cast<uint64_t>(share * static_cast<double>(bytes)), bytes);
  };
  absl::Status s = store.VerifyFiles(watch.control().Following(&tables));
  if (!s.ok() && !absl::IsCancelled(s)) problem(std::string(s.message()));
  VerifyStrays(store, snapshot, collections, watch.control(), problem);
}

}  // namespace

absl::Status VerifyStore(const RowStore& store, const SegmentFiles& files,
                         const VerifyOptions& options, ProblemSink on_problem,
                         VerifyReport* report) {
  *report = {};
  const auto problem = [&](const std::string& what) {
    ++report->problems;
    on_problem(what);
  };
  Watch watch(options);
  const std::shared_ptr<const RowSnapshot> snapshot = store.TakeSnapshot();
  const bool all = options.collection.empty();
  if (!all) {
    std::string value;
    absl::Status s =
        store.Get(Family::kDefault, CollectionNameKey(options.collection), snapshot.get(), &value);
    if (absl::IsNotFound(s)) {
      return absl::NotFoundError(absl::StrCat("no collection \"", options.collection, "\""));
    }
  }
  CountersRow counters;
  VerifyCounters(store, *snapshot, problem, &counters);
  std::vector<VerifiedCollection> collections;
  absl::Status s = ReadCollections(store, *snapshot, options.collection, problem, &collections);
  if (!s.ok()) return s;
  std::sort(collections.begin(), collections.end(),
            [](const auto& a, const auto& b) { return a.row.id < b.row.id; });
  VerifyNotes(store, *snapshot, all, collections, problem);
  // First the segments: beside a writer in another process they may be replaced at any time.
  std::vector<std::vector<OpenedSegment>> segments;
  uint64_t opened = 0, checked = 0;
  for (const auto& [name, row, named] : collections) {
    segments.push_back(OpenSegments(store, *snapshot, files, row, watch.control()));
    opened += segments.back().size();
  }
  if (all) VerifyShared(store, *snapshot, collections, watch, problem);
  for (size_t i = 0; i < collections.size() && !watch.control().stopped(); ++i) {
    const auto& [name, row, named] = collections[i];
    VerifyReport unnamed;  // Only its problems count.
    CollectionVerifier verifier(store, *snapshot, name, row, counters, on_problem,
                                named ? report : &unnamed, &watch);
    verifier.Run();
    watch.Report("rows", watch.rows(), 0);
    verifier.Segments(segments[i], options.deep);
    watch.Report("segments", checked += segments[i].size(), opened);
    report->collections += named;
    report->problems += unnamed.problems;
  }
  return watch.control().Check();
}

}  // namespace cairn::index
