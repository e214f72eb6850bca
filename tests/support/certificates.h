// Certificates for tests, made as they are needed.
#ifndef CAIRN_TESTS_SUPPORT_CERTIFICATES_H_
#define CAIRN_TESTS_SUPPORT_CERTIFICATES_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace cairn::testing {

// In PEM.
struct CertificateAndKey {
  std::string certificate;
  std::string key;
};

// An authority that signs whatever it is asked to. Aborts where OpenSSL fails.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name) : name_(name), key_(NewKey()) {
    certificate_ = Sign(name, *key_, -kDay, kDay, true);
  }

  // Its own certificate, for those who trust it.
  std::string certificate() const { return CertificatePem(*certificate_); }

  // For "localhost" and 127.0.0.1, as a server's or a client's. Valid from a day ago until
  // `seconds` from now, which may be in the past.
  CertificateAndKey Issue(const std::string& name, long seconds = kDay) const {
    const KeyPointer key = NewKey();
    const X509Pointer certificate = Sign(name, *key, -kDay, seconds, false);
    return {CertificatePem(*certificate), KeyPem(*key)};
  }

 private:
  static constexpr long kDay = 24 * 60 * 60;
  using KeyPointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using X509Pointer = std::unique_ptr<X509, decltype(&X509_free)>;

  static void Check(bool done) {
    if (!done) std::abort();
  }

  static KeyPointer NewKey() {
    KeyPointer key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    Check(key != nullptr);
    return key;
  }

  static void Extend(X509* certificate, X509* issuer, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    Check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }

  static void SetName(X509_NAME* name, const std::string& text) {
    Check(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()), -1, 0) == 1);
  }

  X509Pointer Sign(const std::string& name, EVP_PKEY& key, long from, long until,
                   bool authority) const {
    X509Pointer made(X509_new(), &X509_free);
    X509* const c = made.get();
    Check(X509_set_version(c, 2) == 1);
    Check(ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial_) == 1);
    X509_gmtime_adj(X509_getm_notBefore(c), from);
    X509_gmtime_adj(X509_getm_notAfter(c), until);
    SetName(X509_get_subject_name(c), name);
    SetName(X509_get_issuer_name(c), name_);
    Check(X509_set_pubkey(c, &key) == 1);
    X509* const issuer = authority ? c : certificate_.get();
    Extend(c, issuer, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (authority) {
      Extend(c, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
      Extend(c, issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
      Extend(c, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
    }
    Check(X509_sign(c, key_.get(), EVP_sha256()) > 0);
    return made;
  }

  template <typename Write>
  static std::string Pem(const Write& write) {
    BIO* const bio = BIO_new(BIO_s_mem());
    Check(bio != nullptr && write(bio) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
  }
  static std::string CertificatePem(X509& certificate) {
    return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, &certificate); });
  }
  static std::string KeyPem(EVP_PKEY& key) {
    return Pem([&](BIO* bio) {
      return PEM_write_bio_PrivateKey(bio, &key, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

  const std::string name_;
  mutable long serial_ = 0;
  const KeyPointer key_;
  X509Pointer certificate_{nullptr, &X509_free};
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_CERTIFICATES_H_
