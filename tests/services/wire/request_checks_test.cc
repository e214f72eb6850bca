// Requests that are refused, and the defaults of those that say little.
#include <google/rpc/error_details.pb.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "cairn/v1/answer.pb.h"
#include "cairn/v1/collections.pb.h"
#include "cairn/v1/documents.pb.h"
#include "cairn/v1/search.pb.h"
#include "services/wire/messages.h"
#include "tests/services/wire/random_structs.h"

namespace cairn::services {
namespace {

// Of the BadRequest that goes with the status; empty: none.
std::string FieldAtFault(const absl::Status& status) {
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest bad;
  if (!absl::IsInvalidArgument(status) || !payload.has_value() ||
      !bad.ParseFromString(std::string(*payload)) || bad.field_violations_size() != 1) {
    return "";
  }
  return bad.field_violations(0).field();
}

template <typename Message>
struct Fault {
  std::string field;
  std::function<void(Message*)> make;
};

const float kNan = std::nanf("");
const float kInfinity = std::numeric_limits<float>::infinity();

TEST(SearchRequestTest, WhatIsNotSaidIsTheDefault) {
  v1::SearchRequest message;
  message.set_query("q");
  const auto read = ReadSearchRequest(message);
  ASSERT_TRUE(read.ok()) << read.status();
  SearchCall defaults;
  defaults.request.query = "q";
  EXPECT_EQ(ShowStruct(*read), ShowStruct(defaults));
}

TEST(SearchRequestTest, AFieldThatIsOutOfRangeIsNamed) {
  using M = v1::SearchRequest;
  const std::vector<Fault<M>> faults = {
      {"query", [](M* m) { m->clear_query(); }},
      {"k", [](M* m) { m->set_k(-1); }},
      {"k", [](M* m) { m->set_k(std::numeric_limits<int32_t>::min()); }},
      {"k", [](M* m) { m->set_k(10'001); }},
      {"mode", [](M* m) { m->set_mode(static_cast<v1::SearchMode>(99)); }},
      {"mode", [](M* m) { m->set_mode(static_cast<v1::SearchMode>(-1)); }},
      {"granularity", [](M* m) { m->set_granularity(static_cast<v1::Granularity>(3)); }},
      {"view", [](M* m) { m->set_view(static_cast<v1::PassageView>(3)); }},
      {"fusion.method",
       [](M* m) { m->mutable_fusion()->set_method(static_cast<v1::FusionMethod>(3)); }},
      {"fusion.alpha", [](M* m) { m->mutable_fusion()->set_alpha(1.01f); }},
      {"fusion.alpha", [](M* m) { m->mutable_fusion()->set_alpha(-0.01f); }},
      {"fusion.alpha", [](M* m) { m->mutable_fusion()->set_alpha(kNan); }},
      {"bm25.k1", [](M* m) { m->mutable_bm25()->set_k1(kInfinity); }},
      {"bm25.k1", [](M* m) { m->mutable_bm25()->set_k1(kNan); }},
      {"bm25.k1", [](M* m) { m->mutable_bm25()->set_k1(-1); }},
      {"bm25.b", [](M* m) { m->mutable_bm25()->set_b(kNan); }},
      {"bm25.b", [](M* m) { m->mutable_bm25()->set_b(1.5f); }},
      {"rerank", [](M* m) { m->set_rerank(10'001); }},
      {"rerank", [](M* m) { m->set_rerank(~uint32_t{0}); }},
  };
  for (const Fault<M>& fault : faults) {
    M message;
    message.set_query("q");
    ASSERT_TRUE(ReadSearchRequest(message).ok());
    fault.make(&message);
    EXPECT_EQ(FieldAtFault(ReadSearchRequest(message).status()), fault.field)
        << message.ShortDebugString();
  }
}

TEST(SearchRequestTest, ANumberTooLargeForTheMessageIsRefusedAndNotCut) {
  SearchCall call;
  call.request.query = "q";
  call.request.k = (size_t{1} << 32) + 5;
  v1::SearchRequest message;
  WriteSearchRequest(call, &message);
  EXPECT_EQ(FieldAtFault(ReadSearchRequest(message).status()), "k");
  call.request.k = 5;
  call.request.rerank = size_t{1} << 32;
  WriteSearchRequest(call, &message);
  EXPECT_EQ(FieldAtFault(ReadSearchRequest(message).status()), "rerank");
}

TEST(AnswerRequestTest, WhatIsNotSaidIsTheDefault) {
  v1::AnswerRequest message;
  message.set_question("q");
  const auto read = ReadAnswerRequest(message);
  ASSERT_TRUE(read.ok()) << read.status();
  AskRequest defaults;
  defaults.question = "q";
  EXPECT_EQ(ShowStruct(*read), ShowStruct(defaults));
}

TEST(AnswerRequestTest, AFieldThatIsOutOfRangeIsNamed) {
  using M = v1::AnswerRequest;
  const std::vector<Fault<M>> faults = {
      {"question", [](M* m) { m->clear_question(); }},
      {"passages", [](M* m) { m->set_passages(-1); }},
      {"passages", [](M* m) { m->set_passages(1001); }},
      {"rerank", [](M* m) { m->set_rerank(10'001); }},
      {"mode", [](M* m) { m->set_mode(static_cast<v1::AnswerMode>(3)); }},
      {"extractive.sentences", [](M* m) { m->mutable_extractive()->set_sentences(0); }},
      {"extractive.sentences", [](M* m) { m->mutable_extractive()->set_sentences(101); }},
      {"generation.max_tokens", [](M* m) { m->mutable_generation()->set_max_tokens(0); }},
      {"generation.max_tokens", [](M* m) { m->mutable_generation()->set_max_tokens(4097); }},
      {"generation.temperature", [](M* m) { m->mutable_generation()->set_temperature(kNan); }},
      {"generation.temperature", [](M* m) { m->mutable_generation()->set_temperature(-1); }},
      {"generation.temperature", [](M* m) { m->mutable_generation()->set_temperature(kInfinity); }},
      {"generation.reuse",
       [](M* m) { m->mutable_generation()->set_reuse(static_cast<v1::ReuseQuality>(4)); }},
      {"generation.token_budget", [](M* m) { m->mutable_generation()->set_token_budget(0); }},
  };
  for (const Fault<M>& fault : faults) {
    M message;
    message.set_question("q");
    ASSERT_TRUE(ReadAnswerRequest(message).ok());
    fault.make(&message);
    EXPECT_EQ(FieldAtFault(ReadAnswerRequest(message).status()), fault.field)
        << message.ShortDebugString();
  }
}

TEST(InputDocumentTest, WhatIsNotSaidIsTheDefault) {
  v1::InputDocument message;
  message.set_id("a");
  const auto read = ReadInputDocument(message);
  ASSERT_TRUE(read.ok()) << read.status();
  InputDocument defaults;
  defaults.id = "a";
  EXPECT_EQ(ShowStruct(*read), ShowStruct(defaults));
}

TEST(InputDocumentTest, AFieldThatIsWrongIsNamed) {
  using M = v1::InputDocument;
  const std::vector<Fault<M>> faults = {
      {"document.id", [](M* m) { m->clear_id(); }},
      {"document.media_type", [](M* m) { m->set_media_type("application/pdf"); }},
      {"document.raw", [](M* m) { m->set_raw("\xff"); }},
      {"document.metadata[\"x\"]", [](M* m) { (*m->mutable_metadata())["x"]; }},
      {"document.metadata[\"x\"]",
       [](M* m) { (*m->mutable_metadata())["x"].set_double_value(double{kNan}); }},
      {"document.metadata[\"x\"]",
       [](M* m) { (*m->mutable_metadata())["x"].set_double_value(-double{kInfinity}); }},
  };
  for (const Fault<M>& fault : faults) {
    M message;
    message.set_id("a");
    ASSERT_TRUE(ReadInputDocument(message).ok());
    fault.make(&message);
    EXPECT_EQ(FieldAtFault(ReadInputDocument(message).status()), fault.field)
        << message.ShortDebugString();
  }
}

TEST(InputDocumentTest, BytesAreATextLikeAnyOther) {
  v1::InputDocument message;
  message.set_id("a");
  message.set_raw("# Käse");
  message.set_media_type("text/markdown");
  const auto read = ReadInputDocument(message);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->text, "# Käse");
  EXPECT_EQ(read->format, "markdown");
}

TEST(CollectionSettingsTest, WhatIsNotSaidIsLeftOpen) {
  const auto read = ReadCollectionSettings(v1::CollectionSettings());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ShowStruct(*read), ShowStruct(CollectionOptions{}));
}

TEST(CollectionSettingsTest, AFieldThatIsOutOfRangeIsNamed) {
  using M = v1::CollectionSettings;
  const std::vector<Fault<M>> faults = {
      {"chunker", [](M* m) { m->set_chunker(static_cast<v1::Chunker>(4)); }},
      {"chunk_tokens", [](M* m) { m->set_chunk_tokens(0); }},
      {"chunk_tokens", [](M* m) { m->set_chunk_tokens(7); }},
      {"chunk_tokens", [](M* m) { m->set_chunk_tokens(65'537); }},
      {"overlap_tokens", [](M* m) { m->set_overlap_tokens(~uint32_t{0}); }},
      {"analyzer", [](M* m) { m->set_analyzer(std::string(65, 'a')); }},
      {"vector_index", [](M* m) { m->set_vector_index(static_cast<v1::VectorIndex>(4)); }},
      {"vector_encoding", [](M* m) { m->set_vector_encoding(static_cast<v1::VectorEncoding>(4)); }},
  };
  for (const Fault<M>& fault : faults) {
    M message;
    fault.make(&message);
    EXPECT_EQ(FieldAtFault(ReadCollectionSettings(message).status()),
              "collection.settings." + fault.field)
        << message.ShortDebugString();
  }
}

}  // namespace
}  // namespace cairn::services
