#include "services/server/access.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cairn::services {
namespace {

// Between tenant and id. A tenant's name has no dot, and an id neither begins with one nor has two
// in a row: the first pair in a stored name is this one.
constexpr std::string_view kSeparator = "..";
constexpr size_t kMaxStoredBytes = 128;  // The store's.
constexpr size_t kMaxTenantBytes = 32;

bool IsIdCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
}

// Whether an id may begin with `text`. So may "" be.
bool BeginsAnId(std::string_view text) {
  return text.size() <= kMaxStoredBytes && !text.starts_with('.') &&
         text.find(kSeparator) == text.npos && std::all_of(text.begin(), text.end(), IsIdCharacter);
}

bool IsTenant(std::string_view tenant) {
  const auto letter_or_digit = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c));
  };
  return !tenant.empty() && tenant.size() <= kMaxTenantBytes && letter_or_digit(tenant[0]) &&
         std::all_of(tenant.begin(), tenant.end(),
                     [&](char c) { return letter_or_digit(c) || c == '-'; });
}

bool Matches(std::string_view pattern, std::string_view collection) {
  if (pattern.ends_with('*')) return collection.starts_with(pattern.substr(0, pattern.size() - 1));
  return collection == pattern && !pattern.empty();
}

bool Has(const Grant& grant, Permission permission) {
  switch (permission) {
    case Permission::kRead:
      return grant.read;
    case Permission::kWrite:
      return grant.write;
    case Permission::kAdmin:
      return grant.admin;
  }
  return false;
}

}  // namespace

bool Identity::Allows(Permission permission, std::string_view collection) const {
  return std::any_of(grants.begin(), grants.end(), [&](const Grant& grant) {
    return Has(grant, permission) && Matches(grant.collections, collection);
  });
}

bool Identity::AllowsAny(Permission permission) const {
  return std::any_of(grants.begin(), grants.end(), [&](const Grant& grant) {
    return Has(grant, permission) && !grant.collections.empty();
  });
}

absl::Status CheckTenant(std::string_view tenant) {
  if (IsTenant(tenant)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("bad tenant: use lower-case letters, digits and \"-\", not first, at most ",
                   kMaxTenantBytes, " bytes"));
}

absl::Status CheckCollectionPattern(std::string_view pattern) {
  const bool prefix = pattern.ends_with('*');
  if (prefix) pattern.remove_suffix(1);
  if ((prefix || !pattern.empty()) && BeginsAnId(pattern)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "bad pattern: use a collection, the beginning of one followed by \"*\", or \"*\"");
}

absl::StatusOr<std::string> StoredCollectionName(std::string_view tenant, std::string_view id) {
  if (!tenant.empty()) {
    if (absl::Status s = CheckTenant(tenant); !s.ok()) return s;
  }
  std::string stored = StoredCollectionPrefix(tenant);
  const size_t room = kMaxStoredBytes - stored.size();
  if (id.empty() || id.size() > room || !BeginsAnId(id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("bad collection: use letters, digits, \"-\", \"_\" and \".\", not \".\" first "
                     "nor two of them in a row, at most ",
                     room, " bytes"));
  }
  return stored.append(id);
}

std::optional<std::string> CollectionIdOf(std::string_view tenant, std::string_view stored) {
  const std::string prefix = StoredCollectionPrefix(tenant);
  if (!stored.starts_with(prefix)) return std::nullopt;
  const std::string_view id = stored.substr(prefix.size());
  if (!StoredCollectionName(tenant, id).ok()) return std::nullopt;
  return std::string(id);
}

std::string StoredCollectionPrefix(std::string_view tenant) {
  return tenant.empty() ? std::string() : std::string(tenant).append(kSeparator);
}

}  // namespace cairn::services
