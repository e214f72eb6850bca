// Who calls the server, what they may do, and how their collections are called in the store.
#ifndef CAIRN_SERVICES_SERVER_ACCESS_H_
#define CAIRN_SERVICES_SERVER_ACCESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::services {

enum class Permission : uint8_t {
  kRead,   // Search, get, list, ask.
  kWrite,  // Ingest and delete documents.
  kAdmin,  // Make and drop collections, maintenance.
};

// Permissions on some of a tenant's collections. None includes another.
struct Grant {
  std::string collections;  // An id, a prefix followed by "*", or "*".
  bool read = false;
  bool write = false;
  bool admin = false;
};

// Who presented a token. A server without tokens takes everybody for one with a grant on "*".
struct Identity {
  std::string tenant;  // Empty: the default tenant.
  std::string token;   // The token's name, for logs.
  std::vector<Grant> grants;

  // `collection` is an id as the tenant has it, not the store's name. Whether it is a good id is
  // not looked at: StoredCollectionName does.
  bool Allows(Permission permission, std::string_view collection) const;
  // Whether there is a pattern that it is granted on.
  bool AllowsAny(Permission permission) const;
};

// InvalidArgument unless it is [a-z0-9][a-z0-9-]{0,31}. The default tenant's "" is none.
absl::Status CheckTenant(std::string_view tenant);
// InvalidArgument unless it is an id, the beginning of one followed by "*", or "*".
absl::Status CheckCollectionPattern(std::string_view pattern);

// The store's name for a tenant's collection; docs/formats/tokens.md. No two pairs of tenant and id
// have the same. InvalidArgument for a bad id or tenant. `tenant` may be "", the default one.
absl::StatusOr<std::string> StoredCollectionName(std::string_view tenant, std::string_view id);
// Its inverse; nothing for another tenant's collection, and for a name that no id leads to.
std::optional<std::string> CollectionIdOf(std::string_view tenant, std::string_view stored);
// What the stored names of all of a good tenant's collections begin with; "" for the default one,
// whose names are not all that do.
std::string StoredCollectionPrefix(std::string_view tenant);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_ACCESS_H_
