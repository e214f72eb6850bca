#include "chunking/readers/html_elements.h"

#include <iterator>

#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

constexpr HtmlElement BlockElement(HtmlTag tag = HtmlTag::kOther) {
  return {.tag = tag, .breaks = true};
}
constexpr HtmlElement Heading(int level) {
  return {.tag = HtmlTag::kHeading, .heading_level = level, .breaks = true};
}
constexpr HtmlElement Void() { return {.is_void = true}; }
constexpr HtmlElement Dropped() { return {.dropped = true}; }
constexpr HtmlElement Furniture() { return {.breaks = true, .page_furniture = true}; }

constexpr struct {
  std::string_view name;
  HtmlElement element;
} kElements[] = {
    {"html", {.tag = HtmlTag::kHtml, .scope = true}},
    {"body", BlockElement(HtmlTag::kBody)},
    {"title", {.tag = HtmlTag::kTitle}},
    {"meta", {.tag = HtmlTag::kMeta, .is_void = true}},
    {"link", {.tag = HtmlTag::kLink, .is_void = true}},
    {"main", BlockElement(HtmlTag::kMain)},
    {"article", BlockElement(HtmlTag::kArticle)},
    {"h1", Heading(1)},
    {"h2", Heading(2)},
    {"h3", Heading(3)},
    {"h4", Heading(4)},
    {"h5", Heading(5)},
    {"h6", Heading(6)},
    {"p", BlockElement(HtmlTag::kParagraph)},
    {"pre", BlockElement(HtmlTag::kPre)},
    {"listing", BlockElement(HtmlTag::kPre)},
    {"xmp", BlockElement(HtmlTag::kPre)},
    {"blockquote", BlockElement(HtmlTag::kBlockquote)},
    {"ul", BlockElement(HtmlTag::kList)},
    {"ol", BlockElement(HtmlTag::kList)},
    {"menu", BlockElement(HtmlTag::kList)},
    {"dir", BlockElement(HtmlTag::kList)},
    {"li", BlockElement(HtmlTag::kItem)},
    {"dl", BlockElement(HtmlTag::kDl)},
    {"dt", BlockElement(HtmlTag::kDt)},
    {"dd", BlockElement(HtmlTag::kDd)},
    {"table", {.tag = HtmlTag::kTable, .breaks = true, .scope = true}},
    {"caption", {.tag = HtmlTag::kCaption, .breaks = true, .scope = true}},
    {"thead", BlockElement(HtmlTag::kRowGroup)},
    {"tbody", BlockElement(HtmlTag::kRowGroup)},
    {"tfoot", BlockElement(HtmlTag::kRowGroup)},
    {"tr", BlockElement(HtmlTag::kRow)},
    {"td", {.tag = HtmlTag::kCell, .breaks = true, .scope = true}},
    {"th", {.tag = HtmlTag::kCell, .breaks = true, .scope = true}},
    {"header", Furniture()},
    {"footer", Furniture()},
    {"aside", Furniture()},
    {"address", BlockElement()},
    {"center", BlockElement()},
    {"details", BlockElement()},
    {"div", BlockElement()},
    {"fieldset", BlockElement()},
    {"figcaption", BlockElement()},
    {"figure", BlockElement()},
    {"form", BlockElement()},
    {"hgroup", BlockElement()},
    {"legend", BlockElement()},
    {"section", BlockElement()},
    {"summary", BlockElement()},
    {"hr", {.breaks = true, .is_void = true}},
    {"br", {.tag = HtmlTag::kBr, .is_void = true}},
    {"area", Void()},
    {"base", Void()},
    {"basefont", Void()},
    {"col", Void()},
    {"embed", Void()},
    {"frame", Void()},
    {"img", Void()},
    {"input", Void()},
    {"param", Void()},
    {"source", Void()},
    {"track", Void()},
    {"wbr", Void()},
    {"script", Dropped()},
    {"style", Dropped()},
    {"noscript", Dropped()},
    {"noframes", Dropped()},
    {"noembed", Dropped()},
    {"iframe", Dropped()},
    {"template", Dropped()},
    {"svg", Dropped()},
    {"annotation", Dropped()},  // Of MathML: the formula once more, as TeX.
    {"annotation-xml", Dropped()},
    {"audio", Dropped()},
    {"video", Dropped()},
    {"canvas", Dropped()},
    {"object", Dropped()},
    {"nav", Dropped()},
    {"button", Dropped()},
    {"select", Dropped()},
    {"textarea", Dropped()},
    {"datalist", Dropped()},
};

