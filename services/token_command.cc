// token: create, list and revoke what callers of the server present.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/server/access.h"
#include "services/server/token_file.h"
#include "services/server/token_file_editor.h"
#include "services/server/token_file_reader.h"
#include "services/server/token_secret.h"

namespace cairn::services {
namespace {

Json TokenJson(const TokenEntry& token, absl::Time now) {
  Json grants = Json::array();
  for (const Grant& grant : token.identity.grants) {
    grants.push_back({{"collections", grant.collections},
                      {"read", grant.read},
                      {"write", grant.write},
                      {"admin", grant.admin}});
  }
  Json last_day = nullptr;
  if (token.last_day.has_value()) last_day = absl::FormatCivilTime(*token.last_day);
  return {{"name", token.identity.token},
          {"tenant", token.identity.tenant},
          {"expires", last_day},
          {"expired", token.ExpiredAt(now)},
          {"grants", grants}};
}

class TokenCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("token", "Make, list and revoke tokens for the server");
    c->require_subcommand(0, 1);  // None is reported below: here it would hide a mistyped one.
    RegisterCreate(c);
    list_ = c->add_subcommand("list", "List the tokens of a file");
    list_->add_flag("--json", json_, "Print JSON");
    revoke_ = c->add_subcommand("revoke", "Take a token out of a file");
    revoke_->add_option("NAME", name_, "The token's name")->required();
    for (CLI::App* command : {create_, list_, revoke_}) {
      command->add_option("--token-file", file_, "The file of tokens")->required();
    }
    c->footer(
        "A running server takes up what changed within a second or two.\n\n"
        "Examples:\n"
        "  cairn token create --token-file tokens --name importer --read '*' --write 'docs-*'\n"
        "  cairn token create --token-file tokens --name guest --tenant acme --read docs \\\n"
        "    --expires 2027-01-31\n"
        "  cairn token list --token-file tokens\n"
        "  cairn token revoke --token-file tokens guest");
    return c;
  }

  int Run() override {
    if (create_->parsed()) return Create();
    if (list_->parsed()) return List();
    if (revoke_->parsed()) return Revoke();
    return FailUsage("token needs a command; cairn token --help lists them");
  }

 private:
  void RegisterCreate(CLI::App* parent) {
    create_ = parent->add_subcommand("create", "Add a token and print its secret, this once");
    create_->add_option("--name", name_, "The token's name, for logs and for revoke")->required();
    create_->add_option("--tenant", tenant_, "Whose collections it is for (default: the default)");
    const auto patterns = [&](const char* flag, std::vector<std::string>* list, const char* what) {
      create_
          ->add_option(flag, *list,
                       absl::StrCat(what, ": a collection, a prefix and *, or *; repeatable"))
          ->type_name("PATTERN")
          ->allow_extra_args(false);
    };
    patterns("--read", &read_, "May search, get, list and ask");
    patterns("--write", &write_, "May ingest and delete documents");
    patterns("--admin", &admin_, "May make and drop collections and maintain them");
    create_->add_option("--expires", expires_,
                        "The last day in UTC on which it works (YYYY-MM-DD)");
    create_->footer("No permission includes another: name each that the token is to have.");
  }

  // What the flags describe. InvalidArgument for what the command line got wrong.
  absl::StatusOr<TokenEntry> Described() const {
    TokenEntry token;
    token.identity.token = name_;
    token.identity.tenant = tenant_.value_or("");
    absl::Status s = CheckTokenName(name_);
    if (s.ok() && tenant_.has_value()) s = CheckTenant(*tenant_);
    if (s.ok() && read_.empty() && write_.empty() && admin_.empty()) {
      s = absl::InvalidArgumentError("a token needs --read, --write or --admin");
    }
    if (s.ok()) s = AddGrants(read_, &Grant::read, &token);
    if (s.ok()) s = AddGrants(write_, &Grant::write, &token);
    if (s.ok()) s = AddGrants(admin_, &Grant::admin, &token);
    if (!s.ok()) return s;
    if (expires_.has_value()) {
      const absl::StatusOr<absl::CivilDay> day = ParseDay(*expires_);
      if (!day.ok()) return day.status();
      token.last_day = *day;
      if (token.ExpiredAt(absl::Now())) {
        return absl::InvalidArgumentError(absl::StrCat("--expires ", *expires_, " is in the past"));
      }
    }
    return token;
  }

