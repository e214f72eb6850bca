#include "engine/ingest.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/readers/file_tree.h"
#include "chunking/readers/reader.h"
#include "chunking/text/normalize.h"
#include "engine/ingest_pipeline.h"

namespace cairn::engine {
namespace {

absl::StatusOr<chunking::Format> ParseFormat(const std::string& name) {
  if (name == "auto") return chunking::Format::kAuto;
  if (name == "text") return chunking::Format::kText;
  if (name == "markdown") return chunking::Format::kMarkdown;
  if (name == "html") return chunking::Format::kHtml;
  if (name == "jsonl") return chunking::Format::kJsonl;
  if (name == "trec") return chunking::Format::kTrec;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown format \"", name, "\": use auto, text, markdown, html, jsonl or trec"));
}

// Hands what a reader finds to the pipeline.
class PipelineHandler : public chunking::DocumentHandler {
 public:
  explicit PipelineHandler(IngestPipeline* pipeline) : pipeline_(pipeline) {}

  absl::Status OnDocument(chunking::Document document) override {
    return pipeline_->Submit(std::move(document));
  }
  absl::Status OnIssue(const chunking::ReadIssue& issue) override {
    return pipeline_->Report({issue.source, issue.line, issue.reason});
  }

 private:
  IngestPipeline* const pipeline_;
};

// Counts what passes through, for progress.
class CountingSource : public chunking::ByteSource {
 public:
  CountingSource(std::unique_ptr<chunking::ByteSource> source, IngestPipeline* pipeline,
                 uint64_t total, uint64_t* read)
      : source_(std::move(source)), pipeline_(pipeline), total_(total), read_(read) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    absl::StatusOr<size_t> n = source_->Read(buffer);
    if (n.ok()) {
      *read_ += *n;
      pipeline_->SetBytes(*read_, total_);
    }
    return n;
  }

 private:
  const std::unique_ptr<chunking::ByteSource> source_;
  IngestPipeline* const pipeline_;
  const uint64_t total_;
  uint64_t* const read_;
};

// Sum of the sizes of all files, to tell how far an ingestion is; 0 when it cannot be known.
uint64_t TotalBytes(absl::Span<const std::string> paths) {
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

// One ingestion's reading side.
class PathIngestion {
 public:
  PathIngestion(IngestPipeline* pipeline, const IngestOptions& options, chunking::Format format,
                uint64_t total)
      : pipeline_(pipeline),
        handler_(pipeline),
        options_(options),
        format_(format),
        total_(total) {}

  absl::Status Run(const std::string& path) {
    if (path == "-") return Read(chunking::StandardInput(), path);
    absl::Status s = chunking::WalkFiles(
        path,
        [&](const chunking::FoundFile& file) {
          absl::StatusOr<std::unique_ptr<chunking::ByteSource>> source =
              chunking::OpenFile(file.path);
          if (!source.ok()) return Skip(file.path, source.status());
          return Read(*std::move(source), file.path);
        },
        [&](const chunking::ReadIssue& issue) { return handler_.OnIssue(issue); });
    // A path that is not there is the caller's mistake, but not a reason to leave out the others.
    if (absl::IsNotFound(s)) return Skip(path, s);
    return s;
  }

 private:
  absl::Status Skip(const std::string& path, const absl::Status& why) {
    return pipeline_->Report({path, 0, std::string(why.message())});
  }

  absl::Status Read(std::unique_ptr<chunking::ByteSource> source, const std::string& name) {
    chunking::ReadOptions read;
    read.format = format_;
    read.source = name;
    read.max_document_bytes = options_.max_document_bytes;
    CountingSource counting(std::move(source), pipeline_, total_, &read_);
    return chunking::ReadDocuments(counting, read, handler_);
  }

  IngestPipeline* const pipeline_;
  PipelineHandler handler_;
  const IngestOptions& options_;
  const chunking::Format format_;
  const uint64_t total_;
  uint64_t read_ = 0;
};

// The pipeline's end: its own error comes before the reader's, which may only be its echo.
absl::StatusOr<IngestReport> Finish(IngestPipeline* pipeline, const absl::Status& reading) {
  const absl::Status writing = pipeline->Finish();
  if (!writing.ok()) return writing;
  if (!reading.ok()) return reading;
  return pipeline->report();
}

}  // namespace

absl::StatusOr<IngestReport> IngestPaths(index::Collection* collection,
                                         const Preparation& preparation,
                                         absl::Span<const std::string> paths,
                                         const IngestOptions& options) {
  absl::StatusOr<chunking::Format> format = ParseFormat(options.format);
  if (!format.ok()) return format.status();
  IngestPipeline pipeline(collection, &preparation, &options);
  PathIngestion ingestion(&pipeline, options, *format, options.on_progress ? TotalBytes(paths) : 0);
  absl::Status s;
  for (const std::string& path : paths) {
    s = ingestion.Run(path);
    if (!s.ok()) break;
  }
  return Finish(&pipeline, s);
}

absl::StatusOr<IngestReport> IngestDocuments(index::Collection* collection,
                                             const Preparation& preparation,
                                             absl::Span<const InputDocument> documents,
                                             const IngestOptions& options) {
  // Sets what the caller said over what the reader found.
  class Overlay : public PipelineHandler {
   public:
    Overlay(IngestPipeline* pipeline, const InputDocument* input)
        : PipelineHandler(pipeline), input_(input) {}
    absl::Status OnDocument(chunking::Document document) override {
      document.source_uri = input_->source_uri;
      if (!input_->title.empty()) {
        absl::StatusOr<std::string> title = chunking::NormalizeText(input_->title);
        if (!title.ok()) {
          return OnIssue({input_->id, 0, absl::StrCat("title: ", title.status().message())});
        }
        document.title = *std::move(title);
      }
      for (const auto& [name, value] : input_->metadata) document.metadata[name] = value;
      return PipelineHandler::OnDocument(std::move(document));
    }

   private:
    const InputDocument* const input_;
  };

  IngestPipeline pipeline(collection, &preparation, &options);
  absl::Status s;
  for (const InputDocument& d : documents) {
    absl::StatusOr<chunking::Format> format = ParseFormat(d.format);
    if (!format.ok()) {
      s = format.status();
    } else if (d.id.empty() || *format == chunking::Format::kJsonl ||
               *format == chunking::Format::kTrec) {
      s = absl::InvalidArgumentError(
          d.id.empty() ? "a document without an id"
                       : absl::StrCat("document ", d.id, ": format ", d.format,
                                      " holds several documents: ingest it as a file"));
    } else {
      chunking::ReadOptions read;
      read.format = *format;
      read.source = d.source_uri.empty() ? d.id : d.source_uri;
      read.document_id = d.id;
      read.max_document_bytes = options.max_document_bytes;
      Overlay handler(&pipeline, &d);
      s = chunking::ReadDocuments(*chunking::FromMemory(d.text), read, handler);
    }
    if (!s.ok()) break;
  }
  return Finish(&pipeline, s);
}

}  // namespace cairn::engine
