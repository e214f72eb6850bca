#include "chunking/readers/html_tokenizer.h"

#include <algorithm>

#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

bool EndsName(char c) { return IsAsciiSpace(c) || c == '/' || c == '>'; }

void AppendLower(std::string_view name, std::string* out) {
  out->assign(name.substr(0, HtmlTokenizer::kMaxNameBytes));
  for (char& c : *out) c = AsciiLower(c);
}

// Elements whose content is text up to their end tag; those of which character references count.
bool IsRawText(std::string_view name) {
  return name == "script" || name == "style" || name == "xmp" || name == "iframe" ||
         name == "noembed" || name == "noframes";
}
bool IsEscapableRawText(std::string_view name) { return name == "title" || name == "textarea"; }

}  // namespace

bool HtmlTokenizer::Next(Token* token) {
  token->attributes.clear();
  token->self_closing = false;
  token->literal = false;
  token->text = {};
  if (!raw_element_.empty()) {
    TakeRawText(token);
    if (!token->text.empty()) return true;
  }
  while (at_ < html_.size()) {
    if (StartsMarkup(at_)) {
      if (ParseMarkup(token)) return true;
      continue;
    }
    const size_t begin = at_;
    do {
      at_ = std::min(html_.find('<', at_ + 1), html_.size());
    } while (at_ < html_.size() && !StartsMarkup(at_));
    token->type = Type::kText;
    token->text = html_.substr(begin, at_ - begin);
    return true;
  }
  token->type = Type::kDone;
  return false;
}

bool HtmlTokenizer::StartsMarkup(size_t at) const {
  if (html_[at] != '<') return false;
  const char next = At(at + 1);
  return IsAsciiLetter(next) || next == '!' || next == '?' || next == '/';
}

bool HtmlTokenizer::ParseMarkup(Token* token) {
  const char next = At(at_ + 1);
  if (next == '!') return ParseDeclaration(token);
  if (next == '?' || (next == '/' && !IsAsciiLetter(At(at_ + 2)))) {
    SkipBehind(">");
    return false;
  }
  return ParseTag(token);
}

void HtmlTokenizer::SkipBehind(std::string_view end) {
  const size_t found = html_.find(end, at_);
  at_ = found == std::string_view::npos ? html_.size() : found + end.size();
}

bool HtmlTokenizer::ParseDeclaration(Token* token) {
  const std::string_view rest = html_.substr(at_);
  if (rest.starts_with("<!--")) {
    at_ += 2;  // "<!-->" is a whole comment: the dashes may be both ends'.
    SkipBehind("-->");
    return false;
  }
  constexpr std::string_view kCdata = "<![CDATA[";
  if (xml_rules_ && rest.starts_with(kCdata)) {
    const size_t begin = at_ + kCdata.size();
    SkipBehind("]]>");
    token->type = Type::kText;
    token->text = html_.substr(begin, at_ - begin);
    if (token->text.ends_with("]]>")) token->text.remove_suffix(3);
    token->literal = true;
    return true;
  }
  SkipBehind(">");
  return false;
}

bool HtmlTokenizer::ParseTag(Token* token) {
  const bool is_end = html_[at_ + 1] == '/';
  const size_t begin = at_ + (is_end ? 2 : 1);
  size_t end = begin;
  while (end < html_.size() && !EndsName(html_[end])) ++end;
  AppendLower(html_.substr(begin, end - begin), &token->name);
  at_ = end;
  ParseAttributes(token);
  if (at_ == html_.size()) return false;  // The input ends inside the tag.
  ++at_;
  if (is_end) {
    token->type = Type::kEnd;
    return true;
  }
  token->type = Type::kStart;
  if (!(xml_rules_ && token->self_closing) &&
      (IsRawText(token->name) || IsEscapableRawText(token->name))) {
    raw_element_ = token->name;
  }
  return true;
}

void HtmlTokenizer::ParseAttributes(Token* token) {
  while (at_ < html_.size() && html_[at_] != '>') {
    if (IsAsciiSpace(html_[at_]) || html_[at_] == '/') {
      token->self_closing = html_[at_] == '/' && At(at_ + 1) == '>';
      ++at_;
      continue;
    }
    const size_t begin = at_++;  // A name may start with "=".
    while (at_ < html_.size() && !EndsName(html_[at_]) && html_[at_] != '=') ++at_;
    const std::string_view name = html_.substr(begin, at_ - begin);
    size_t equals = at_;
    while (equals < html_.size() && IsAsciiSpace(html_[equals])) ++equals;
    std::string_view value;
    if (At(equals) == '=') {
      at_ = equals + 1;
      value = ParseAttributeValue();
    } else {
      at_ = equals;
    }
    if (token->attributes.size() < kMaxAttributes) {
      AppendLower(name, &token->attributes.emplace_back().name);
      token->attributes.back().value = value;
    }
  }
}

std::string_view HtmlTokenizer::ParseAttributeValue() {
  while (at_ < html_.size() && IsAsciiSpace(html_[at_])) ++at_;
  const char quote = At(at_);
  if (quote == '"' || quote == '\'') {
    const size_t begin = ++at_;
    const size_t end = std::min(html_.find(quote, begin), html_.size());
    at_ = std::min(end + 1, html_.size());
    return html_.substr(begin, end - begin);
  }
  const size_t begin = at_;
  while (at_ < html_.size() && !IsAsciiSpace(html_[at_]) && html_[at_] != '>') ++at_;
  return html_.substr(begin, at_ - begin);
}

void HtmlTokenizer::TakeRawText(Token* token) {
  const size_t begin = at_;
  while (true) {
    at_ = std::min(html_.find("</", at_), html_.size());
    if (at_ == html_.size()) break;
    const size_t name_end = at_ + 2 + raw_element_.size();
    if (name_end < html_.size() && EndsName(html_[name_end]) &&
        EqualsIgnoreCase(html_.substr(at_ + 2, raw_element_.size()), raw_element_)) {
      break;
    }
    at_ += 2;
  }
  token->type = Type::kText;
  token->text = html_.substr(begin, at_ - begin);
  token->literal = !IsEscapableRawText(raw_element_);
  raw_element_.clear();
}

}  // namespace cairn::chunking