  static absl::Status AddGrants(const std::vector<std::string>& patterns, bool Grant::*granted,
                                TokenEntry* token) {
    for (const std::string& pattern : patterns) {
      if (absl::Status s = CheckCollectionPattern(pattern); !s.ok()) return s;
      Grant grant{.collections = pattern};
      grant.*granted = true;
      token->identity.grants.push_back(std::move(grant));
    }
    return absl::OkStatus();
  }

  int Create() const {
    absl::StatusOr<TokenEntry> token = Described();
    if (!token.ok()) return Fail(token.status());
    const absl::StatusOr<std::string> secret = NewTokenSecret();
    if (!secret.ok()) return FailInput(secret.status());
    const absl::StatusOr<TokenDigest> digest = DigestOf(*secret);
    if (!digest.ok()) return FailInput(digest.status());
    token->digest = *digest;
    const auto editor = TokenFileEditor::Open(file_, /*create=*/true);
    if (!editor.ok()) return FailInput(editor.status());
    absl::Status s = (*editor)->Add(*token);
    if (s.ok()) s = (*editor)->Commit();
    if (!s.ok()) return FailInput(s);
    if (std::printf("%s\n", secret->c_str()) < 0 || std::fflush(stdout) != 0) {
      return FailInput(absl::DataLossError(absl::StrCat(
          "cannot write the secret to standard output: revoke ", name_, " and make another")));
    }
    return kExitOk;
  }

  int Revoke() const {
    const auto editor = TokenFileEditor::Open(file_, /*create=*/false);
    if (!editor.ok()) return FailInput(editor.status());
    absl::Status s = (*editor)->Remove(name_);
    if (absl::IsNotFound(s)) {
      FailInput(s);
      return kExitNothingFound;
    }
    if (s.ok()) s = (*editor)->Commit();
    return s.ok() ? kExitOk : FailInput(s);
  }

  int List() const {
    const auto contents = ReadTokenFile(file_);
    if (!contents.ok()) return FailInput(contents.status());
    const auto tokens = ParseTokenFile(contents->text);
    if (!tokens.ok()) {
      return FailInput(
          absl::FailedPreconditionError(absl::StrCat(file_, ": ", tokens.status().message())));
    }
    const absl::Time now = absl::Now();
    if (json_) {
      Json json = Json::array();
      for (const TokenEntry& token : *tokens) json.push_back(TokenJson(token, now));
      std::printf("%s\n", Dump(json).c_str());
    } else {
      for (const TokenEntry& token : *tokens) Print(token, now);
    }
    return tokens->empty() ? kExitNothingFound : kExitOk;
  }

  // Only characters that a terminal shows: the parser takes no other.
  static void Print(const TokenEntry& token, absl::Time now) {
    const std::string last_day =
        token.last_day.has_value() ? absl::FormatCivilTime(*token.last_day) : "never";
    std::printf("%s\t%s\t%s%s\t%s\n", token.identity.token.c_str(),
                token.identity.tenant.empty() ? "-" : token.identity.tenant.c_str(),
                last_day.c_str(), token.ExpiredAt(now) ? " (expired)" : "",
                FormatGrants(token.identity.grants).c_str());
  }

  CLI::App* create_ = nullptr;
  CLI::App* list_ = nullptr;
  CLI::App* revoke_ = nullptr;
  std::string file_, name_;
  // An empty one is a fault, not the default: a script's variable was not set.
  std::optional<std::string> tenant_, expires_;
  std::vector<std::string> read_, write_, admin_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeTokenCommand() { return std::make_unique<TokenCommand>(); }

}  // namespace cairn::services
