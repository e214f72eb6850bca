#include "services/wire/messages.h"

#include <google/protobuf/timestamp.pb.h>
#include <gtest/gtest.h>

#include "cairn/v1/admin.pb.h"
#include "cairn/v1/answer.pb.h"
#include "cairn/v1/collections.pb.h"
#include "cairn/v1/documents.pb.h"
#include "cairn/v1/search.pb.h"
#include "tests/services/wire/random_structs.h"

namespace cairn::services {
namespace {

constexpr int kTrials = 500;

// As the other side gets it.
template <typename Message>
Message Sent(const Message& message) {
  Message received;
  EXPECT_TRUE(received.ParseFromString(message.SerializeAsString()));
  return received;
}

class MessagesTest : public ::testing::Test {
 protected:
  RandomStructs random_{17};
};

TEST_F(MessagesTest, MetadataComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const MetadataValue value = random_.Value();
    v1::MetadataValue message;
    WriteMetadataValue(value, &message);
    const auto read = ReadMetadataValue(Sent(message), "field");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, value);
  }
}

TEST_F(MessagesTest, AnInputDocumentComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const InputDocument document = random_.Input();
    v1::InputDocument message;
    WriteInputDocument(document, &message);
    const auto read = ReadInputDocument(Sent(message));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(ShowStruct(*read), ShowStruct(document));
  }
}

TEST_F(MessagesTest, ATextThatIsNotUtf8IsSentAndRefused) {
  InputDocument document;
  document.id = "a";
  document.text = "caf\xe9";
  v1::InputDocument message;
  WriteInputDocument(document, &message);
  const auto read = ReadInputDocument(Sent(message));
  EXPECT_TRUE(absl::IsInvalidArgument(read.status()));
  EXPECT_EQ(read.status().message(), "document.raw is not valid UTF-8");
}

TEST_F(MessagesTest, AnAcknowledgementComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const IngestOutcome outcome = random_.Outcome();
    v1::IngestAck message;
    WriteIngestAck(outcome, &message);
    EXPECT_EQ(ShowStruct(ReadIngestAck(Sent(message))), ShowStruct(outcome));
  }
}

TEST_F(MessagesTest, ASummaryTellsRefusalsAndWarningsApart) {
  for (int i = 0; i < kTrials; ++i) {
    const IngestReport report = random_.Report();
    const uint64_t refused = random_.Below(report.issues + 1);
    v1::IngestSummary message;
    WriteIngestSummary(report, refused, &message);
    EXPECT_EQ(message.refused(), refused);
    EXPECT_EQ(message.warnings(), report.issues - refused);
    EXPECT_EQ(ShowStruct(ReadIngestSummary(Sent(message))), ShowStruct(report));
  }
}

TEST_F(MessagesTest, ASummarysCountsDoNotWrapRound) {
  v1::IngestSummary message;
  message.set_refused(~uint64_t{0});
  message.set_warnings(2);
  EXPECT_EQ(ReadIngestSummary(message).issues, ~uint64_t{0});
  WriteIngestSummary(IngestReport{}, 3, &message);
  EXPECT_EQ(message.warnings(), 0u);
}

TEST_F(MessagesTest, SettingsComeBackAsTheyWere) {
  for (int i = 0; i < kTrials; ++i) {
    const CollectionOptions options = random_.Options();
    v1::CollectionSettings message;
    WriteCollectionSettings(options, &message);
    const auto read = ReadCollectionSettings(Sent(message));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(ShowStruct(*read), ShowStruct(options));
  }
}

TEST_F(MessagesTest, ACollectionComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const CollectionInfo info = random_.Collection();
    v1::Collection message;
    WriteCollection(info, "collections/" + info.name, true, &message);
    EXPECT_EQ(ShowStruct(ReadCollection(Sent(message))), ShowStruct(info));
  }
}

TEST_F(MessagesTest, ACollectionIsWrittenWithStatisticsOnlyWhereTheyAreAskedFor) {
  v1::Collection message;
  WriteCollection(random_.Collection(), "collections/a", false, &message);
  EXPECT_FALSE(message.has_statistics());
  EXPECT_EQ(message.name(), "collections/a");
}

TEST_F(MessagesTest, ACollectionOfUnknownAgeHasNoTimes) {
  v1::Collection message;
  WriteCollection(CollectionInfo{}, "collections/a", true, &message);
  EXPECT_FALSE(message.has_create_time());
  EXPECT_FALSE(message.has_update_time());
}

TEST_F(MessagesTest, ADocumentIsWrittenWithTextAndChunksOnlyInFull) {
  for (int i = 0; i < kTrials; ++i) {
    const StoredDocument stored = random_.Stored();
    v1::Document full;
    WriteDocument(stored, "collections/a/documents/b", true, &full);
    full = Sent(full);
    EXPECT_EQ(full.name(), "collections/a/documents/b");
    EXPECT_EQ(Show(full.id(), full.title(), full.text(), full.source_uri(), full.media_type()),
              Show(stored.id, stored.title, stored.text, stored.source_uri, stored.media_type));
    ASSERT_EQ(full.metadata().size(), stored.metadata.size());
    for (const auto& [name, value] : stored.metadata) {
      EXPECT_EQ(*ReadMetadataValue(full.metadata().at(name), name), value);
    }
    EXPECT_EQ(full.chunk_count(), stored.chunks.size());
    ASSERT_EQ(static_cast<size_t>(full.chunks_size()), stored.chunks.size());
    for (size_t c = 0; c < stored.chunks.size(); ++c) {
      const v1::DocumentChunk& chunk = full.chunks(static_cast<int>(c));
      EXPECT_EQ(Show(chunk.chunk_id(), chunk.span().begin(), chunk.span().end(), chunk.tokens(),
                     std::vector<std::string>(chunk.headings().begin(), chunk.headings().end())),
                Show(stored.chunks[c].id, stored.chunks[c].begin, stored.chunks[c].end,
                     stored.chunks[c].tokens, stored.chunks[c].headings));
    }
    v1::Document basic;
    WriteDocument(stored, "collections/a/documents/b", false, &basic);
    full.clear_text();
    full.clear_chunks();
    // Maps are serialised in no order.
    EXPECT_EQ(basic.ShortDebugString(), full.ShortDebugString());
  }
}

