#include "services/server/token_file.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace cairn::services {
namespace {

constexpr size_t kMaxTokenNameBytes = 64;
constexpr std::string_view kBlanks = " \t";
constexpr char kDefaultTenant[] = "-";
constexpr char kDigestMark[] = "sha256:";
constexpr char kNever[] = "never";

struct PermissionName {
  const char* name;
  bool Grant::*granted;
};
constexpr std::array<PermissionName, 3> kPermissionNames = {
    {{"read", &Grant::read}, {"write", &Grant::write}, {"admin", &Grant::admin}}};

// Reads one token's line, which errors tell the column of.
class LineParser {
 public:
  LineParser(std::string_view line, size_t number) : line_(line), number_(number) {}

  absl::StatusOr<TokenEntry> Parse() {
    TokenEntry token;
    token.line = number_;
    absl::Status s = ParseName(&token);
    if (s.ok()) s = ParseTenant(&token);
    if (s.ok()) s = ParseDigest(&token);
    if (s.ok()) s = ParseExpiry(&token);
    if (s.ok()) s = ParseGrants(&token);
    if (!s.ok()) return s;
    return token;
  }

  // `at` is an offset in the line.
  absl::Status FaultAt(size_t at, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", number_, ", column ", at + 1, ": ", what));
  }

 private:
  // The next field, "" at the line's end; begin_ is where it begins.
  std::string_view Next() {
    begin_ = std::min(line_.find_first_not_of(kBlanks, end_), line_.size());
    end_ = std::min(line_.find_first_of(kBlanks, begin_), line_.size());
    return line_.substr(begin_, end_ - begin_);
  }
  absl::Status Fault(absl::string_view what) const { return FaultAt(begin_, what); }
  absl::Status Fault(const absl::Status& why) const { return FaultAt(begin_, why.message()); }

  absl::Status ParseName(TokenEntry* token) {
    token->identity.token = Next();
    const absl::Status s = CheckTokenName(token->identity.token);
    return s.ok() ? s : Fault(s);
  }

  absl::Status ParseTenant(TokenEntry* token) {
    const std::string_view field = Next();
    if (field.empty()) return Fault("expected a tenant, or \"-\" for the default one");
    if (field == kDefaultTenant) return absl::OkStatus();
    token->identity.tenant = field;
    const absl::Status s = CheckTenant(field);
    return s.ok() ? s : Fault(s);
  }

  absl::Status ParseDigest(TokenEntry* token) {
    std::string_view hex = Next();
    const bool marked = hex.starts_with(kDigestMark);
    if (marked) hex.remove_prefix(sizeof(kDigestMark) - 1);
    const auto digit = [](char c) {
      return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
    };
    if (!marked || hex.size() != 2 * token->digest.size() ||
        !std::all_of(hex.begin(), hex.end(), digit)) {
      return Fault("expected \"sha256:\" and 64 lower-case hexadecimal digits");
    }
    const std::string bytes = absl::HexStringToBytes(std::string(hex));
    std::copy(bytes.begin(), bytes.end(), token->digest.begin());
    return absl::OkStatus();
  }

  absl::Status ParseExpiry(TokenEntry* token) {
    const std::string_view field = Next();
    if (field == kNever) return absl::OkStatus();
    const absl::StatusOr<absl::CivilDay> day = ParseDay(field);
    if (!day.ok()) return Fault("expected \"never\", or the last day as YYYY-MM-DD");
    token->last_day = *day;
    return absl::OkStatus();
  }

  absl::Status ParseGrants(TokenEntry* token) {
    std::vector<Grant>& grants = token->identity.grants;
    std::array<bool, kPermissionNames.size()> seen = {};
    std::string_view field = Next();
    if (field.empty()) return Fault("expected \"read=\", \"write=\" or \"admin=\"");
    for (; !field.empty(); field = Next()) {
      const size_t name = field.find('=');
      const auto permission =
          std::find_if(kPermissionNames.begin(), kPermissionNames.end(),
                       [&](const auto& p) { return p.name == field.substr(0, name); });
      if (name == field.npos || permission == kPermissionNames.end()) {
        return Fault("expected \"read=\", \"write=\" or \"admin=\"");
      }
      if (std::exchange(seen[permission - kPermissionNames.begin()], true)) {
        return Fault(absl::StrCat("a second \"", permission->name, "=\""));
      }
      absl::Status s = ParsePatterns(field.substr(name + 1), permission->granted, &grants);
      if (!s.ok()) return s;
    }
    return absl::OkStatus();
  }

  // `list` is a part of line_.
  absl::Status ParsePatterns(std::string_view list, bool Grant::*granted,
                             std::vector<Grant>* grants) const {
    if (list.empty()) return absl::OkStatus();
    while (true) {
      const std::string_view pattern = list.substr(0, list.find(','));
      if (const absl::Status s = CheckCollectionPattern(pattern); !s.ok()) {
        return FaultAt(static_cast<size_t>(pattern.data() - line_.data()), s.message());
      }
      auto at = std::lower_bound(
          grants->begin(), grants->end(), pattern,
          [](const Grant& grant, std::string_view p) { return grant.collections < p; });
      if (at == grants->end() || at->collections != pattern) {
        at = grants->insert(at, Grant{.collections = std::string(pattern)});
      }
      (*at).*granted = true;
      if (pattern.size() == list.size()) return absl::OkStatus();
      list.remove_prefix(pattern.size() + 1);
    }
  }

