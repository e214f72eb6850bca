#include "engine/ingest.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/readers/file_tree.h"
#include "chunking/readers/reader.h"
#include "chunking/readers/text_checks.h"
#include "chunking/text/normalize.h"
#include "engine/document_checks.h"
#include "engine/ingest_pipeline.h"

namespace cairn::engine {
namespace {

constexpr int kMaxThreads = 1024;

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
    return Keep(pipeline_->Submit(std::move(document)));
  }
  absl::Status OnIssue(const chunking::ReadIssue& issue) override {
    return Keep(pipeline_->Report({issue.source, issue.line, issue.reason}));
  }

  // Whether the pipeline wants no more: its fault, or strict mode's wish, and not the input's.
  bool stopped() const { return stopped_; }

 protected:
  absl::Status Keep(absl::Status status) {
    stopped_ = stopped_ || !status.ok();
    return status;
  }

  IngestPipeline* const pipeline_;

 private:
  bool stopped_ = false;
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
    const absl::Status s = chunking::WalkFiles(
        path,
        [&](const chunking::FoundFile& file) {
          absl::StatusOr<std::unique_ptr<chunking::ByteSource>> source =
              chunking::OpenFile(file.path);
          if (!source.ok()) return SkipUnlessStopped(file.path, source.status());
          return Read(*std::move(source), file.path);
        },
        [&](const chunking::ReadIssue& issue) { return handler_.OnIssue(issue); });
    return SkipUnlessStopped(path, s);
  }

 private:
  // A path that is not there, or a file that fails while it is read, is no reason to leave out the
  // others.
  absl::Status SkipUnlessStopped(const std::string& path, const absl::Status& s) {
    if (s.ok() || handler_.stopped()) return s;
    return handler_.OnIssue({path, 0, std::string(s.message())});
  }

  absl::Status Read(std::unique_ptr<chunking::ByteSource> source, const std::string& name) {
    chunking::ReadOptions read;
    read.format = format_;
    read.source = name;
    read.max_document_bytes = options_.max_document_bytes;
    CountingSource counting(std::move(source), pipeline_, total_, &read_);
    return SkipUnlessStopped(name, chunking::ReadDocuments(counting, read, handler_));
  }

  IngestPipeline* const pipeline_;
  PipelineHandler handler_;
  const IngestOptions& options_;
  const chunking::Format format_;
  const uint64_t total_;
  uint64_t read_ = 0;
};

// Sets what the caller of IngestDocuments said over what the reader found.
class InputHandler : public PipelineHandler {
 public:
  InputHandler(IngestPipeline* pipeline, const InputDocument* input)
      : PipelineHandler(pipeline), input_(input) {}

  absl::Status OnDocument(chunking::Document document) override {
    document.source_uri = input_->source_uri;
    if (!input_->title.empty()) {
      absl::StatusOr<std::string> title = chunking::NormalizeText(input_->title);
      if (!title.ok()) return Refuse(absl::StrCat("the title: ", title.status().message()));
      document.title = chunking::OneLine(*title);
    }
    for (const auto& [name, value] : input_->metadata) document.metadata[name] = value;
    return PipelineHandler::OnDocument(std::move(document));
  }

  absl::Status OnIssue(const chunking::ReadIssue& issue) override {
    return Keep(pipeline_->Refuse(input_->id, {Name(), issue.line, issue.reason}));
  }

  absl::Status Refuse(std::string reason) { return OnIssue({"", 0, std::move(reason)}); }

 private:
  const std::string& Name() const {
    return input_->source_uri.empty() ? input_->id : input_->source_uri;
  }

  const InputDocument* const input_;
};

absl::Status IngestInput(const InputDocument& input, const IngestOptions& options,
                         IngestPipeline* pipeline) {
  InputHandler handler(pipeline, &input);
  if (input.id.empty()) return handler.Refuse("the document id is empty");
  const absl::StatusOr<chunking::Format> format = ParseFormat(input.format);
  if (!format.ok()) return handler.Refuse(std::string(format.status().message()));
  if (*format == chunking::Format::kJsonl || *format == chunking::Format::kTrec) {
    return handler.Refuse(
        absl::StrCat("format ", input.format, " holds several documents: ingest it as a file"));
  }
  // As with a record of a file, a title can do without a text.
  const bool only_title = chunking::IsBlank(input.text);
  // Without ReadOptions::source: a document in memory has no file name that could be its title.
  chunking::ReadOptions read;
  read.format = only_title ? chunking::Format::kText : *format;
  read.document_id = input.id;
  read.max_document_bytes = options.max_document_bytes;
  const std::unique_ptr<chunking::ByteSource> source =
      chunking::FromMemory(only_title ? input.title : input.text);
  return chunking::ReadDocuments(*source, read, handler);
}

