#include "services/client/path_documents.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/encoding.h"
#include "chunking/readers/file_tree.h"
#include "chunking/readers/format.h"
#include "chunking/readers/reader.h"
#include "chunking/readers/text_checks.h"
#include "engine/document_checks.h"

namespace cairn::services {
namespace {

using chunking::Format;

struct NamedFormat {
  std::string_view name;
  Format format;
};
constexpr NamedFormat kInputFormats[] = {{"auto", Format::kAuto},         {"text", Format::kText},
                                         {"markdown", Format::kMarkdown}, {"html", Format::kHtml},
                                         {"jsonl", Format::kJsonl},       {"trec", Format::kTrec}};

bool HoldsRecords(Format format) { return format == Format::kJsonl || format == Format::kTrec; }

// The name of one that is a document by itself.
std::string NameOf(Format format) {
  for (const NamedFormat& known : kInputFormats) {
    if (known.format == format) return std::string(known.name);
  }
  return "text";
}

// A source that counts what passes and, where asked to, keeps it. The first bytes were read
// already.
class KeptSource : public chunking::ByteSource {
 public:
  KeptSource(std::string head, chunking::ByteSource* rest, std::string* kept)
      : head_(std::move(head)), rest_(rest), kept_(kept) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    absl::StatusOr<size_t> n = ReadNext(buffer);
    if (n.ok() && kept_ != nullptr) kept_->append(buffer.data(), *n);
    return n;
  }

 private:
  absl::StatusOr<size_t> ReadNext(absl::Span<char> buffer) {
    if (at_ == head_.size()) return rest_->Read(buffer);
    const size_t n = std::min(buffer.size(), head_.size() - at_);
    std::copy_n(head_.data() + at_, n, buffer.data());
    at_ += n;
    return n;
  }

  const std::string head_;
  size_t at_ = 0;
  chunking::ByteSource* const rest_;
  std::string* const kept_;
};

// What a file's bytes are in UTF-8.
absl::StatusOr<std::string> DecodeFile(std::string_view bytes, Format format) {
  const bool has_mark = chunking::FindBom(bytes) != chunking::Bom::kNone;
  std::string storage;
  absl::Status s = chunking::DecodeBom(&bytes, &storage);
  const bool html = format == Format::kHtml;
  if (s.ok() && html && !has_mark) s = chunking::DecodeHtml(&bytes, &storage);
  if (!s.ok()) return s;
  // With its mark, so that it is UTF-8 whatever the page says of itself.
  return absl::StrCat(chunking::AbslView(html ? chunking::kUtf8Bom : std::string_view()),
                      chunking::AbslView(bytes));
}

// Where a document was read: the readers write "source#Lline" for a record of a file.
IngestIssue PlaceOf(const chunking::Document& document) {
  IngestIssue place;
  place.source = document.source_uri.empty() ? document.id : document.source_uri;
  const size_t mark = place.source.rfind("#L");
  if (mark != std::string::npos && absl::SimpleAtoi(place.source.substr(mark + 2), &place.line)) {
    place.source.resize(mark);
  }
  if (!chunking::IsUtf8(place.source)) place.source = absl::CHexEscape(place.source);
  return place;
}

class PathReader : public chunking::DocumentHandler {
 public:
  PathReader(const IngestOptions& options, Format format, PathDocumentSink* sink)
      : options_(options), format_(format), sink_(sink) {}

  absl::Status ReadPath(const std::string& path) {
    if (path == "-") {
      return SkipUnlessStopped(path, Read(*chunking::StandardInput(), path));
    }
    const absl::Status s = chunking::WalkFiles(
        path,
        [&](const chunking::FoundFile& file) {
          absl::StatusOr<std::unique_ptr<chunking::ByteSource>> source =
              chunking::OpenFile(file.path);
          return SkipUnlessStopped(file.path,
                                   source.ok() ? Read(**source, file.path) : source.status());
        },
        [&](const chunking::ReadIssue& issue) { return OnIssue(issue); });
    return SkipUnlessStopped(path, s);
  }

