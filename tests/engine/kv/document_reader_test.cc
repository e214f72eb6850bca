#include "engine/kv/document_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/engine/kv/kv_subject.h"

namespace cairn::engine {
namespace {

using cairn::testing::SmallConfig;
using testing::Exact;
using testing::KvSubject;
using testing::LargestDifference;
using testing::SomeTokens;
using testing::Tokens;

std::vector<float> KeysOf(const BlendPart& part, size_t layer) {
  const size_t width = part.kv->shape().width();
  std::vector<float> keys(part.tokens.size() * width), values(keys.size());
  EXPECT_TRUE(part.kv->Read(layer, 0, part.tokens.size(), keys.data(), values.data()).ok());
  keys.insert(keys.end(), values.begin(), values.end());
  return keys;
}

TEST(DocumentReader, PiecesOfAnySizeGiveTheSame) {
  const Tokens text = SomeTokens(150), preface = SomeTokens(5, 3);
  KvSubject subject(SmallConfig(Architecture::kLlama)),
      small(SmallConfig(Architecture::kLlama), 256, 16);
  const std::vector<BlendPart> whole = subject.Parts({text}, preface, Exact(KvSource::kDocument));
  const std::vector<Tokens> cut = {{text.begin(), text.begin() + 3},
                                   {},
                                   {text.begin() + 3, text.begin() + 80},
                                   {text.begin() + 80, text.end()}};
  for (KvSubject* s : {&subject, &small}) {
    const std::vector<BlendPart> parts = s->Parts(cut, preface, Exact(KvSource::kDocument));
    ASSERT_EQ(parts.size(), 4u);
    EXPECT_EQ(parts[1].kv->tokens(), 0u);
    EXPECT_EQ(parts[2].kv->first_position(), 8u);
    for (size_t layer = 0; layer < 3; ++layer) {
      const std::vector<float> expected = KeysOf(whole[0], layer);
      const size_t width = parts[0].kv->shape().width();
      for (size_t p = 0, at = 0; p < parts.size(); at += parts[p++].tokens.size()) {
        const std::vector<float> got = KeysOf(parts[p], layer);
        const size_t floats = parts[p].tokens.size() * width;
        for (size_t i = 0; i < floats; ++i) {
          EXPECT_NEAR(got[i], expected[at * width + i], 1e-4) << "key";
          EXPECT_NEAR(got[floats + i], expected[text.size() * width + at * width + i], 1e-4);
        }
      }
    }
  }
}

TEST(DocumentReader, SourcesDifferInWhatAChunkSees) {
  KvSubject subject(SmallConfig(Architecture::kLlama));
  const std::vector<Tokens> chunks = {SomeTokens(30, 1), SomeTokens(30, 2)};
  const Tokens preface = SomeTokens(5, 3);
  const auto isolated = subject.Parts(chunks, preface, Exact(KvSource::kIsolated));
  const auto behind = subject.Parts(chunks, preface, Exact(KvSource::kPreface));
  const auto document = subject.Parts(chunks, preface, Exact(KvSource::kDocument));
  // Layer 0 sees nothing yet.
  EXPECT_LT(LargestDifference(KeysOf(isolated[1], 0), KeysOf(document[1], 0)), 1e-5);
  EXPECT_GT(LargestDifference(KeysOf(isolated[1], 2), KeysOf(behind[1], 2)), 1e-2);
  EXPECT_GT(LargestDifference(KeysOf(behind[1], 2), KeysOf(document[1], 2)), 1e-2);
  EXPECT_LT(LargestDifference(KeysOf(behind[0], 2), KeysOf(document[0], 2)), 1e-5);
  EXPECT_EQ(isolated[1].kv->first_position(), 0u);
  EXPECT_EQ(behind[1].kv->first_position(), 5u);
  EXPECT_EQ(document[1].kv->first_position(), 35u);
}

TEST(DocumentReader, BeginForgetsTheDocumentBefore) {
  KvSubject subject(SmallConfig(Architecture::kQwen2));
  const Tokens preface = SomeTokens(5, 3), a = SomeTokens(30, 1), b = SomeTokens(20, 2);
  auto reader = DocumentReader::Create(subject.decoder.get(), subject.pool.get(), preface,
                                       Exact(KvSource::kDocument));
  ASSERT_TRUE(reader.ok());
  const absl::Span<const uint32_t> first[] = {a}, second[] = {b};
  ASSERT_TRUE((*reader)->Read(first).ok());
  (*reader)->Begin();
  const auto read = (*reader)->Read(second);
  ASSERT_TRUE(read.ok());
  const auto alone = subject.Parts({b}, preface, Exact(KvSource::kDocument));
  EXPECT_LT(LargestDifference(KeysOf({b, (*read)[0]}, 2), KeysOf(alone[0], 2)), 1e-5);
}

TEST(DocumentReader, DocumentsReadTogetherAreAsIfReadAlone) {
  KvSubject subject(SmallConfig(Architecture::kQwen3), 256, /*max_rows=*/48);
  const Tokens preface = SomeTokens(5, 3);
  DocumentReaderOptions options = Exact(KvSource::kDocument);
  options.attention_layers = 2;
  // Several passes, a document of several, an empty one.
  const std::vector<std::vector<Tokens>> documents = {{SomeTokens(7, 1), SomeTokens(9, 2)},
                                                      {SomeTokens(3, 4)},
                                                      {},
                                                      {SomeTokens(30, 5), SomeTokens(40, 6)},
                                                      {SomeTokens(20, 7), {}, SomeTokens(2, 8)},
                                                      {SomeTokens(11, 9)}};
  std::vector<std::vector<absl::Span<const uint32_t>>> pieces;
  for (const std::vector<Tokens>& document : documents) {
    pieces.emplace_back(document.begin(), document.end());
  }
  auto reader = DocumentReader::Create(subject.decoder.get(), subject.pool.get(), preface, options);
  ASSERT_TRUE(reader.ok());
  // In the midst of another, which goes on as if nothing had been.
  const Tokens first = SomeTokens(10, 20), second = SomeTokens(12, 21);
  const absl::Span<const uint32_t> begin[] = {first}, rest[] = {second};
  ASSERT_TRUE((*reader)->Read(begin).ok());
  const auto together =
      (*reader)->ReadTogether(std::vector<DocumentReader::Pieces>(pieces.begin(), pieces.end()));
  ASSERT_TRUE(together.ok()) << together.status();
  const auto on = (*reader)->Read(rest);
  ASSERT_TRUE(on.ok());
  const auto expect_same = [](const BlendPart& expected, const ChunkKvBuffer& kv) {
    const BlendPart got = {expected.tokens,
                           std::shared_ptr<const ChunkKv>(std::shared_ptr<void>(), &kv)};
    ASSERT_EQ(kv.tokens(), expected.tokens.size());
    EXPECT_EQ(kv.first_position(), expected.kv->first_position());
    for (size_t layer = 0; layer < 3; ++layer) {
      EXPECT_LT(LargestDifference(KeysOf(got, layer), KeysOf(expected, layer)), 1e-4);
    }
    ASSERT_NE(kv.attention(), nullptr);
    EXPECT_NEAR(kv.attention()->intra, expected.kv->attention()->intra, 1e-3);
    EXPECT_EQ(kv.attention()->before.size(), expected.kv->attention()->before.size());
  };
  ASSERT_EQ(together->size(), documents.size());
  for (size_t d = 0; d < documents.size(); ++d) {
    const std::vector<BlendPart> alone = subject.Parts(documents[d], preface, options);
    ASSERT_EQ((*together)[d].size(), alone.size());
    for (size_t p = 0; p < alone.size(); ++p) expect_same(alone[p], *(*together)[d][p]);
  }
  expect_same(subject.Parts({first, second}, preface, options)[1], *(*on)[0]);
  const Tokens long_text = SomeTokens(subject.decoder->context_length());
  const absl::Span<const uint32_t> too_long[] = {long_text};
  const DocumentReader::Pieces one[] = {too_long};
  EXPECT_TRUE(absl::IsInvalidArgument((*reader)->ReadTogether(one).status()));
}

// A window in which nothing has left yet gives what a window without end does; behind it, chunks
// still see the half window before them.
TEST(DocumentReader, ALongDocumentSlidesThroughTheWindow) {
  KvSubject subject(SmallConfig(Architecture::kLlama));
  const Tokens preface = SomeTokens(4, 3);
  std::vector<Tokens> chunks;
  for (size_t c = 0; c < 10; ++c) chunks.push_back(SomeTokens(20, c + 10));
  DocumentReaderOptions options = Exact(KvSource::kDocument);
  options.window = 84;  // Four chunks.
  const auto slid = subject.Parts(chunks, preface, options);
  const auto whole = subject.Parts(chunks, preface, Exact(KvSource::kDocument));
  EXPECT_LT(LargestDifference(KeysOf(slid[3], 2), KeysOf(whole[3], 2)), 1e-4);
  EXPECT_GT(LargestDifference(KeysOf(slid[9], 2), KeysOf(whole[9], 2)), 1e-3);
  for (const BlendPart& part : slid) {
    EXPECT_LE(part.kv->first_position() + part.tokens.size(), 84u);
    // Half the window, or all of the document so far.
    const auto before = static_cast<size_t>(&part - slid.data());
    EXPECT_GE(part.kv->first_position(), 4 + 20 * std::min<size_t>(before, 2));
  }
}

TEST(DocumentReader, AttentionAddsUpToOnePerToken) {
  KvSubject subject(SmallConfig(Architecture::kQwen3));
  const std::vector<Tokens> chunks = {SomeTokens(30, 1), SomeTokens(40, 2), SomeTokens(35, 3)};
  DocumentReaderOptions options = Exact(KvSource::kDocument);
  options.attention_layers = 2;
  const auto parts = subject.Parts(chunks, {}, options);
  for (size_t p = 0; p < parts.size(); ++p) {
    const ChunkAttention* attention = parts[p].kv->attention();
    ASSERT_NE(attention, nullptr);
    ASSERT_EQ(attention->before.size(), p);
    double inter = 0, by_token = 0;
    for (size_t j = 0; j < p; ++j) {
      EXPECT_EQ(attention->before[j].hash, HashTokens(chunks[j]));
      EXPECT_EQ(attention->before[j].tokens, chunks[j].size());
      EXPECT_GT(attention->before[j].inter, 0);
      inter += attention->before[j].inter;
    }
    for (float mass : attention->token_inter) by_token += mass;
    EXPECT_NEAR(by_token, inter, 1e-2);
    EXPECT_NEAR(inter + attention->intra, static_cast<double>(chunks[p].size()), 1e-2);
  }
}

TEST(DocumentReader, RefusesWhatDoesNotFit) {
  KvSubject subject(SmallConfig(Architecture::kLlama), /*pages=*/2);
  DocumentReaderOptions options = Exact(KvSource::kDocument);
  options.window = 64;
  const auto create = [&](const Tokens& preface) {
    return DocumentReader::Create(subject.decoder.get(), subject.pool.get(), preface, options);
  };
  EXPECT_EQ(create(SomeTokens(64)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({9999}).status().code(), absl::StatusCode::kInvalidArgument);
  auto reader = create(SomeTokens(4));
  ASSERT_TRUE(reader.ok());
  const Tokens unknown = {97}, large = SomeTokens(61);
  const absl::Span<const uint32_t> bad[] = {unknown}, long_one[] = {large};
  EXPECT_EQ((*reader)->Read(bad).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*reader)->Read(long_one).status().code(), absl::StatusCode::kInvalidArgument);
  options.window = 0;
  auto wide = create(SomeTokens(4));
  ASSERT_TRUE(wide.ok());
  const Tokens more = SomeTokens(300);
  const absl::Span<const uint32_t> beyond[] = {more};
  EXPECT_EQ((*wide)->Read(beyond).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(DocumentReader, IsGivenUpWhenAsked) {
  KvSubject subject(SmallConfig(Architecture::kLlama));
  DocumentReaderOptions options = Exact(KvSource::kDocument);
  int asked = 0;
  options.is_cancelled = [&] { return ++asked > 2; };
  auto reader =
      DocumentReader::Create(subject.decoder.get(), subject.pool.get(), SomeTokens(4), options);
  ASSERT_TRUE(reader.ok());
  const Tokens text = SomeTokens(30);
  const absl::Span<const uint32_t> pieces[] = {text};
  EXPECT_EQ((*reader)->Read(pieces).status().code(), absl::StatusCode::kCancelled);
}

TEST(DocumentReader, SourcesNamesAreReadBack) {
  for (KvSource source : {KvSource::kIsolated, KvSource::kPreface, KvSource::kDocument}) {
    EXPECT_EQ(ParseKvSource(KvSourceName(source)), source);
  }
  EXPECT_FALSE(ParseKvSource("").has_value());
}

}  // namespace
}  // namespace cairn::engine
