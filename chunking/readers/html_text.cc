#include "chunking/readers/html_text.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "chunking/readers/html_blocks.h"
#include "chunking/readers/html_elements.h"
#include "chunking/readers/html_entities.h"
#include "chunking/readers/html_tokenizer.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

// Elements nested deeper than this are read as if their tags were not there.
constexpr size_t kMaxDepth = 4096;
constexpr int32_t kNone = -1;

class HtmlExtractor {
 public:
  HtmlExtractor(std::string_view html, Document* document)
      : tokenizer_(html, html.starts_with("<?xml")),
        xml_rules_(html.starts_with("<?xml")),
        document_(*document),
        blocks_(&context_) {}

  void Run() {
    HtmlTokenizer::Token token;
    while (tokenizer_.Next(&token)) {
      switch (token.type) {
        case HtmlTokenizer::Type::kText:
          OnText(token);
          break;
        case HtmlTokenizer::Type::kStart:
          OnStart(token);
          break;
        case HtmlTokenizer::Type::kEnd:
          OnEnd(token.name);
          break;
        case HtmlTokenizer::Type::kDone:
          break;
      }
    }
    while (!open_.empty()) Pop();
    blocks_.Finish(&document_);
    document_.title = OneLine(title_);
    if (document_.title.empty()) document_.title = FirstHeading();
    document_.title = CutTitle(std::move(document_.title));
  }

 private:
  struct Open {
    uint32_t name;
    int32_t outer_same;   // Index in open_ of the next outer element of this name; kNone.
    int32_t outer_scope;  // innermost_scope_ before this element.
    bool dropped;
    bool is_main;
  };

  const HtmlElement& ElementOf(const Open& open) const { return names_.element(open.name); }

  int32_t Innermost(uint32_t name) const {
    return name < innermost_.size() ? innermost_[name] : kNone;
  }
  int32_t Innermost(std::string_view name) { return Innermost(names_.Number(name)); }

  void OnText(const HtmlTokenizer::Token& token) {
    if (dropped_ > 0) return;
    std::string* title = in_title_ ? &title_ : nullptr;
    if (token.literal || !Contains(token.text, '&')) {
      title != nullptr ? static_cast<void>(title->append(token.text)) : blocks_.AddText(token.text);
      return;
    }
    const std::string decoded = DecodeEntities(token.text);
    title != nullptr ? static_cast<void>(title->append(decoded)) : blocks_.AddText(decoded);
  }

  void OnStart(const HtmlTokenizer::Token& token) {
    const uint32_t name = names_.Number(token.name);
    const HtmlElement element = names_.element(name);
    CloseImplied(name, element);
    if (element.tag == HtmlTag::kMeta) return OnMeta(token);
    if (element.tag == HtmlTag::kLink) return OnLink(token);
    if (element.tag == HtmlTag::kHtml) TakeLanguage(token);
    if (element.is_void) {
      if (dropped_ > 0) return;
      if (element.tag == HtmlTag::kBr) blocks_.AddLineBreak();
      if (element.breaks) blocks_.Break();
      return;
    }
    if (open_.size() >= kMaxDepth) {
      ++too_deep_;
      if (element.breaks && dropped_ == 0) blocks_.Break();
      return;
    }
    Push(name, element, token);
    if (xml_rules_ && token.self_closing) Pop();
  }

  // Closes the elements that HTML lets authors leave open before this one.
  void CloseImplied(uint32_t name, const HtmlElement& element) {
    if (!element.breaks) return;
    CloseInside(Innermost(p_), kNone);
    switch (element.tag) {
      case HtmlTag::kItem:
        CloseInside(Innermost(name),
                    std::max({Innermost("ul"), Innermost("ol"), Innermost("menu")}));
        break;
      case HtmlTag::kDt:
      case HtmlTag::kDd:
        CloseInside(std::max(Innermost("dt"), Innermost("dd")), Innermost("dl"));
        break;
      case HtmlTag::kCell:
        CloseCells();
        break;
      case HtmlTag::kRow:
      case HtmlTag::kRowGroup: {
        CloseCells();
        const int32_t table = Innermost(table_);
        CloseInside(Innermost("tr"), table);
        if (element.tag == HtmlTag::kRowGroup) {
          CloseInside(std::max({Innermost("thead"), Innermost("tbody"), Innermost("tfoot")}),
                      table);
        }
        break;
      }
      case HtmlTag::kHeading:
        if (!open_.empty() && ElementOf(open_.back()).tag == HtmlTag::kHeading) Pop();
        break;
      default:
        break;
    }
  }

  void CloseCells() {
    const int32_t cell = std::max({Innermost(td_), Innermost(th_), Innermost(caption_)});
    if (cell > Innermost(table_)) PopTo(cell);
  }

