#include "engine/kv/model_gates.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/kv/gate_rows.h"
#include "engine/model/decoder.h"
#include "engine/model/first_layers.h"

namespace cairn::engine {
namespace {

// Of a model whose gates are run: more than that, and its first layers stand for it.
constexpr uint64_t kMaxGateBytes = uint64_t{4} << 30;
constexpr absl::Duration kPoll = absl::Milliseconds(20);

}  // namespace

void ModelGates::Stop() {
  std::thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

absl::StatusOr<ReuseGateReport> ModelGates::Get(const std::function<bool()>& is_cancelled) {
  do {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::CancelledError("the model's gates were stopped");
    if (outcome_.has_value() && outcome_->ok()) return *outcome_;
    if (!running_) {
      if (thread_.joinable()) thread_.join();  // It has ended.
      running_ = true;
      thread_ = std::thread([this] {
        absl::StatusOr<ReuseGateReport> report = RunAndKeep();
        absl::MutexLock ended(&mutex_);
        outcome_ = std::move(report);
        running_ = false;
      });
    }
    if (mutex_.AwaitWithTimeout(absl::Condition(this, &ModelGates::IsSettled), kPoll) &&
        !stopping_) {
      return *outcome_;
    }
  } while (!is_cancelled || !is_cancelled());
  return absl::CancelledError("cancelled while the model's gates were run");
}

absl::StatusOr<ReuseGateReport> ModelGates::Run() const {
  DecoderOptions exact;
  exact.compute = kernels::ComputeType::kF32;
  exact.kv_type = kernels::KvType::kF32;
  const FirstLayers layers(checkpoint_, kMaxGateBytes);
  absl::StatusOr<std::unique_ptr<Decoder>> decoder = Decoder::Create(layers, exact);
  if (!decoder.ok()) return decoder.status();
  return RunReuseGates(decoder->get(), [this] { return stopping_.load(); });
}

absl::StatusOr<ReuseGateReport> ModelGates::RunAndKeep() {
  const std::string model = checkpoint_->fingerprint();
  absl::StatusOr<std::optional<ReuseGateReport>> known = ReadGates(*rows_, model);
  if (!known.ok()) return known.status();
  if (known->has_value()) return **known;
  absl::StatusOr<ReuseGateReport> report = Run();
  if (report.ok() && !rows_->read_only()) {
    if (absl::Status s = WriteGates(rows_, model, *report); !s.ok() && on_problem_) {
      on_problem_(absl::StrCat("what the model's gates gave was not kept: ", s.message()));
    }
  }
  return report;
}

}  // namespace cairn::engine
