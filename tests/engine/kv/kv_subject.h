// A small model with what reading and blending need.
#ifndef CAIRN_TESTS_ENGINE_KV_KV_SUBJECT_H_
#define CAIRN_TESTS_ENGINE_KV_KV_SUBJECT_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/kv/blender.h"
#include "engine/kv/document_reader.h"
#include "engine/kv/reuse_policy.h"
#include "engine/model/decoder.h"
#include "tests/support/random_checkpoint.h"

namespace cairn::engine::testing {

using Tokens = std::vector<uint32_t>;

inline Tokens SomeTokens(size_t n, size_t salt = 0) {
  Tokens tokens(n);
  for (size_t i = 0; i < n; ++i) {
    tokens[i] = static_cast<uint32_t>(((i + 31 * salt) * 7919 + i * i * 13 + salt) % 97);
  }
  return tokens;
}

// Of 97 tokens, in float32 throughout.
class KvSubject {
 public:
  explicit KvSubject(const ModelConfig& config, size_t pages = 256, size_t max_rows = 512)
      : checkpoint(config, kernels::BlockFormat::kF32),
        decoder(std::move(Decoder::Create(checkpoint, {.threads = 2,
                                                       .kv_type = kernels::KvType::kF32,
                                                       .compute = kernels::ComputeType::kF32,
                                                       .context_length = 0,
                                                       .max_rows = max_rows}))
                    .value()),
        pool(std::move(
                 KvPool::Create(decoder->kv_layout(), pages * decoder->kv_layout().page_bytes()))
                 .value()) {}

  // Each chunk's keys and values, as parts of a prompt.
  std::vector<BlendPart> Parts(const std::vector<Tokens>& chunks, const Tokens& preface,
                               DocumentReaderOptions options) {
    auto reader = DocumentReader::Create(decoder.get(), pool.get(), preface, options);
    EXPECT_TRUE(reader.ok()) << reader.status();
    const std::vector<absl::Span<const uint32_t>> pieces(chunks.begin(), chunks.end());
    auto read = (*reader)->Read(pieces);
    EXPECT_TRUE(read.ok()) << read.status();
    std::vector<BlendPart> parts;
    for (size_t c = 0; c < chunks.size(); ++c) parts.push_back({chunks[c], (*read)[c]});
    return parts;
  }

  // The logits of the last token when everything is computed.
  std::vector<float> Full(const std::vector<BlendPart>& parts) {
    Tokens prompt;
    for (const BlendPart& part : parts) {
      prompt.insert(prompt.end(), part.tokens.begin(), part.tokens.end());
    }
    KvSequence sequence(pool.get());
    std::vector<float> logits(decoder->vocabulary_size());
    const SequenceInput input = {&sequence, prompt, 1};
    const absl::Status status = decoder->Forward({&input, 1}, absl::MakeSpan(logits));
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }

  std::vector<float> Blend(const std::vector<BlendPart>& parts, const ReuseOptions& options,
                           ReuseUsage* usage = nullptr, const BlendOptions& blend = {}) {
    KvSequence sequence(pool.get());
    std::vector<float> logits(decoder->vocabulary_size());
    auto policy = MakeReusePolicy(options);
    EXPECT_TRUE(policy.ok()) << policy.status();
    auto ran = Blender(decoder.get()).Run(parts, policy->get(), &sequence, logits.data(), blend);
    EXPECT_TRUE(ran.ok()) << ran.status();
    if (usage != nullptr && ran.ok()) *usage = *ran;
    return logits;
  }

  cairn::testing::RandomCheckpoint checkpoint;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<KvPool> pool;
};

// Reads without rounding.
inline DocumentReaderOptions Exact(KvSource source) {
  DocumentReaderOptions options;
  options.source = source;
  options.encoding = KvEncoding::kF32;
  return options;
}

inline double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

}  // namespace cairn::engine::testing

#endif  // CAIRN_TESTS_ENGINE_KV_KV_SUBJECT_H_