constexpr std::string_view kBoilerplateClasses[] = {
    "navheader",
    "navfooter",
    "list-of-tables",
    "list-of-figures",
    "list-of-examples",  // DocBook
    "headerlink",
    "sphinxsidebar",
    "related",
    "prev-next-area",  // Sphinx
    "toc",
    "toctree-wrapper",
    "table-of-contents",
    "tableofcontents",
    "mw-editsection",
    "mw-jump-link",
    "navbox",
    "catlinks",   // MediaWiki
    "nav-panel",  // Texinfo
    "anchor-link",
    "anchorjs-link",
    "header-anchor",
    "breadcrumb",
    "breadcrumbs",
    "navbar",
    "navigation",
    "skip-link",
    "sidebar-nav",
    "cookie-banner",
    "cookie-notice",
    "wy-nav-side",
    "rst-footer-buttons",
};

constexpr std::string_view kBoilerplateIds[] = {
    "toc",      "navbar",   "navigation",    "site-nav", "breadcrumbs", "sphinxsidebar",
    "nav-path", "side-nav", "mw-navigation", "mw-panel", "catlinks",    "cookie-banner",
};

constexpr std::string_view kBoilerplateRoles[] = {
    "navigation", "banner", "contentinfo", "search", "menu", "menubar", "doc-toc",
};

bool HasWord(std::string_view words, absl::Span<const std::string_view> wanted) {
  size_t at = 0;
  while (at < words.size()) {
    while (at < words.size() && IsAsciiSpace(words[at])) ++at;
    const size_t begin = at;
    while (at < words.size() && !IsAsciiSpace(words[at])) ++at;
    const std::string_view word = words.substr(begin, at - begin);
    for (const std::string_view candidate : wanted) {
      if (EqualsIgnoreCase(word, candidate)) return true;
    }
  }
  return false;
}

// "display: none", with whatever white space.
bool HidesByStyle(std::string_view style) {
  constexpr size_t kLongestStyle = 4096;
  std::string compact;
  for (const char c : style.substr(0, kLongestStyle)) {
    if (!IsAsciiSpace(c)) compact.push_back(AsciiLower(c));
  }
  return compact.find("display:none") != std::string::npos ||
         compact.find("visibility:hidden") != std::string::npos;
}

}  // namespace

HtmlNames::HtmlNames() {
  numbers_.reserve(2 * std::size(kElements));
  for (const auto& known : kElements) {
    numbers_.emplace(known.name, static_cast<uint32_t>(elements_.size()));
    elements_.push_back(known.element);
  }
}

uint32_t HtmlNames::Number(std::string_view name) {
  const auto found = numbers_.find(AbslView(name));
  if (found != numbers_.end()) return found->second;
  const auto number = static_cast<uint32_t>(elements_.size());
  numbers_.emplace(name, number);
  elements_.emplace_back();
  return number;
}

const std::string_view* FindAttribute(absl::Span<const HtmlTokenizer::Attribute> attributes,
                                      std::string_view name) {
  for (const HtmlTokenizer::Attribute& attribute : attributes) {
    if (attribute.name == name) return &attribute.value;
  }
  return nullptr;
}

bool IsBoilerplate(absl::Span<const HtmlTokenizer::Attribute> attributes) {
  for (const auto& [name, value] : attributes) {
    if (name == "class") {
      if (HasWord(value, kBoilerplateClasses)) return true;
    } else if (name == "id") {
      if (HasWord(value, kBoilerplateIds)) return true;
    } else if (name == "role") {
      if (HasWord(value, kBoilerplateRoles)) return true;
    } else if (name == "aria-hidden") {
      if (EqualsIgnoreCase(value, "true")) return true;
    } else if (name == "style") {
      if (HidesByStyle(value)) return true;
    } else if (name == "hidden") {
      return true;
    }
  }
  return false;
}

}  // namespace cairn::chunking
