// What holds for every document, tried on random and on damaged input.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "chunking/text/normalize.h"
#include "tests/support/document_recorder.h"

namespace cairn::chunking {
namespace {

using ::cairn::testing::BrokenPromise;
using ::cairn::testing::DocumentRecorder;
using ::cairn::testing::ReadAs;

// Pieces of every format, so that random sequences meet many states of every reader.
const std::vector<std::string>& Pieces() {
  static const auto* pieces = new std::vector<std::string>{
      "word ",
      "\n",
      "\n\n",
      "  ",
      "\t",
      "    ",
      "\r\n",
      "e\xCC\x81",
      "\xE4\xB8\xAD",
      "\xF0\x9F\x98\x80",
      "\xC2\xA0",
      "\xEF\xBB\xBF",
      "# ",
      "## t\n",
      "===\n",
      "---\n",
      "- ",
      "1. ",
      "> ",
      "```\n",
      "~~~",
      "| a | b |\n",
      "|-|-|\n",
      "<!--",
      "-->",
      "***\n",
      "key: [a, 'b']\n",
      "<p>",
      "</p>",
      "<li>",
      "<ul>",
      "</ul>",
      "<table>",
      "<tr>",
      "<td>",
      "</table>",
      "<pre>",
      "</pre>",
      "<h2>",
      "</h2>",
      "<main>",
      "</main>",
      "<article>",
      "<nav>",
      "</nav>",
      "<script>",
      "</script>",
      "<div hidden>",
      "</div>",
      "<br>",
      "<dl>",
      "<dt>",
      "<dd>",
      "<blockquote>",
      "</blockquote>",
      "&amp;",
      "&#x301;",
      "&#0;",
      "<",
      ">",
      "\"",
      "<a b='",
      "<DOC>",
      "</DOC>\n",
      "<DOCNO>",
      "1</DOCNO>",
      "<TEXT>",
      "</TEXT>",
      "<TITLE>",
      "</TITLE>",
      "{\"_id\":\"",
      "\",\"text\":\"",
      "\"}\n",
      "\\u0041",
      "\\ud83d\\ude00",
      "<title>",
      "</title>",
  };
  return *pieces;
}

std::string RandomInput(std::mt19937& random) {
  std::string input;
  for (unsigned left = random() % 60; left > 0; --left)
    input += Pieces()[random() % Pieces().size()];
  return input;
}

void ExpectPromisesKept(const std::string& name, const std::string& input) {
  const DocumentRecorder recorder = ReadAs(name, input);
  EXPECT_GT(recorder.documents.size() + recorder.issues.size(), 0u) << name << ": " << input;
  for (const Document& document : recorder.documents) {
    ASSERT_EQ(BrokenPromise(document), "") << name << ": " << input;
    const absl::StatusOr<std::string> again = NormalizeText(document.text);
    ASSERT_TRUE(again.ok()) << name << ": " << input;
    ASSERT_EQ(*again, document.text) << name << ": " << input;
  }
  for (const ReadIssue& issue : recorder.issues) {
    EXPECT_EQ(issue.source, name);
    EXPECT_FALSE(issue.reason.empty());
  }
}

constexpr const char* kNames[] = {"a.txt", "a.md", "a.html", "a.jsonl", "a.trec", "a"};

TEST(ReaderProperties, HoldForRandomSequencesOfMarkup) {
  std::mt19937 random(11);
  for (int i = 0; i < 4000; ++i) {
    const std::string input = RandomInput(random);
    for (const char* name : kNames) ExpectPromisesKept(name, input);
  }
}

TEST(ReaderProperties, HoldForDamagedBytes) {
  std::mt19937 random(12);
  for (int i = 0; i < 4000; ++i) {
    std::string input = RandomInput(random);
    for (unsigned left = random() % 4; left > 0 && !input.empty(); --left) {
      input[random() % input.size()] = static_cast<char>(random());
    }
    for (const char* name : kNames) ExpectPromisesKept(name, input);
  }
}

// Every word of a text survives, in whichever format it stands.
TEST(ReaderProperties, WordsSurviveInOrder) {
  std::mt19937 random(13);
  for (int i = 0; i < 300; ++i) {
    std::string markdown;
    std::string html;
    for (int word = 0; word < 50; ++word) {
      const std::string name = absl::StrCat("w", word, "x");
      static constexpr const char* kOpen[] = {"",    "<p>",   "<li>", "<h3>",
                                              "<b>", "<pre>", "<td>", "<br>"};
      html += kOpen[random() % 8] + name + " ";
      static constexpr const char* kMark[] = {"",     "\n\n",   "\n- ",   "\n## ",
                                              "\n> ", "\n    ", "\n```\n"};
      markdown += kMark[random() % 7] + name + " ";
    }
    for (const auto& [name, input] : {std::pair("a.html", html), std::pair("a.md", markdown)}) {
      const DocumentRecorder recorder = ReadAs(name, input);
      ASSERT_EQ(recorder.documents.size(), 1u);
      const Document& document = recorder.documents[0];
      std::string in_blocks;
      for (const Block& block : document.blocks) {
        in_blocks += document.text.substr(block.span.begin, block.span.size()) + " ";
      }
      size_t at = 0;
      for (int word = 0; word < 50; ++word) {
        at = in_blocks.find(absl::StrCat("w", word, "x"), at);
        ASSERT_NE(at, std::string::npos) << "w" << word << " of " << input;
      }
    }
  }
}

}  // namespace
}  // namespace cairn::chunking
