// Reading HTML through chunking/readers/reader.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/document_recorder.h"
#include "tests/support/shared_data.h"

namespace cairn::chunking {
namespace {

using ::cairn::testing::BlockTexts;
using ::cairn::testing::BrokenPromise;
using ::cairn::testing::ReadIssueOf;
using ::cairn::testing::ReadOne;
using ::cairn::testing::Repeat;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> HtmlBlocks(const std::string& html) {
  return BlockTexts(ReadOne("a.html", html));
}

TEST(Html, KeepsHeadingsAndParagraphs) {
  EXPECT_THAT(HtmlBlocks("<h1>One</h1><p>a<p>b<div>c</div>d<h3>Three</h3>e"),
              ElementsAre("H1 One", "P a", "P b", "P c", "P d", "H3 Three", "P e"));
}

TEST(Html, CollapsesWhiteSpaceAsABrowserDoes) {
  EXPECT_THAT(HtmlBlocks("<p>  a \n\t b<b> c</b><i>d </i> e&nbsp; &#160;f<br> g\xC2\xADh"),
              ElementsAre("P a b cd e f\ngh"));
}

TEST(Html, BlocksLieInTheTextWithBlankLinesBetween) {
  EXPECT_EQ(ReadOne("a.html", "<p>a<ul><li>b<li>c</ul>d").text, "a\n\nb\nc\n\nd");
}

TEST(Html, KeepsPreformattedTextAsItIs) {
  EXPECT_THAT(HtmlBlocks("<p>a<pre>\n  x &lt; y\n\n\tz  </pre>b<pre><code>c</code></pre>"),
              ElementsAre("P a", "C   x < y\n\n\tz", "P b", "C c"));
}

TEST(Html, ListItemsKnowTheirDepth) {
  EXPECT_THAT(HtmlBlocks("<ul><li>a<li><p>b</p><p>more b</p><ol><li>c</ol>rest</ul><blockquote>q"),
              ElementsAre("L1 a", "L1 b", "L1 more b", "L2 c", "L1 rest", "Q q"));
}

TEST(Html, ATermAndItsDefinitionAreOneBlock) {
  EXPECT_THAT(HtmlBlocks("<dl><dt>t<dd><p>d</p><p>e</p><dt>u</dt><dd><pre>x</pre></dd></dl>"),
              ElementsAre("L1 t\nd", "L1 e", "L1 u", "C x"));
}

TEST(Html, TablesAreRowsOfCells) {
  EXPECT_THAT(HtmlBlocks("<table><caption>Cap</caption><thead><tr><th>a<th>b</thead>"
                         "<tr><td><p>1</p> x<td><ul><li>2</ul></td></tr><tr><td></table>z"),
              ElementsAre("P Cap", "T a | b\n1 x | 2", "P z"));
  EXPECT_THAT(HtmlBlocks("<table><tr><td><img><td>Note</tr><tr><td>text</table>"),
              ElementsAre("P Note\ntext"));
}

TEST(Html, LayoutTablesAreTakenApart) {
  EXPECT_THAT(
      HtmlBlocks("<table><tr><td>menu<td><h1>T</h1><p>a<table><tr><td>1<td>2</table><p>b</table>"),
      ElementsAre("P menu", "H1 T", "P a", "T 1 | 2", "P b"));
}

TEST(Html, DropsWhatIsNotText) {
  EXPECT_THAT(
      HtmlBlocks("<p>a</p><script>if (a<b) '<p>no'</script><style>p{}</style><noscript>n</noscript>"
                 "<template>n</template><svg><title>n</title><text>n</text></svg><nav>n</nav>"
                 "<header>n</header><footer>n</footer><aside>n</aside><div role=navigation>n</div>"
                 "<form><label>kept</label><select><option>n</select><button>n</button>"
                 "<textarea><p>n</textarea></form><p hidden>n<p aria-hidden=true>n"
                 "<p style='Display : none'>n</p><div class='x toc'>n</div><iframe>n</iframe>"
                 "<h2>b<a class=headerlink>\xC2\xB6</a></h2><!-- n --><!--><?n?><p>c"),
      ElementsAre("P a", "P kept", "H2 b", "P c"));
}

TEST(Html, HeadersAndAsidesInsideTheContentAreText) {
  EXPECT_THAT(
      HtmlBlocks("<article><header><h1>T</h1></header><p>text</p><aside>note</aside></article>"),
      ElementsAre("H1 T", "P text", "P note"));
}

TEST(Html, PrefersTheMainContent) {
  EXPECT_THAT(HtmlBlocks("<p>before<main><p>text</main><p>after"), ElementsAre("P text"));
  EXPECT_THAT(HtmlBlocks("<p>before<div role='main'><p>text</div><p>after"), ElementsAre("P text"));
  EXPECT_THAT(HtmlBlocks("<p>before<article><p>all of the text</article>"),
              ElementsAre("P all of the text"));
  EXPECT_THAT(HtmlBlocks("<p>a page with much text<article>x</article>"),
              ElementsAre("P a page with much text", "P x"));
  EXPECT_THAT(HtmlBlocks("<main></main><p>text"), ElementsAre("P text"));
}

TEST(Html, TakesTitleAndMetadataFromTheHead) {
  const Document document = ReadOne(
      "a.html",
      "<!doctype html><html lang='en-GB'><head><title> A &amp;\n B </title>"
      "<meta name=author content='O&#39;Neill'><meta name=Description content=d>"
      "<meta property='og:description' content=later><meta name=keywords content='a, b c,,'>"
      "<meta property='article:published_time' content=2024-01-01>"
      "<link rel=canonical href='http://x/?a=1&amp;b=2'></head><body><h1>H</h1>");
  EXPECT_EQ(document.title, "A & B");
  const Metadata expected = {
      {"lang", std::string("en-GB")},      {"author", std::string("O'Neill")},
      {"description", std::string("d")},   {"keywords", std::vector<std::string>{"a", "b c"}},
      {"date", std::string("2024-01-01")}, {"url", std::string("http://x/?a=1&b=2")},
  };
  EXPECT_EQ(document.metadata, expected);
  EXPECT_EQ(document.media_type, "text/html");
}

TEST(Html, TheTitleOfLastResortIsTheFirstHeadingThenTheStem) {
  EXPECT_EQ(ReadOne("a.html", "<h2>x</h2><h1>The <i>one</i></h1>").title, "The one");
  EXPECT_EQ(ReadOne("dir/a.html", "<p>x").title, "a");
}

TEST(Html, DecodesCharacterReferences) {
  EXPECT_THAT(HtmlBlocks("<p>&lt;&eacute;&copy;&#x41;&#66&#150;&#0;&#xD800;&#99999999999;&hellip;"
                         "&NotEqualTilde;&bogus;&amp&ampx;& &;"),
              ElementsAre("P <\xC3\xA9\xC2\xA9"
                          "AB\xE2\x80\x93\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xE2\x80\xA6"
                          "\xE2\x89\x82\xCC\xB8&bogus;&&ampx;& &;"));
}

TEST(Html, ReferencesAreNormalisedToo) {
  EXPECT_EQ(ReadOne("a.html", "<p>e&#769;").text, "\xC3\xA9");
}

TEST(Html, FindsTheEncoding) {
  const std::string cafe = "Caf\xC3\xA9";
  EXPECT_EQ(ReadOne("a.html", "<p>Caf\xC3\xA9").text, cafe);
  EXPECT_EQ(ReadOne("a.html", "<p>Caf\xE9").text, cafe);
  EXPECT_EQ(ReadOne("a.html", "<meta charset=iso-8859-1><p>Caf\xE9 \x93q\x94").text,
            cafe + " \xE2\x80\x9Cq\xE2\x80\x9D");
  EXPECT_EQ(ReadOne("a.html",
                    "<meta http-equiv=Content-Type content='text/html; charset=windows-1251'>"
                    "<p>\xCF\xF0")
                .text,
            "\xD0\x9F\xD1\x80");
  EXPECT_EQ(ReadOne("a.xhtml", "<?xml version='1.0' encoding='Shift_JIS'?><p>\x83\x65").text,
            "\xE3\x83\x86");
  EXPECT_EQ(ReadOne("a.html", "<meta charset=utf-7><p>+AGE-").text, "+AGE-");
  const ReadIssue issue = ReadIssueOf("a.html", "<meta charset=utf-8>\n<p>Caf\xE9");
  EXPECT_EQ(issue.line, 2u);
  EXPECT_THAT(issue.reason, HasSubstr("invalid UTF-8"));
}

TEST(Html, XhtmlElementsMayCloseThemselves) {
  EXPECT_THAT(HtmlBlocks("<?xml version='1.0'?><html><script src='x'/><title/><p>a<nav/>b</p>"
                         "<![CDATA[<i>]]></html>"),
              ElementsAre("P ab", "P <i>"));
}

TEST(Html, APageWithoutTextIsAnIssue) {
  EXPECT_THAT(ReadIssueOf("a.html", "<html><nav>x</nav></html>").reason, HasSubstr("no text"));
}

TEST(Html, RepairsWhatIsLeftOpenOrCrossed) {
  EXPECT_THAT(HtmlBlocks("<div><p>a<b>b</div></p></i>c</td></ul><li>d"),
              ElementsAre("P ab", "P c", "L1 d"));
  EXPECT_THAT(HtmlBlocks("<p>a<table><tr><td></div>b</p></main>c</table>d"),
              ElementsAre("P a", "P b c", "P d"));
  EXPECT_THAT(HtmlBlocks("a < b <3 <p class='x>y' title=\"<p>\">c<p d"),
              ElementsAre("P a < b <3", "P c"));
  EXPECT_THAT(HtmlBlocks("<span hidden><span>no</span>no</span>yes"), ElementsAre("P yes"));
}

TEST(Html, NestingOfAnyDepthIsRead) {
  for (const std::string tag : {"div", "b", "ul", "blockquote", "table", "x-y"}) {
    const std::string html = absl::StrCat(Repeat(absl::StrCat("<", tag, ">"), 100000), "hello",
                                          Repeat(absl::StrCat("</", tag, ">"), 100000), "<p>end");
    const Document document = ReadOne("a.html", html);
    EXPECT_EQ(BrokenPromise(document), "");
    EXPECT_THAT(document.text, HasSubstr("hello"));
    EXPECT_THAT(document.text, HasSubstr("end"));
  }
}

// Each takes seconds when linear, hours when quadratic.
TEST(Html, HostileInputTakesLinearTime) {
  std::string attributes = "<p ";
  for (int i = 0; i < 1000000; ++i) absl::StrAppend(&attributes, "a", i, "=1 ");
  const std::string inputs[] = {
      attributes + ">hello",
      Repeat("<b>", 1000000) + Repeat("</i>", 1000000) + "hello",
      "<div><table><tr><td>" + Repeat("<b>", 1000000) + Repeat("</div>", 1000000) + "hello",
      "hello" + std::string(20000000, '<'),
      "hello" + Repeat("<!--", 1000000),
      "hello<script>" + Repeat("</", 1000000),
      Repeat("&am", 1000000) + "hello",
      Repeat("<table><tr><td>", 500000) + "hello",
  };
  for (const std::string& input : inputs) {
    const Document document = ReadOne("a.html", input);
    EXPECT_THAT(document.text, HasSubstr("hello")) << input.substr(0, 20);
    EXPECT_EQ(BrokenPromise(document), "") << input.substr(0, 20);
  }
}

TEST(Html, DebianManualsComeOutClean) {
  const std::string path = "/usr/share/debian-reference/ch02.en.html";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs the package debian-reference-en";
  const Document document = ReadOne(path, cairn::testing::ReadFileOrDie(path));
  EXPECT_EQ(document.title, "Chapter 2. Debian package management");
  EXPECT_THAT(document.text, Not(HasSubstr("Table of Contents")));
  const std::vector<std::string> blocks = BlockTexts(document);
  EXPECT_EQ(blocks.front(), "H1 Chapter 2. Debian package management");
  EXPECT_THAT(blocks, Contains("H3 2.1.2. Basic precautions"));
  EXPECT_THAT(blocks, Not(Contains(HasSubstr("</"))));
}

}  // namespace
}  // namespace cairn::chunking
