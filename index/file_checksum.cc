#include "index/file_checksum.h"

#include <rocksdb/file_checksum.h>
#include <xxhash.h>

#include <string>

namespace cairn::index {
namespace {

constexpr char kName[] = "XXH3-64";

class Xxh3Generator : public rocksdb::FileChecksumGenerator {
 public:
  Xxh3Generator() { XXH3_64bits_reset(state_.get()); }
  void Update(const char* data, size_t n) override { XXH3_64bits_update(state_.get(), data, n); }
  void Finalize() override {
    XXH64_canonical_t canonical;
    XXH64_canonicalFromHash(&canonical, XXH3_64bits_digest(state_.get()));
    checksum_.assign(reinterpret_cast<const char*>(canonical.digest), sizeof(canonical.digest));
  }
  std::string GetChecksum() const override { return checksum_; }
  const char* Name() const override { return kName; }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  const std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
  std::string checksum_;
};

class Factory : public rocksdb::FileChecksumGenFactory {
 public:
  std::unique_ptr<rocksdb::FileChecksumGenerator> CreateFileChecksumGenerator(
      const rocksdb::FileChecksumGenContext& context) override {
    const std::string& wanted = context.requested_checksum_func_name;
    if (wanted.empty() || wanted == kName) return std::make_unique<Xxh3Generator>();
    return crc32c_->CreateFileChecksumGenerator(context);
  }
  const char* Name() const override { return "cairn file checksums"; }

 private:
  const std::shared_ptr<rocksdb::FileChecksumGenFactory> crc32c_ =
      rocksdb::GetFileChecksumGenCrc32cFactory();
};

}  // namespace

std::shared_ptr<rocksdb::FileChecksumGenFactory> FileChecksums() {
  return std::make_shared<Factory>();
}

}  // namespace cairn::index