  absl::Status OnDocument(chunking::Document document) override {
    const IngestIssue place = PlaceOf(document);
    InputDocument out;
    out.metadata = document.metadata;
    for (const auto& [name, value] : options_.metadata) document.metadata[name] = value;
    if (absl::Status s = engine::CheckDocument(document); !s.ok()) {
      return Refuse(place, std::string(s.message()));
    }
    out.id = std::move(document.id);
    out.title = std::move(document.title);
    out.source_uri = std::move(document.source_uri);
    if (records_) {
      out.text = std::move(document.text);
    } else {
      absl::StatusOr<std::string> text = DecodeFile(bytes_, file_format_);
      if (!text.ok()) return Refuse(place, std::string(text.status().message()));
      out.text = *std::move(text);
      out.format = NameOf(file_format_);
    }
    // Another encoding may have been shorter.
    if (out.text.size() > options_.max_document_bytes + chunking::kUtf8Bom.size()) {
      return Refuse(place, absl::StrCat("larger than ", options_.max_document_bytes, " bytes"));
    }
    return Keep(sink_->OnDocument(std::move(out), place));
  }

  absl::Status OnIssue(const chunking::ReadIssue& issue) override {
    return Keep(sink_->OnIssue({issue.source, issue.line, issue.reason}));
  }

 private:
  // Counts for all files together.
  class CountingSource : public chunking::ByteSource {
   public:
    CountingSource(chunking::ByteSource* source, PathReader* reader)
        : source_(source), reader_(reader) {}

    absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
      absl::StatusOr<size_t> n = source_->Read(buffer);
      if (n.ok()) reader_->sink_->OnBytes(reader_->read_ += *n);
      return n;
    }

   private:
    chunking::ByteSource* const source_;
    PathReader* const reader_;
  };

  absl::Status Keep(absl::Status status) {
    stopped_ = stopped_ || !status.ok();
    return status;
  }

  absl::Status Refuse(IngestIssue place, std::string reason) {
    place.reason = std::move(reason);
    return Keep(sink_->OnIssue(std::move(place)));
  }

  // A path that is not there, or a file that fails while it is read, is no reason to leave out the
  // others.
  absl::Status SkipUnlessStopped(const std::string& path, const absl::Status& s) {
    if (s.ok() || stopped_) return s;
    return OnIssue({path, 0, std::string(s.message())});
  }

  absl::Status Read(chunking::ByteSource& source, const std::string& name) {
    CountingSource counting(&source, this);
    std::string head(chunking::kFormatHead, '\0');
    size_t size = 0;
    while (size < head.size()) {
      absl::StatusOr<size_t> n =
          counting.Read(absl::MakeSpan(head.data() + size, head.size() - size));
      if (!n.ok()) return n.status();
      if (*n == 0) break;
      size += *n;
    }
    head.resize(size);
    file_format_ = format_ == Format::kAuto ? chunking::DetectFormat(name, head) : format_;
    records_ = HoldsRecords(file_format_);
    bytes_.clear();
    chunking::ReadOptions read;
    read.format = format_;
    read.source = name;
    read.max_document_bytes = options_.max_document_bytes;
    KeptSource kept(std::move(head), &counting, records_ ? nullptr : &bytes_);
    return chunking::ReadDocuments(kept, read, *this);
  }

  const IngestOptions& options_;
  const Format format_;
  PathDocumentSink* const sink_;
  bool stopped_ = false;  // By the sink: not the input's fault.
  uint64_t read_ = 0;
  // Of the file being read:
  Format file_format_ = Format::kText;
  bool records_ = false;
  std::string bytes_;  // Where it is one document.
};

}  // namespace

absl::Status ReadPathDocuments(absl::Span<const std::string> paths, const IngestOptions& options,
                               PathDocumentSink* sink) {
  const auto* const format =
      std::find_if(std::begin(kInputFormats), std::end(kInputFormats),
                   [&](const NamedFormat& known) { return known.name == options.format; });
  if (format == std::end(kInputFormats)) {
    return absl::InvalidArgumentError(absl::StrCat("unknown format \"", options.format, "\""));
  }
  PathReader reader(options, format->format, sink);
  for (const std::string& path : paths) {
    if (absl::Status s = reader.ReadPath(path); !s.ok()) return s;
  }
  return absl::OkStatus();
}

uint64_t TotalPathBytes(absl::Span<const std::string> paths) {
  uint64_t total = 0;
  for (const std::string& path : paths) {
    if (path == "-") return 0;
    chunking::WalkFiles(
        path,
        [&](const chunking::FoundFile& file) {
          total += file.bytes;
          return absl::OkStatus();
        },
        [](const chunking::ReadIssue&) { return absl::OkStatus(); })
        .IgnoreError();
  }
  return total;
}

}  // namespace cairn::services