// The pipeline's end: its own error comes before the reader's, which may only be its echo. `bulk`,
// if not null, is the load it was part of.
absl::StatusOr<IngestReport> Finish(IngestPipeline* pipeline, const IngestOptions& options,
                                    const absl::Status& reading,
                                    index::Collection::BulkLoad* bulk) {
  absl::Status s = pipeline->Finish();
  if (s.ok()) s = reading;
  // The documents are stored; whoever cares whether they are in segments asks for that
  // (Engine::AwaitSeals).
  if (s.ok() && bulk != nullptr) bulk->Finish().IgnoreError();
  const IngestReport report = pipeline->report();
  if (options.report != nullptr) *options.report = report;
  if (s.ok()) return report;
  const uint64_t stored = report.created + report.replaced + report.unchanged;
  return absl::Status(s.code(),
                      absl::StrCat(s.message(), "; of this run, ", stored,
                                   stored == 1 ? " document is" : " documents are", " stored"));
}

}  // namespace

absl::Status CheckOptions(const IngestOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", options.threads, "; it must be 0 to ", kMaxThreads));
  }
  if (absl::Status s = CheckMetadata(options.metadata); !s.ok()) return s;
  return ParseFormat(options.format).status();
}

absl::StatusOr<IngestReport> IngestPaths(index::Collection* collection,
                                         const Preparation& preparation,
                                         absl::Span<const std::string> paths,
                                         const IngestOptions& options) {
  absl::StatusOr<chunking::Format> format = ParseFormat(options.format);
  if (!format.ok()) return format.status();
  std::optional<index::Collection::BulkLoad> bulk;
  if (options.bulk) bulk.emplace(collection);
  IngestPipeline pipeline(collection, &preparation, &options);
  PathIngestion ingestion(&pipeline, options, *format, options.on_progress ? TotalBytes(paths) : 0);
  absl::Status s;
  for (const std::string& path : paths) {
    s = ingestion.Run(path);
    if (!s.ok()) break;
  }
  return Finish(&pipeline, options, s, bulk.has_value() ? &*bulk : nullptr);
}

absl::StatusOr<IngestReport> IngestDocuments(index::Collection* collection,
                                             const Preparation& preparation,
                                             absl::Span<const InputDocument> documents,
                                             const IngestOptions& options) {
  std::optional<index::Collection::BulkLoad> bulk;
  if (options.bulk) bulk.emplace(collection);
  IngestPipeline pipeline(collection, &preparation, &options);
  absl::Status s;
  uint64_t bytes = 0;
  for (const InputDocument& d : documents) {
    s = IngestInput(d, options, &pipeline);
    if (!s.ok()) break;
    bytes += d.text.size();
    pipeline.SetBytes(bytes, 0);
  }
  return Finish(&pipeline, options, s, bulk.has_value() ? &*bulk : nullptr);
}

absl::StatusOr<IngestReport> IngestStream(index::Collection* collection,
                                          const Preparation& preparation,
                                          const DocumentSource& next,
                                          const IngestOptions& options) {
  std::optional<index::Collection::BulkLoad> bulk;
  if (options.bulk) bulk.emplace(collection);
  IngestPipeline pipeline(collection, &preparation, &options, IngestPipeline::Mode::kStream);
  absl::Status s;
  uint64_t bytes = 0;
  while (s.ok()) {
    absl::StatusOr<std::optional<InputDocument>> document = next();
    if (!document.ok()) {
      s = document.status();
      pipeline.Abandon(s);
    }
    if (!document.ok() || !document->has_value()) break;
    bytes += (*document)->text.size();
    s = IngestInput(**document, options, &pipeline);
    pipeline.SetBytes(bytes, 0);
  }
  return Finish(&pipeline, options, s, bulk.has_value() ? &*bulk : nullptr);
}

}  // namespace cairn::engine
