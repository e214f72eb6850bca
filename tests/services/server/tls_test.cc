// TLS on loopback: who gets in, and what a server refuses to start with.
#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/services/server/test_calls.h"
#include "tests/services/server/token_fixture.h"
#include "tests/support/certificates.h"

namespace cairn::services {
namespace {

using ::cairn::testing::CertificateAndKey;
using ::cairn::testing::TestAuthority;
using ::testing::HasSubstr;

class TlsTest : public TokenServerTest {
 protected:
  void SetUp() override {
    options_.token_file = "";
    options_.listen = {"127.0.0.1:0"};
    Install(authority_.Issue("server"));
    options_.tls_cert = dir_.file("cert.pem");
    options_.tls_key = dir_.file("key.pem");
  }

  void Install(const CertificateAndKey& identity) const {
    // Replaced as a whole: the server may read them at any time.
    std::filesystem::rename(dir_.Write("key.new", identity.key), dir_.file("key.pem"));
    std::filesystem::rename(dir_.Write("cert.new", identity.certificate), dir_.file("cert.pem"));
  }

  absl::Status StartStatus() const {
    return Server::Start(options_, std::make_unique<RequestLog>(RequestLog::Options(),
                                                                std::make_unique<MemoryLogSink>()))
        .status();
  }

  // A client that trusts `authority`, with a certificate of its own or none.
  TestClient Client(const TestAuthority& authority, const CertificateAndKey& identity = {},
                    const std::string& token = "") const {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = authority.certificate();
    ssl.pem_cert_chain = identity.certificate;
    ssl.pem_private_key = identity.key;
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return TestClient(grpc::CreateCustomChannel(server_->addresses().front(),
                                                grpc::SslCredentials(ssl), arguments),
                      token);
  }
  static grpc::Status Call(const TestClient& client) {
    v1::ListCollectionsResponse page;
    return ListCollections(client, 0, "", &page);
  }

