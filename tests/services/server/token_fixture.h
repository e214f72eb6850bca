// A server with a token file, which tests write to.
#ifndef CAIRN_TESTS_SERVICES_SERVER_TOKEN_FIXTURE_H_
#define CAIRN_TESTS_SERVICES_SERVER_TOKEN_FIXTURE_H_

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "services/server/token_file.h"
#include "services/server/token_secret.h"
#include "tests/services/server/server_fixture.h"

namespace cairn::services {

class TokenServerTest : public ServerTest {
 protected:
  TokenServerTest() { options_.token_file = dir_.file("tokens"); }

  static Grant All() { return {.collections = "*", .read = true, .write = true, .admin = true}; }

  // Adds a token to the file, and returns its secret. To be called before Start, or be followed by
  // ReloadTokens.
  std::string AddToken(const std::string& name, const std::string& tenant,
                       const std::vector<Grant>& grants,
                       std::optional<absl::CivilDay> last_day = std::nullopt) {
    absl::StatusOr<std::string> secret = NewTokenSecret();
    EXPECT_TRUE(secret.ok());
    TokenEntry& token = tokens_.emplace_back();
    token.identity.token = name;
    token.identity.tenant = tenant;
    token.identity.grants = grants;
    token.digest = *DigestOf(*secret);
    token.last_day = last_day;
    WriteTokens();
    return *secret;
  }
  void RevokeToken(const std::string& name) {
    std::erase_if(tokens_, [&](const TokenEntry& t) { return t.identity.token == name; });
    WriteTokens();
  }

 private:
  // A new file in the old one's place, as cairn token does it.
  void WriteTokens() const {
    std::string text(kTokenFileHeader);
    for (const TokenEntry& token : tokens_) text += FormatToken(token);
    std::filesystem::rename(dir_.Write("tokens.new", text), options_.token_file);
  }

  std::vector<TokenEntry> tokens_;
};

}  // namespace cairn::services

#endif  // CAIRN_TESTS_SERVICES_SERVER_TOKEN_FIXTURE_H_
