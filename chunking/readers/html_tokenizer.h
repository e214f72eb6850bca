// HTML bytes to tags and text.
#ifndef CAIRN_CHUNKING_READERS_HTML_TOKENIZER_H_
#define CAIRN_CHUNKING_READERS_HTML_TOKENIZER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::chunking {

// Tokenises as the HTML standard's tokenizer does, as far as text extraction can tell: whatever the
// input, there is a result, in time proportional to the input's size and with no memory but the
// current token's. (libxml2's HTML parser compares each attribute of a tag with all before it, and
// each stray end tag with all open elements: a small hostile file keeps it busy for hours.)
class HtmlTokenizer {
 public:
  enum class Type { kText, kStart, kEnd, kDone };

  struct Attribute {
    std::string name;        // In lower case.
    std::string_view value;  // With its character references.
  };

  struct Token {
    Type type = Type::kDone;
    // Lower-case name of a tag, cut after kMaxNameBytes.
    std::string name;
    std::vector<Attribute> attributes;  // Of a start tag; the first kMaxAttributes.
    bool self_closing = false;          // Written "<name/>".
    std::string_view text;              // Of kText.
    bool literal = false;               // `text` holds no character references (script, CDATA).
  };

  static constexpr size_t kMaxNameBytes = 64;
  static constexpr size_t kMaxAttributes = 64;

  // `html` (UTF-8) must outlive the tokenizer. `xml_rules`: "<name/>" closes itself and CDATA
  // sections are text, as in XHTML.
  HtmlTokenizer(std::string_view html, bool xml_rules) : html_(html), xml_rules_(xml_rules) {}

  // Replaces `token`; false (and kDone) at the end.
  bool Next(Token* token);

 private:
  char At(size_t at) const { return at < html_.size() ? html_[at] : '\0'; }
  bool StartsMarkup(size_t at) const;
  // Parses what starts with "<" at at_. False: it gives no token (comment, declaration).
  bool ParseMarkup(Token* token);
  bool ParseDeclaration(Token* token);
  bool ParseTag(Token* token);
  void ParseAttributes(Token* token);
  std::string_view ParseAttributeValue();
  void SkipBehind(std::string_view end);
  // The content of an element whose content is no markup, up to its end tag.
  void TakeRawText(Token* token);

  const std::string_view html_;
  const bool xml_rules_;
  size_t at_ = 0;
  std::string raw_element_;  // Set while at_ is inside such an element ("script").
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_HTML_TOKENIZER_H_
