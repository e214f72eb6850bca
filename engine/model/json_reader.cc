#include "engine/model/json_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cairn::engine {
namespace {

using Kind = JsonValue::Kind;
using Visitor = absl::FunctionRef<absl::Status(JsonPath, const JsonValue&)>;

// Receives nlohmann's events; the parser behind it keeps its own stack, so depth costs no
// recursion.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  Handler(size_t max_depth, Visitor visit) : max_depth_(max_depth), visit_(visit) {}

  const absl::Status& status() const { return status_; }

  bool null() override { return Visit({}); }
  bool boolean(bool value) override { return Visit({.kind = Kind::kBool, .boolean = value}); }
  bool number_integer(number_integer_t value) override {
    return Visit({.kind = Kind::kNegative, .real = static_cast<double>(value)});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Visit({.kind = Kind::kUnsigned, .number = value, .real = static_cast<double>(value)});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return Visit({.kind = Kind::kReal, .real = value});
  }
  bool string(string_t& value) override { return Visit({.kind = Kind::kString, .text = value}); }
  bool binary(binary_t&) override { return Fail("binary value"); }

  bool start_object(std::size_t) override { return Open(Kind::kObject, ""); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(Kind::kArray, "[]"); }
  bool end_array() override { return Close(); }

  bool key(string_t& value) override {
    if (!keys_.back().insert(value).second) {
      return Fail(absl::StrCat("duplicate key \"", Printable(value), "\""));
    }
    path_.back() = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return Fail(absl::StrCat("not valid JSON at byte ", position));
  }

 private:
  bool Fail(absl::string_view message) {
    status_ = absl::InvalidArgumentError(message);
    return false;
  }

  bool Visit(const JsonValue& value) {
    status_ = visit_(path_, value);
    return status_.ok();
  }

  bool Open(Kind kind, const char* step) {
    if (path_.size() == max_depth_) return Fail(absl::StrCat("nested deeper than ", max_depth_));
    if (!Visit({.kind = kind})) return false;
    path_.emplace_back(step);
    keys_.emplace_back();
    return true;
  }

  bool Close() {
    path_.pop_back();
    keys_.pop_back();
    return true;
  }

  const size_t max_depth_;
  const Visitor visit_;
  absl::Status status_;
  std::vector<std::string> path_;
  std::vector<std::unordered_set<std::string>> keys_;  // Parallel to path_; empty for arrays.
};

}  // namespace

absl::Status ReadJson(std::string_view json, size_t max_depth, Visitor visit) {
  // The parser takes a NUL for the end of the text and would ignore what follows it, and skips a
  // byte order mark, which JSON forbids.
  const size_t nul = json.find('\0');
  if (nul != json.npos) return absl::InvalidArgumentError(absl::StrCat("NUL at byte ", nul));
  if (json.substr(0, 3) == "\xef\xbb\xbf") {
    return absl::InvalidArgumentError("begins with a byte order mark");
  }
  Handler handler(max_depth, visit);
  const bool complete = nlohmann::json::sax_parse(json.begin(), json.end(), &handler);
  if (!complete && handler.status().ok()) return absl::InvalidArgumentError("not valid JSON");
  return handler.status();
}

std::string Printable(std::string_view text) {
  constexpr size_t kLongest = 80;
  size_t end = std::min(text.size(), kLongest);
  const bool cut = end < text.size();
  while (cut && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  std::string printable = absl::Utf8SafeCHexEscape(absl::string_view(text.data(), end));
  if (cut) printable += "...";
  return printable;
}

}  // namespace cairn::engine