  const std::string_view line_;
  const size_t number_;
  size_t begin_ = 0, end_ = 0;  // Of the field that was read last.
};

// Reads all lines.
class FileParser {
 public:
  absl::StatusOr<std::vector<TokenEntry>> Parse(std::string_view text) && {
    if (text.size() > kMaxTokenFileBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("the file is larger than ", kMaxTokenFileBytes, " bytes"));
    }
    if (!text.starts_with(kTokenFileHeader)) {
      return LineParser("", 1).FaultAt(0, "the first line must be \"cairn-tokens 1\"");
    }
    text.remove_prefix(sizeof(kTokenFileHeader) - 1);
    for (size_t number = 2; !text.empty(); ++number) {
      const size_t end = text.find('\n');
      if (end == text.npos) {
        return LineParser("", number).FaultAt(text.size(), "the last line has no end");
      }
      if (absl::Status s = TakeLine(text.substr(0, end), number); !s.ok()) return s;
      text.remove_prefix(end + 1);
    }
    return std::move(tokens_);
  }

 private:
  absl::Status TakeLine(std::string_view line, size_t number) {
    LineParser parser(line, number);
    if (line.size() > kMaxTokenLineBytes) {
      return parser.FaultAt(kMaxTokenLineBytes,
                            absl::StrCat("the line is longer than ", kMaxTokenLineBytes, " bytes"));
    }
    const auto control = std::find_if(line.begin(), line.end(), [](char c) {
      return absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t';
    });
    if (control != line.end()) {
      return parser.FaultAt(static_cast<size_t>(control - line.begin()),
                            "a control character (lines end with a line feed alone)");
    }
    const size_t begin = line.find_first_not_of(kBlanks);
    if (begin == line.npos || line[begin] == '#') return absl::OkStatus();
    absl::StatusOr<TokenEntry> token = parser.Parse();
    if (!token.ok()) return token.status();
    if (tokens_.size() == kMaxTokens) {
      return parser.FaultAt(0, absl::StrCat("more than ", kMaxTokens, " tokens"));
    }
    if (!names_.insert(token->identity.token).second) {
      return parser.FaultAt(begin, "a second token of this name");
    }
    if (!digests_.insert(token->digest).second) {
      return parser.FaultAt(line.find(kDigestMark), "a second token with this secret");
    }
    tokens_.push_back(*std::move(token));
    return absl::OkStatus();
  }

  std::vector<TokenEntry> tokens_;
  absl::flat_hash_set<std::string> names_;
  absl::flat_hash_set<TokenDigest> digests_;
};

}  // namespace

bool TokenEntry::ExpiredAt(absl::Time now) const {
  return last_day.has_value() && now >= absl::FromCivil(*last_day + 1, absl::UTCTimeZone());
}

absl::Status CheckTokenName(std::string_view name) {
  const auto alphanumeric = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c));
  };
  if (!name.empty() && name.size() <= kMaxTokenNameBytes && alphanumeric(name[0]) &&
      std::all_of(name.begin(), name.end(),
                  [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("bad token name: use letters, digits, \"-\", \"_\" and \".\", a letter or digit "
                   "first, at most ",
                   kMaxTokenNameBytes, " bytes"));
}

absl::StatusOr<absl::CivilDay> ParseDay(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError("expected a day as YYYY-MM-DD, from 1970 on");
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size()) return bad;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kForm[i] == '-' ? text[i] != '-'
                        : !absl::ascii_isdigit(static_cast<unsigned char>(text[i]))) {
      return bad;
    }
  }
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (const char c : text.substr(at, digits)) value = value * 10 + (c - '0');
    return value;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  // The class makes days of all numbers: the 30th of February is one in March.
  const absl::CivilDay civil(year, month, day);
  if (year < 1970 || civil.month() != month || civil.day() != day) return bad;
  return civil;
}

absl::StatusOr<std::vector<TokenEntry>> ParseTokenFile(std::string_view text) {
  return FileParser().Parse(text);
}

std::string FormatGrants(const std::vector<Grant>& grants) {
  std::string text;
  for (const PermissionName& permission : kPermissionNames) {
    char before = '=';
    for (const Grant& grant : grants) {
      if (!(grant.*permission.granted)) continue;
      if (before == '=') absl::StrAppend(&text, text.empty() ? "" : " ", permission.name);
      text.append(1, before).append(grant.collections);
      before = ',';
    }
  }
  return text.empty() ? "read=" : text;
}

std::string FormatToken(const TokenEntry& token) {
  const std::string digest(token.digest.begin(), token.digest.end());
  const std::string& tenant = token.identity.tenant;
  const std::string expiry =
      token.last_day.has_value() ? absl::FormatCivilTime(*token.last_day) : kNever;
  return absl::StrCat(token.identity.token, " ", tenant.empty() ? kDefaultTenant : tenant, " ",
                      kDigestMark, absl::BytesToHexString(digest), " ", expiry, " ",
                      FormatGrants(token.identity.grants), "\n");
}

}  // namespace cairn::services