  // Pops down to the element at `index` unless `boundary` or a scope lies above it.
  void CloseInside(int32_t index, int32_t boundary) {
    if (index != kNone && index > boundary && index > innermost_scope_) PopTo(index);
  }

  void OnEnd(std::string_view name) {
    if (too_deep_ > 0) {
      --too_deep_;
      if (dropped_ == 0) blocks_.Break();
      return;
    }
    const uint32_t number = names_.Number(name);
    const int32_t index = Innermost(number);
    const HtmlElement& element = names_.element(number);
    if (element.tag == HtmlTag::kBr && dropped_ == 0) blocks_.AddLineBreak();
    // Inside a cell only what belongs to the table closes anything outside the cell.
    const bool closes_scopes = element.scope || element.tag == HtmlTag::kRow ||
                               element.tag == HtmlTag::kRowGroup || element.tag == HtmlTag::kBody;
    if (index == kNone || (!closes_scopes && index < innermost_scope_)) {
      // By the standard this is an empty paragraph.
      if (element.tag == HtmlTag::kParagraph && dropped_ == 0) blocks_.Break();
      return;
    }
    if (element.tag != HtmlTag::kTable && element.tag != HtmlTag::kHtml &&
        element.tag != HtmlTag::kBody && index < Innermost(table_)) {
      return;
    }
    PopTo(index);
  }

  void PopTo(int32_t index) {
    while (static_cast<int32_t>(open_.size()) > index) Pop();
  }

  bool IsDropped(const HtmlElement& element, const HtmlTokenizer::Token& token) const {
    if (element.dropped) return true;
    if (element.page_furniture && context_.main_depth == 0 && context_.article_depth == 0) {
      return true;
    }
    const bool whole_page = element.tag == HtmlTag::kHtml || element.tag == HtmlTag::kBody ||
                            element.tag == HtmlTag::kMain || element.tag == HtmlTag::kArticle;
    return !whole_page && !token.attributes.empty() && IsBoilerplate(token.attributes);
  }

  void Push(uint32_t name, const HtmlElement& element, const HtmlTokenizer::Token& token) {
    const bool dropped = IsDropped(element, token);
    if (dropped_ == 0 && element.breaks) blocks_.Break();
    const std::string_view* role = FindAttribute(token.attributes, "role");
    const bool is_main = element.tag == HtmlTag::kMain || (role != nullptr && *role == "main");
    if (innermost_.size() < names_.size()) innermost_.resize(names_.size(), kNone);
    open_.push_back({name, innermost_[name], innermost_scope_, dropped, is_main});
    innermost_[name] = static_cast<int32_t>(open_.size()) - 1;
    if (element.scope) innermost_scope_ = innermost_[name];
    if (dropped) ++dropped_;
    // Blocks are told apart inside dropped elements too, so that Pop undoes what was done here.
    Enter(element, is_main);
  }

  void Enter(const HtmlElement& element, bool is_main) {
    if (is_main) ++context_.main_depth;
    const bool visible = dropped_ == 0;
    switch (element.tag) {
      case HtmlTag::kArticle:
        ++context_.article_depth;
        break;
      case HtmlTag::kHeading:
        if (visible) blocks_.MarkLayout();
        if (visible) blocks_.ForceBreak();
        context_.heading_level = element.heading_level;
        break;
      case HtmlTag::kPre:
        if (visible) blocks_.MarkLayout();
        if (visible) blocks_.ForceBreak();
        ++context_.pre_depth;
        break;
      case HtmlTag::kBlockquote:
        ++context_.quote_depth;
        break;
      case HtmlTag::kDl:
      case HtmlTag::kList:
        if (visible) blocks_.ForceBreak();
        ++context_.list_depth;
        break;
      case HtmlTag::kItem:
      case HtmlTag::kDt:
      case HtmlTag::kDd:
        ++context_.item_depth;
        break;
      case HtmlTag::kTable:
        if (visible) blocks_.StartTable();
        break;
      case HtmlTag::kRow:
        if (visible) blocks_.StartRow();
        break;
      case HtmlTag::kCell:
        if (visible) blocks_.StartCell();
        break;
      case HtmlTag::kTitle:
        in_title_ = visible && title_.empty();
        break;
      default:
        break;
    }
  }

  void Pop() {
    const Open open = open_.back();
    const HtmlElement& element = ElementOf(open);
    const bool visible = dropped_ == 0;
    if (visible && element.tag == HtmlTag::kDt) {
      blocks_.JoinNext();
    } else if (visible && element.breaks) {
      blocks_.Break();
    }
    Leave(element, visible);
    if (open.is_main) --context_.main_depth;
    if (open.dropped) --dropped_;
    innermost_[open.name] = open.outer_same;
    innermost_scope_ = open.outer_scope;
    open_.pop_back();
  }