  const TestAuthority authority_{"authority"};
  const TestAuthority stranger_{"stranger"};
};

TEST_F(TlsTest, AClientThatTrustsTheAuthorityGetsIn) {
  StartAndOpen();
  EXPECT_THAT(server_->addresses().front(), ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
  const TestClient client = Client(authority_);
  EXPECT_TRUE(IsOk(Call(client)));
  client.Ingest("docs", {"Over TLS."});
  v1::SearchResponse found;
  ASSERT_TRUE(IsOk(client.Search("docs", "TLS", &found)));
  EXPECT_EQ(found.passages_size(), 1);
  EXPECT_EQ(Call(Client(stranger_)).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(Connect()).error_code(), StatusCode::UNAVAILABLE) << "without TLS";
}

TEST_F(TlsTest, TokensAreAskedForOverTlsToo) {
  options_.token_file = dir_.file("tokens");
  const std::string secret = AddToken("all", "", {All()});
  StartAndOpen();
  EXPECT_TRUE(IsOk(Call(Client(authority_, {}, secret))));
  EXPECT_EQ(Call(Client(authority_)).error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(TlsTest, WithAnAuthorityForClientsEachNeedsItsCertificate) {
  const TestAuthority clients("clients");
  options_.client_ca = dir_.Write("ca.pem", clients.certificate());
  StartAndOpen();
  EXPECT_TRUE(IsOk(Call(Client(authority_, clients.Issue("client")))));
  EXPECT_EQ(Call(Client(authority_)).error_code(), StatusCode::UNAVAILABLE) << "none";
  EXPECT_EQ(Call(Client(authority_, stranger_.Issue("client"))).error_code(),
            StatusCode::UNAVAILABLE)
      << "another authority's";
  EXPECT_EQ(Call(Client(authority_, clients.Issue("client", -60))).error_code(),
            StatusCode::UNAVAILABLE)
      << "expired";
  // Signed by the server's authority, which is not the clients'.
  EXPECT_EQ(Call(Client(authority_, authority_.Issue("client"))).error_code(),
            StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, AReplacedCertificateIsTakenUpWithoutARestart) {
  StartAndOpen();
  ASSERT_TRUE(IsOk(Call(Client(authority_))));
  ASSERT_EQ(Call(Client(stranger_)).error_code(), StatusCode::UNAVAILABLE);
  Install(stranger_.Issue("server"));
  // The files are looked at every few seconds.
  const absl::Time end = absl::Now() + absl::Minutes(2);
  bool taken_up = false;
  while (!taken_up && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(200));
    taken_up = Call(Client(stranger_)).ok();
  }
  EXPECT_TRUE(taken_up);
  EXPECT_EQ(Call(Client(authority_)).error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, FilesThatCannotServeAreRefusedAtTheStart) {
  const CertificateAndKey good = authority_.Issue("server");
  struct Case {
    std::string certificate, key, says;
  };
  const Case cases[] = {
      {authority_.Issue("server", -60).certificate, good.key, "expired"},
      {good.certificate, authority_.Issue("other").key, "is not the key of the certificate"},
      {"no certificate", good.key, "no certificate in PEM format"},
      {good.certificate, "no key", "no private key"},
      {good.key, good.certificate, "no certificate in PEM format"},
      {"", "", "no certificate in PEM format"},
  };
  for (const Case& c : cases) {
    Install({c.certificate, c.key});
    const absl::Status s = StartStatus();
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument) << c.says;
    EXPECT_THAT(std::string(s.message()), HasSubstr(c.says));
    EXPECT_THAT(std::string(s.message()), ::testing::Not(HasSubstr("PRIVATE")));
  }
  Install(good);
  options_.client_ca = dir_.Write("ca.pem", "no certificate");
  EXPECT_THAT(std::string(StartStatus().message()), HasSubstr("ca.pem"));
  options_.client_ca = dir_.file("missing.pem");
  EXPECT_THAT(std::string(StartStatus().message()), HasSubstr("missing.pem"));
}

TEST(ServerOptionsTest, OnlyThisMachinesAddressesAreLocal) {
  for (const char* address :
       {"127.0.0.1:7700", "127.0.0.1:0", "127.255.255.254:1", "localhost:7700", "[::1]:0",
        "unix:/run/cairn.sock", "unix:cairn.sock"}) {
    EXPECT_TRUE(IsLocalAddress(address)) << address;
  }
  for (const char* address : {"0.0.0.0:1",
                              "[::]:1",
                              "10.0.0.1:1",
                              "127.evil.example:1",
                              "127.0.0.1.evil.example:1",
                              "localhost.evil.example:1",
                              "127.0.0:1",
                              "127.0.0.1.:1",
                              "127. 0.0.1:1",
                              "127.0.0.256:1",
                              "127.0.0.1.1:1",
                              "127.0.0.+1:1",
                              "1270.0.0.1:1",
                              "[::1]x:1",
                              "[::ffff:10.0.0.1]:1",
                              "128.0.0.1:1",
                              "example.org:1",
                              ":1",
                              "",
                              "127.0.0.1",
                              "0x7f.0.0.1:1"}) {
    EXPECT_FALSE(IsLocalAddress(address)) << address;
  }
}

class CheckServerOptionsTest : public ::testing::Test {
 protected:
  static ServerOptions Listening(const std::string& address) {
    ServerOptions options;
    options.store = "store";
    options.listen = {address};
    return options;
  }
};

TEST_F(CheckServerOptionsTest, WhatOthersCanReachTakesTlsAndAuthentication) {
  for (const char* address : {"0.0.0.0:1", "127.evil.example:1", "[::]:1", "10.1.2.3:7700"}) {
    ServerOptions options = Listening(address);
    EXPECT_THAT(std::string(CheckServerOptions(options).message()),
                HasSubstr("can be reached from other machines"))
        << address;
    options.token_file = "tokens";
    EXPECT_FALSE(CheckServerOptions(options).ok()) << "a token in clear text";
    options.tls_cert = "cert.pem";
    options.tls_key = "key.pem";
    EXPECT_TRUE(CheckServerOptions(options).ok()) << CheckServerOptions(options);
    options.token_file = "";
    EXPECT_FALSE(CheckServerOptions(options).ok()) << "anybody";
    options.client_ca = "ca.pem";
    EXPECT_TRUE(CheckServerOptions(options).ok());
    options.listen = {"127.0.0.1:1", address};
    options.client_ca = "";
    EXPECT_FALSE(CheckServerOptions(options).ok()) << "the second one counts too";
  }
}

TEST_F(CheckServerOptionsTest, WhatAModelReadsTakesAModel) {
  ServerOptions options = Listening("127.0.0.1:1");
  options.engine.kv.enabled = true;
  EXPECT_THAT(std::string(CheckServerOptions(options).message()), HasSubstr("--kv-reuse"));
  options.engine.kv.build_on_ingest = true;
  EXPECT_THAT(std::string(CheckServerOptions(options).message()), HasSubstr("--kv-build"));
  options.engine.generator = "model.gguf";
  EXPECT_TRUE(CheckServerOptions(options).ok());
}

TEST_F(CheckServerOptionsTest, WhatIsNoAddressIsSaidToBeNone) {
  for (const std::string& address :
       {std::string(":1"), std::string("unix:"), std::string(""), std::string("127.0.0.1"),
        std::string("127.0.0.1:"), std::string("127.0.0.1:x"), std::string("127.0.0.1:-1"),
        std::string("127.0.0.1:65536"), std::string("::1:7700"), std::string("[::1:7700"),
        std::string("[]:1"), "unix:" + std::string(200, 'x')}) {
    EXPECT_EQ(CheckServerOptions(Listening(address)).code(), absl::StatusCode::kInvalidArgument)
        << address;
  }
  for (const char* address : {"[::1]:0", "127.0.0.1:65535", "localhost:1", "unix:x"}) {
    EXPECT_TRUE(CheckServerOptions(Listening(address)).ok()) << address;
  }
}

TEST_F(CheckServerOptionsTest, OptionsThatNeedEachOtherComeTogether) {
  ServerOptions options = Listening("127.0.0.1:1");
  options.tls_cert = "cert.pem";
  EXPECT_FALSE(CheckServerOptions(options).ok());
  options.tls_cert = "";
  options.tls_key = "key.pem";
  EXPECT_FALSE(CheckServerOptions(options).ok());
  options.tls_key = "";
  options.client_ca = "ca.pem";
  EXPECT_FALSE(CheckServerOptions(options).ok());
  options = Listening("127.0.0.1:1");
  options.store = "";
  EXPECT_FALSE(CheckServerOptions(options).ok());
  options = Listening("127.0.0.1:1");
  options.listen.clear();
  EXPECT_FALSE(CheckServerOptions(options).ok());
  for (const char* metrics : {"0.0.0.0:9090", "unix:metrics", "9090", "example.org:1"}) {
    options = Listening("127.0.0.1:1");
    options.metrics_listen = metrics;
    EXPECT_FALSE(CheckServerOptions(options).ok()) << metrics;
  }
}

}  // namespace
}  // namespace cairn::services
