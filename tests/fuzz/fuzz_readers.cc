// The first byte picks the format, the rest is the input.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chunking/readers/reader.h"
#include "chunking/text/normalize.h"

namespace {

using cairn::chunking::BlockKind;
using cairn::chunking::Document;
using cairn::chunking::Format;

void Require(bool promise) {
  if (!promise) std::abort();
}

bool AtBoundary(std::string_view text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

struct Checker : cairn::chunking::DocumentHandler {
  absl::Status OnDocument(Document document) override {
    Require(!document.id.empty());
    Require(document.title.find('\n') == std::string::npos);
    // Text is in the stored form already: normalising it once more changes nothing.
    const absl::StatusOr<std::string> again = cairn::chunking::NormalizeText(document.text);
    Require(again.ok() && *again == document.text);
    Require(cairn::chunking::NormalizeText(document.title).ok());
    size_t end = 0;
    for (const cairn::chunking::Block& block : document.blocks) {
      Require(block.span.begin >= end && block.span.end > block.span.begin);
      end = block.span.end;
      Require(end <= document.text.size());
      Require(AtBoundary(document.text, block.span.begin) && AtBoundary(document.text, end));
      if (block.kind == BlockKind::kHeading) Require(block.level >= 1 && block.level <= 6);
    }
    return absl::OkStatus();
  }
  absl::Status OnIssue(const cairn::chunking::ReadIssue& issue) override {
    Require(!issue.reason.empty());
    return absl::OkStatus();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static constexpr Format kFormats[] = {Format::kAuto, Format::kText,  Format::kMarkdown,
                                        Format::kHtml, Format::kJsonl, Format::kTrec};
  cairn::chunking::ReadOptions options;
  options.format = kFormats[data[0] % 6];
  options.source = "fuzz";
  // Another bit of the same byte makes size limits part of what is tested.
  if ((data[0] & 0x80) != 0) options.max_document_bytes = 64;
  const auto input = cairn::chunking::FromMemory(
      std::string_view(reinterpret_cast<const char*>(data + 1), size - 1));
  Checker checker;
  Require(cairn::chunking::ReadDocuments(*input, options, checker).ok());
  return 0;
}