  void Leave(const HtmlElement& element, bool visible) {
    switch (element.tag) {
      case HtmlTag::kArticle:
        --context_.article_depth;
        break;
      case HtmlTag::kHeading:
        context_.heading_level = 0;
        break;
      case HtmlTag::kPre:
        --context_.pre_depth;
        break;
      case HtmlTag::kBlockquote:
        --context_.quote_depth;
        break;
      case HtmlTag::kDl:
      case HtmlTag::kList:
        if (visible) blocks_.ForceBreak();
        --context_.list_depth;
        break;
      case HtmlTag::kItem:
      case HtmlTag::kDt:
      case HtmlTag::kDd:
        --context_.item_depth;
        break;
      case HtmlTag::kTable:
        if (visible) blocks_.EndTable();
        break;
      case HtmlTag::kRow:
        if (visible) blocks_.EndRow();
        break;
      case HtmlTag::kCell:
        if (visible) blocks_.EndCell();
        break;
      case HtmlTag::kTitle:
        in_title_ = false;
        break;
      default:
        break;
    }
  }

  void TakeLanguage(const HtmlTokenizer::Token& token) {
    const std::string_view* lang = FindAttribute(token.attributes, "lang");
    if (lang == nullptr) lang = FindAttribute(token.attributes, "xml:lang");
    if (lang != nullptr) SetMetadata("lang", *lang);
  }

  void OnLink(const HtmlTokenizer::Token& token) {
    const std::string_view* rel = FindAttribute(token.attributes, "rel");
    const std::string_view* href = FindAttribute(token.attributes, "href");
    if (rel != nullptr && href != nullptr && EqualsIgnoreCase(*rel, "canonical")) {
      SetMetadata("url", *href);
    }
  }

  void OnMeta(const HtmlTokenizer::Token& token) {
    const std::string_view* name = FindAttribute(token.attributes, "name");
    if (name == nullptr) name = FindAttribute(token.attributes, "property");
    const std::string_view* content = FindAttribute(token.attributes, "content");
    if (name == nullptr || content == nullptr) return;
    static constexpr struct {
      std::string_view name, key;
    } kKnown[] = {
        {"author", "author"},
        {"dc.creator", "author"},
        {"description", "description"},
        {"og:description", "description"},
        {"date", "date"},
        {"dc.date", "date"},
        {"dcterms.date", "date"},
        {"article:published_time", "date"},
        {"keywords", "keywords"},
    };
    for (const auto& known : kKnown) {
      if (EqualsIgnoreCase(*name, known.name)) return SetMetadata(known.key, *content);
    }
  }

  // The first value of a key stays.
  void SetMetadata(std::string_view key, std::string_view raw) {
    std::string value = OneLine(DecodeEntities(raw));
    if (value.empty() || document_.metadata.count(key) > 0) return;
    if (key != "keywords") {
      document_.metadata.emplace(key, std::move(value));
      return;
    }
    std::vector<std::string> words;
    for (size_t at = 0; at < value.size();) {
      const size_t end = std::min(value.find(',', at), value.size());
      const std::string_view word = Trim(std::string_view(value).substr(at, end - at));
      if (!word.empty()) words.emplace_back(word);
      at = end + 1;
    }
    if (!words.empty()) document_.metadata.emplace(key, std::move(words));
  }

  std::string FirstHeading() const {
    for (const Block& block : document_.blocks) {
      if (block.kind == BlockKind::kHeading && block.level == 1) {
        return OneLine(
            std::string_view(document_.text).substr(block.span.begin, block.span.size()));
      }
    }
    return "";
  }

  HtmlTokenizer tokenizer_;
  const bool xml_rules_;
  Document& document_;
  HtmlNames names_;
  const uint32_t p_ = names_.Number("p");
  const uint32_t table_ = names_.Number("table");
  const uint32_t td_ = names_.Number("td");
  const uint32_t th_ = names_.Number("th");
  const uint32_t caption_ = names_.Number("caption");
  HtmlContext context_;
  HtmlBlocks blocks_;
  std::string title_;
  bool in_title_ = false;
  std::vector<Open> open_;
  std::vector<int32_t> innermost_;  // By name: index in open_ of the innermost such element.
  int32_t innermost_scope_ = kNone;
  size_t dropped_ = 0;   // Open elements that are dropped.
  size_t too_deep_ = 0;  // Start tags passed over at kMaxDepth, still to be ended.
};

}  // namespace

absl::Status ExtractHtml(std::string_view html, Document* document) {
  HtmlExtractor(html, document).Run();
  if (document->blocks.empty()) {
    return absl::InvalidArgumentError(
        "empty document: the page has no text, navigation and scripts aside");
  }
  return absl::OkStatus();
}

}  // namespace cairn::chunking
