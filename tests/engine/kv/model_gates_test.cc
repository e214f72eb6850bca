#include "engine/kv/model_gates.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "engine/kv/gate_rows.h"
#include "tests/support/kv_store_fixture.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::KvStoreFixture;
using ::cairn::testing::RandomCheckpoint;
using ::cairn::testing::SmallConfig;

// A model whose weights come late, or not.
class LateCheckpoint final : public Checkpoint {
 public:
  explicit LateCheckpoint(absl::Notification* come) : come_(come) {}

  const ModelConfig& config() const override { return weights_.config(); }
  absl::StatusOr<TensorView> Find(std::string_view name) const override {
    if (come_ != nullptr) come_->WaitForNotification();
    if (missing) return absl::NotFoundError("no such weights");
    return weights_.Find(name);
  }
  std::vector<std::string> TensorNames() const override { return weights_.TensorNames(); }
  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const override {
    return weights_.LoadTokenizer();
  }
  const std::string& chat_template() const override { return weights_.chat_template(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  void Drop(const TensorView&) const override {}

  std::atomic<bool> missing = false;

 private:
  absl::Notification* const come_;
  const std::string fingerprint_ = "late";
  const RandomCheckpoint weights_{SmallConfig(Architecture::kLlama), kernels::BlockFormat::kF32};
};

class ModelGatesTest : public KvStoreFixture {};

TEST_F(ModelGatesTest, WhoeverWaitsMayLeaveAndTheyRunOn) {
  absl::Notification come;
  const LateCheckpoint model(&come);
  ModelGates gates(&store().rows(), &model, {});
  EXPECT_TRUE(absl::IsCancelled(gates.Get([] { return true; }).status()));
  std::vector<std::thread> waiting;
  std::atomic<int> held = 0;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back([&] {
      const auto report = gates.Get({});
      held += report.ok() && report->holds();
    });
  }
  EXPECT_TRUE(absl::IsCancelled(gates.Get([] { return true; }).status()));
  come.Notify();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(held, 3);
}

TEST_F(ModelGatesTest, WhatTheyGaveIsKeptWithTheModel) {
  LateCheckpoint model(nullptr);
  const auto first = ModelGates(&store().rows(), &model, {}).Get({});
  ASSERT_TRUE(first.ok()) << first.status();
  model.missing = true;  // Nobody looks.
  const auto kept = ModelGates(&store().rows(), &model, {}).Get({});
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ(kept->gates.size(), first->gates.size());
}

TEST_F(ModelGatesTest, AModelThatCannotBeReadIsAnErrorAndTriedAgain) {
  LateCheckpoint model(nullptr);
  model.missing = true;
  ModelGates gates(&store().rows(), &model, {});
  EXPECT_TRUE(absl::IsNotFound(gates.Get({}).status()));
  model.missing = false;
  EXPECT_TRUE(gates.Get({}).ok());
}

TEST_F(ModelGatesTest, StoppedTheyKeepNothing) {
  absl::Notification come;
  const LateCheckpoint model(&come);
  ModelGates gates(&store().rows(), &model, {});
  std::thread waiting([&] { EXPECT_TRUE(absl::IsCancelled(gates.Get({}).status())); });
  EXPECT_TRUE(absl::IsCancelled(gates.Get([] { return true; }).status()));
  std::thread stopping([&] { gates.Stop(); });
  waiting.join();  // As soon as they are stopped, though they have not ended.
  come.Notify();
  stopping.join();
  const auto kept = ReadGates(store().rows(), model.fingerprint());
  ASSERT_TRUE(kept.ok());
  EXPECT_FALSE(kept->has_value());
  EXPECT_TRUE(absl::IsCancelled(gates.Get({}).status()));
}

TEST_F(ModelGatesTest, WhatCannotBeKeptHoldsAllTheSameAndIsToldOf) {
  const LateCheckpoint model(nullptr);
  std::vector<std::string> told;
  index::RowStoreOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = uint64_t{1} << 62;  // No disk has that.
  const cairn::testing::TempDir directory;
  const auto rows = index::RowStore::Open(directory.file("rows"), options);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ModelGates gates(rows->get(), &model,
                   [&](const std::string& problem) { told.push_back(problem); });
  const auto report = gates.Get({});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->holds());
  EXPECT_EQ(told.size(), 1u);
  EXPECT_TRUE(gates.Get({}).ok());
  EXPECT_EQ(told.size(), 1u) << "they are not run again";
}

}  // namespace
}  // namespace cairn::engine
