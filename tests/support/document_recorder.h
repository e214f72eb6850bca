// Collects what a reader finds.
#ifndef CAIRN_TESTS_SUPPORT_DOCUMENT_RECORDER_H_
#define CAIRN_TESTS_SUPPORT_DOCUMENT_RECORDER_H_

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/readers/reader.h"

namespace cairn::testing {

struct DocumentRecorder : chunking::DocumentHandler {
  std::vector<chunking::Document> documents;
  std::vector<chunking::ReadIssue> issues;
  absl::Status on_issue;  // Returned for each issue.

  absl::Status OnDocument(chunking::Document document) override {
    documents.push_back(std::move(document));
    return absl::OkStatus();
  }
  absl::Status OnIssue(const chunking::ReadIssue& issue) override {
    issues.push_back(issue);
    return on_issue;
  }
};

// Reads `bytes` as a file called `source`.
inline DocumentRecorder ReadAs(const std::string& source, std::string_view bytes,
                               chunking::ReadOptions options = {}) {
  options.source = source;
  DocumentRecorder recorder;
  const auto input = chunking::FromMemory(bytes);
  const absl::Status status = chunking::ReadDocuments(*input, options, recorder);
  EXPECT_TRUE(status.ok()) << status;
  return recorder;
}

// The document in `bytes`, which holds just one and no fault.
inline chunking::Document ReadOne(const std::string& source, std::string_view bytes) {
  DocumentRecorder recorder = ReadAs(source, bytes);
  for (const chunking::ReadIssue& issue : recorder.issues) {
    ADD_FAILURE() << issue.source << ":" << issue.line << ": " << issue.reason;
  }
  EXPECT_EQ(recorder.documents.size(), 1u);
  if (recorder.documents.empty()) return {};
  return std::move(recorder.documents[0]);
}

// The issue that reading `bytes`, which hold just one and no document, gives.
inline chunking::ReadIssue ReadIssueOf(const std::string& source, std::string_view bytes,
                                       chunking::ReadOptions options = {}) {
  const DocumentRecorder recorder = ReadAs(source, bytes, std::move(options));
  EXPECT_TRUE(recorder.documents.empty());
  EXPECT_EQ(recorder.issues.size(), 1u);
  return recorder.issues.empty() ? chunking::ReadIssue() : recorder.issues[0];
}

// Blocks one per line as "KIND LEVEL text", e.g. "H1 Title", for comparison in tests.
inline std::vector<std::string> BlockTexts(const chunking::Document& document) {
  static constexpr const char* kKinds[] = {"P", "H", "L", "T", "C", "Q"};
  std::vector<std::string> texts;
  for (const chunking::Block& block : document.blocks) {
    std::string text = kKinds[static_cast<int>(block.kind)];
    if (block.level > 0) text += std::to_string(block.level);
    texts.push_back(text + " " + document.text.substr(block.span.begin, block.span.size()));
  }
  return texts;
}

inline std::string Repeat(const std::string& unit, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += unit;
  return text;
}

// What every document promises: spans in order, apart, inside the text, at character boundaries.
inline std::string BrokenPromise(const chunking::Document& document) {
  if (document.id.empty()) return "empty id";
  if (document.text.find('\0') != std::string::npos) return "NUL in the text";
  if (document.text.find('\r') != std::string::npos) return "carriage return in the text";
  if (document.title.find('\n') != std::string::npos) return "title of two lines";
  size_t end = 0;
  for (const chunking::Block& block : document.blocks) {
    if (block.span.begin < end || block.span.empty()) return "spans overlap or are empty";
    end = block.span.end;
    if (end > document.text.size()) return "span behind the text's end";
    for (const size_t at : {block.span.begin, block.span.end}) {
      if (at < document.text.size() &&
          (static_cast<unsigned char>(document.text[at]) & 0xC0) == 0x80) {
        return "span inside a character";
      }
    }
    const bool has_level =
        block.kind == chunking::BlockKind::kHeading || block.kind == chunking::BlockKind::kListItem;
    if (has_level != (block.level > 0)) return "wrong level";
    if (block.kind == chunking::BlockKind::kHeading && block.level > 6) return "wrong level";
  }
  return "";
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_DOCUMENT_RECORDER_H_
