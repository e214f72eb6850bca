// What text extraction knows about HTML's elements.
#ifndef CAIRN_CHUNKING_READERS_HTML_ELEMENTS_H_
#define CAIRN_CHUNKING_READERS_HTML_ELEMENTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "chunking/readers/html_tokenizer.h"

namespace cairn::chunking {

// Elements that are named in the extraction's rules; all others are kOther.
enum class HtmlTag : uint8_t {
  kOther,
  kArticle,
  kBlockquote,
  kBody,
  kBr,
  kCaption,
  kDd,
  kDl,
  kDt,
  kHeading,
  kHtml,
  kItem,
  kLink,
  kList,
  kMain,
  kMeta,
  kParagraph,
  kPre,
  kRow,
  kRowGroup,
  kCell,
  kTable,
  kTitle,
};

struct HtmlElement {
  HtmlTag tag = HtmlTag::kOther;
  int heading_level = 0;
  bool breaks = false;          // Starts on a line of its own.
  bool is_void = false;         // Has no content and no end tag.
  bool dropped = false;         // Its content is never a reader's text.
  bool page_furniture = false;  // Dropped unless inside the page's main content.
  bool scope = false;           // End tags inside do not close elements outside.
};

// Numbers elements' names, so that a stack of open elements is a stack of integers. Not
// thread-safe.
class HtmlNames {
 public:
  HtmlNames();
  // The number of `name` (lower case), counted from 0.
  uint32_t Number(std::string_view name);
  const HtmlElement& element(uint32_t number) const { return elements_[number]; }
  size_t size() const { return elements_.size(); }

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
  std::vector<HtmlElement> elements_;
};

// The value of the attribute `name`, with its references, or nullptr.
const std::string_view* FindAttribute(absl::Span<const HtmlTokenizer::Attribute> attributes,
                                      std::string_view name);

// True when the attributes say that an element is hidden, navigation, or some other furniture of a
// page: ARIA roles, `hidden`, and the class names and ids of common generators (DocBook, Sphinx,
// Doxygen, MediaWiki, Texinfo, ...).
bool IsBoilerplate(absl::Span<const HtmlTokenizer::Attribute> attributes);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_HTML_ELEMENTS_H_