TEST_F(MessagesTest, ASummaryOfADocumentIsItsBasicView) {
  const StoredDocument stored = random_.Stored();
  DocumentSummary summary;
  summary.id = stored.id;
  summary.title = stored.title;
  summary.source_uri = stored.source_uri;
  summary.media_type = stored.media_type;
  summary.metadata = stored.metadata;
  summary.chunk_count = static_cast<uint32_t>(stored.chunks.size());
  v1::Document from_summary;
  v1::Document basic;
  WriteDocument(summary, "collections/a/documents/b", &from_summary);
  WriteDocument(stored, "collections/a/documents/b", false, &basic);
  EXPECT_EQ(from_summary.ShortDebugString(), basic.ShortDebugString());
}

TEST_F(MessagesTest, ASearchRequestComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const SearchCall call = random_.Call();
    v1::SearchRequest message;
    WriteSearchRequest(call, &message);
    const auto read = ReadSearchRequest(Sent(message));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(ShowStruct(*read), ShowStruct(call));
  }
}

TEST_F(MessagesTest, AResponseComesBackAsItWasWhereAllOfItIsAskedFor) {
  SearchCall call;
  call.request.with_text = true;
  call.explain = true;
  for (int i = 0; i < kTrials; ++i) {
    const SearchResponse response = random_.Response();
    v1::SearchResponse message;
    WriteSearchResponse(response, call, &message);
    const auto read = ReadSearchResponse(Sent(message));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(ShowStruct(*read), ShowStruct(response));
  }
}

TEST_F(MessagesTest, APassageHasNoMoreThanWasAskedFor) {
  const SearchHit hit = random_.Hit();
  v1::Passage message;
  WritePassage(hit, false, false, &message);
  SearchHit bare;
  bare.document_id = hit.document_id;
  bare.chunk_id = hit.chunk_id;
  bare.score = hit.score;
  EXPECT_EQ(ShowStruct(*ReadPassage(Sent(message))), ShowStruct(bare));
  SearchResponse response = random_.Response();
  v1::SearchResponse without;
  WriteSearchResponse(response, SearchCall{}, &without);
  EXPECT_FALSE(without.has_timings());
  EXPECT_EQ(without.alpha(), 0);
}

TEST_F(MessagesTest, APassageThatEndsBeforeItBeginsIsRefused) {
  v1::Passage message;
  message.mutable_span()->set_begin(2);
  message.mutable_span()->set_end(1);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPassage(message).status()));
}

TEST_F(MessagesTest, AQuestionComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const AskRequest request = random_.Ask();
    v1::AnswerRequest message;
    WriteAnswerRequest(request, &message);
    const auto read = ReadAnswerRequest(Sent(message));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(ShowStruct(*read), ShowStruct(request));
  }
}

TEST_F(MessagesTest, ASentenceComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const AnswerSentence sentence = random_.Sentence();
    v1::AnswerSentence message;
    WriteAnswerSentence(sentence, &message);
    EXPECT_EQ(ShowStruct(ReadAnswerSentence(Sent(message))), ShowStruct(sentence));
  }
}

TEST_F(MessagesTest, AnAnswersSummaryComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const AskResponse response = random_.Summary();
    v1::AnswerSummary message;
    WriteAnswerSummary(response, &message);
    AskResponse read;
    read.answer = "kept";
    ReadAnswerSummary(Sent(message), &read);
    EXPECT_EQ(ShowSummary(read), ShowSummary(response));
    EXPECT_EQ(read.answer, "kept");
  }
}

TEST_F(MessagesTest, AVerificationComesBackAsItWas) {
  for (int i = 0; i < kTrials; ++i) {
    const VerifyResult result = random_.Verified();
    v1::VerifyStoreResponse message;
    WriteVerifyResult(result, &message);
    EXPECT_EQ(ShowStruct(ReadVerifyResult(Sent(message))), ShowStruct(result));
  }
}

TEST_F(MessagesTest, ATimestampsNanosecondsCountForwards) {
  google::protobuf::Timestamp time;
  WriteTimestamp(-1, &time);
  EXPECT_EQ(time.seconds(), -1);
  EXPECT_EQ(time.nanos(), 999'000'000);
  WriteTimestamp(1'500, &time);
  EXPECT_EQ(time.seconds(), 1);
  EXPECT_EQ(time.nanos(), 500'000'000);
  WriteTimestamp(-2'000, &time);
  EXPECT_EQ(time.seconds(), -2);
  EXPECT_EQ(time.nanos(), 0);
}

}  // namespace
}  // namespace cairn::services
