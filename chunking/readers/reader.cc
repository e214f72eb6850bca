#include "chunking/readers/reader.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/readers/encoding.h"
#include "chunking/readers/format.h"
#include "chunking/readers/html_text.h"
#include "chunking/readers/markdown.h"
#include "chunking/readers/record_readers.h"
#include "chunking/readers/text_checks.h"
#include "chunking/text/normalize.h"

namespace cairn::chunking {
namespace {

constexpr size_t kReadBytes = size_t{1} << 18;
constexpr size_t kLargestDocument = size_t{1} << 40;  // Whatever the options say.

// A source whose first bytes were already read.
class ResumedSource : public ByteSource {
 public:
  ResumedSource(std::string_view head, ByteSource& rest) : head_(head), rest_(rest) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (head_.empty()) return rest_.Read(buffer);
    const size_t n = std::min(buffer.size(), head_.size());
    std::copy_n(head_.data(), n, buffer.data());
    head_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view head_;
  ByteSource& rest_;
};

// Grows without copying or clearing where the allocator can remap pages: most of the time it takes
// to read a large file is spent on touching memory.
class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { std::free(data_); }

  std::string_view view() const { return {data_, size_}; }

  // Reads until `size` bytes are held or the input ends.
  absl::Status FillFrom(ByteSource& input, size_t size) {
    while (size_ < size) {
      if (size_ == capacity_) {
        const size_t capacity = std::min(size, std::max(size_ + kReadBytes, 2 * size_));
        char* data = static_cast<char*>(std::realloc(data_, capacity));
        if (data == nullptr) return absl::ResourceExhaustedError("not enough memory");
        data_ = data;
        capacity_ = capacity;
      }
      absl::StatusOr<size_t> n = input.Read(absl::MakeSpan(data_ + size_, capacity_ - size_));
      if (!n.ok()) return n.status();
      if (*n == 0) break;
      size_ += *n;
    }
    return absl::OkStatus();
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Reads an input that is one document.
class SingleReader {
 public:
  SingleReader(const ReadOptions& options, Format format, DocumentHandler& handler)
      : options_(options), format_(format), handler_(handler) {}

  // `input`: the input's beginning, `rest` what follows.
  absl::Status Read(Bytes* input, ByteSource& rest) {
    // The BOM's own bytes are no part of the document.
    const size_t limit = std::clamp(options_.max_document_bytes, size_t{1}, kLargestDocument);
    absl::Status status = input->FillFrom(rest, limit + kUtf8Bom.size() + 1);
    if (!status.ok()) return status;
    std::string_view bytes = input->view();
    std::string storage;
    const bool has_mark = FindBom(bytes) != Bom::kNone;
    if (bytes.size() > limit + (has_mark ? kUtf8Bom.size() : 0)) {
      return Issue(0, absl::StrCat("larger than ", options_.max_document_bytes, " bytes"));
    }
    status = DecodeBom(&bytes, &storage);
    if (status.ok() && format_ == Format::kHtml && !has_mark) status = DecodeHtml(&bytes, &storage);
    if (!status.ok()) return Issue(0, std::string(status.message()));
    if (std::optional<TextFault> fault = FindTextFault(bytes)) {
      return Issue(fault->line, fault->reason);
    }
    if (IsBlank(bytes)) return Issue(0, "empty document");
    return Deliver(bytes);
  }

 private:
  absl::Status Issue(uint64_t line, std::string reason) {
    return handler_.OnIssue({options_.source, line, std::move(reason)});
  }

  absl::Status Deliver(std::string_view bytes) {
    Document document;
    document.id = options_.document_id.empty() ? options_.source : options_.document_id;
    document.source_uri = options_.source;
    document.media_type = MediaType(format_);
    if (absl::Status status = CheckId(document.id); !status.ok()) {
      return Issue(0, std::string(status.message()));
    }
    if (format_ == Format::kHtml) {
      absl::Status status = ExtractHtml(bytes, &document);
      if (!status.ok()) return Issue(0, std::string(status.message()));
    } else {
      absl::StatusOr<std::string> text = NormalizeText(bytes);
      if (!text.ok()) return Issue(0, std::string(text.status().message()));
      document.text = *std::move(text);
      if (format_ == Format::kMarkdown) {
        ParseMarkdown(&document);
      } else {
        AppendParagraphs(document.text, {0, document.text.size()}, BlockKind::kParagraph, 0,
                         &document.blocks);
      }
    }
    if (document.title.empty()) document.title = Stem(options_.source);
    return handler_.OnDocument(std::move(document));
  }

  const ReadOptions& options_;
  const Format format_;
  DocumentHandler& handler_;
};

bool IsWide(Bom bom) { return bom != Bom::kNone && bom != Bom::kUtf8; }

}  // namespace

absl::Status ReadDocuments(ByteSource& input, const ReadOptions& options,
                           DocumentHandler& handler) {
  Bytes start;
  if (absl::Status status = start.FillFrom(input, kFormatHead); !status.ok()) return status;
  const std::string_view head = start.view();
  const auto issue = [&](std::string reason) {
    return handler.OnIssue({options.source, 0, std::move(reason)});
  };
  if (head.empty()) return issue("empty document");
  const std::string_view kind = BinaryKind(head);
  if (!kind.empty())
    return issue(absl::StrCat("looks like ", AbslView(kind), "; not a supported format"));
  const Bom bom = FindBom(head);
  const Format format =
      options.format == Format::kAuto ? DetectFormat(options.source, head) : options.format;
  if (format == Format::kJsonl || format == Format::kTrec) {
    if (IsWide(bom)) {
      return issue(absl::StrCat("is in ", AbslView(BomName(bom)), "; convert it to UTF-8 first"));
    }
    ResumedSource resumed(head, input);
    return format == Format::kJsonl ? ReadJsonl(resumed, options, handler)
                                    : ReadTrec(resumed, options, handler);
  }
  if (!IsWide(bom) && Contains(head, '\0')) {
    const std::optional<TextFault> fault = FindTextFault(head);
    return handler.OnIssue(
        {options.source, fault->line, absl::StrCat(fault->reason, "; looks like binary data")});
  }
  return SingleReader(options, format, handler).Read(&start, input);
}

}  // namespace cairn::chunking
