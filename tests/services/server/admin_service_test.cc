#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/services/language_model.h"
#include "tests/services/server/test_calls.h"

namespace cairn::services {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kVerifyId[] = "5f0c3a52-7b56-4d8e-8f0e-2f4f6a1d2b3c";

class AdminServiceTest : public ServerTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(snapshots_);
    options_.snapshot_directory = snapshots_;
  }

  static grpc::Status Verify(const TestClient& client, const std::string& collection, bool deep,
                             Operation* started, const std::string& request_id = "") {
    v1::VerifyStoreRequest request;
    request.set_collection(collection);
    request.set_deep(deep);
    request.set_request_id(request_id);
    return client.admin->VerifyStore(client.Context().get(), request, started);
  }
  static grpc::Status Compact(const TestClient& client, const std::string& collection,
                              Operation* started) {
    v1::CompactStoreRequest request;
    request.set_collection(collection);
    return client.admin->CompactStore(client.Context().get(), request, started);
  }
  static grpc::Status Snapshot(const TestClient& client, const std::string& id,
                               Operation* started) {
    v1::SnapshotStoreRequest request;
    request.set_snapshot_id(id);
    return client.admin->SnapshotStore(client.Context().get(), request, started);
  }
  static v1::StoreStats Stats(const TestClient& client) {
    v1::StoreStats stats;
    EXPECT_TRUE(
        IsOk(client.admin->GetStats(client.Context().get(), v1::GetStatsRequest(), &stats)));
    return stats;
  }

  const std::string snapshots_ = dir_.file("snapshots");
};

TEST_F(AdminServiceTest, StatisticsCountWhatIsThere) {
  StartAndOpen();
  const TestClient client = Connect();
  EXPECT_EQ(Stats(client).collections_size(), 0);
  client.Ingest("docs", {"One cat.", "Two dogs."});
  ASSERT_TRUE(IsOk(CreateCollection(client, "empty")));
  const v1::StoreStats stats = Stats(client);
  EXPECT_NE(stats.uuid(), "");
  EXPECT_GT(stats.disk_bytes(), 0u);
  EXPECT_EQ(stats.version(), std::string(Version()));
  ASSERT_EQ(stats.collections_size(), 2);
  EXPECT_EQ(stats.collections(0).name(), "collections/docs");
  EXPECT_EQ(stats.collections(0).statistics().documents(), 2u);
  EXPECT_EQ(stats.collections(0).statistics().chunks(), 2u);
  EXPECT_EQ(stats.collections(1).name(), "collections/empty");
  EXPECT_TRUE(stats.collections(1).has_statistics());
}

TEST_F(AdminServiceTest, ASoundStoreIsFoundSound) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat.", "Two dogs."});
  client.Ingest("more", {"Three birds."});
  for (const bool deep : {false, true}) {
    Operation operation;
    ASSERT_TRUE(IsOk(Verify(client, "", deep, &operation)));
    Operation done = Await(client, operation);
    auto result = ResultOf<v1::VerifyStoreResponse>(done);
    EXPECT_EQ(result.collections(), 2u);
    EXPECT_EQ(result.documents(), 3u);
    EXPECT_EQ(result.problem_count(), 0u);
    EXPECT_EQ(MetadataOf(done).method(), "cairn.v1.Admin/VerifyStore");
    EXPECT_EQ(MetadataOf(done).target(), "");
    ASSERT_TRUE(IsOk(Verify(client, "collections/more", deep, &operation)));
    done = Await(client, operation);
    result = ResultOf<v1::VerifyStoreResponse>(done);
    EXPECT_EQ(result.collections(), 1u);
    EXPECT_EQ(result.documents(), 1u);
    EXPECT_EQ(MetadataOf(done).target(), "collections/more");
  }
}

TEST_F(AdminServiceTest, KeysAndValuesAreBuiltAndCountedAndReused) {
  options_.engine.generator = WriteLanguageModel(dir_, 1);
  options_.engine.generator_threads = 1;
  options_.engine.kv.enabled = true;
  options_.kv_reuse = ReuseQuality::kExact;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat lives here.", "Two dogs live there."});
  v1::BuildKvRequest request;
  request.set_collection("collections/docs");
  Operation operation;
  ASSERT_TRUE(IsOk(client.admin->BuildKv(client.Context().get(), request, &operation)));
  const Operation done = Await(client, operation);
  const auto built = ResultOf<v1::BuildKvResponse>(done);
  EXPECT_EQ(built.documents(), 2u);
  EXPECT_EQ(built.chunks(), 2u);
  EXPECT_GT(built.bytes(), 0u);
  EXPECT_EQ(MetadataOf(done).method(), "cairn.v1.Admin/BuildKv");
  EXPECT_EQ(MetadataOf(done).target(), "collections/docs");

  v1::AnswerRequest question = Question("docs", "How many cats?");
  question.mutable_generation()->set_max_tokens(5);
  const auto usage = [&] {
    grpc::Status s;
    const std::vector<v1::AnswerResponse> events = Ask(client, question, &s);
    EXPECT_TRUE(IsOk(s));
    return events.empty() ? v1::AnswerUsage() : events.back().summary().usage();
  };
  EXPECT_EQ(usage().reuse().reused_tokens(), 0u) << "the server's default";
  question.set_question("How many dogs?");
  question.mutable_generation()->set_reuse(v1::REUSE_QUALITY_FAST);
  const v1::AnswerUsage fast = usage();
  const v1::ReuseReport& reuse = fast.reuse();
  EXPECT_GT(reuse.reused_tokens(), 0u) << reuse.ShortDebugString();
  EXPECT_EQ(reuse.exact_tokens() + reuse.reused_tokens() + reuse.recomputed_tokens() +
                reuse.fresh_tokens(),
            fast.prompt_tokens())
      << reuse.ShortDebugString();

  v1::GetKvStatsRequest kv;
  kv.set_collection("collections/docs");
  v1::KvStats stats;
  ASSERT_TRUE(IsOk(client.admin->GetKvStats(client.Context().get(), kv, &stats)));
  EXPECT_EQ(stats.disk_chunks(), 2u);
  EXPECT_GT(stats.memory_hits() + stats.disk_hits(), 0u);
}

TEST_F(AdminServiceTest, DamagedKeysAndValuesAreLoggedAndTheAnswerComputesThem) {
  options_.engine.generator = WriteLanguageModel(dir_, 2);
  options_.engine.generator_threads = 1;
  options_.engine.kv.enabled = true;
  options_.engine.kv.memory_bytes = 0;  // All come from the disk.
  options_.kv_reuse = ReuseQuality::kFast;
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat lives here."});
  v1::BuildKvRequest request;
  request.set_collection("collections/docs");
  Operation operation;
  ASSERT_TRUE(IsOk(client.admin->BuildKv(client.Context().get(), request, &operation)));
  ASSERT_EQ(ResultOf<v1::BuildKvResponse>(Await(client, operation)).chunks(), 1u);
  for (const auto& file : std::filesystem::recursive_directory_iterator(options_.store + "/kv")) {
    if (file.is_regular_file()) std::filesystem::resize_file(file.path(), 100);
  }
  v1::AnswerRequest question = Question("docs", "How many cats?");
  question.mutable_generation()->set_max_tokens(5);
  grpc::Status s;
  const std::vector<v1::AnswerResponse> events = Ask(client, question, &s);
  ASSERT_TRUE(IsOk(s));
  EXPECT_EQ(events.back().summary().usage().reuse().reused_tokens(), 0u);
  EXPECT_THAT(log_->lines(),
              Contains(AllOf(HasSubstr("keys and values"), HasSubstr("KV blob of collection"))));
}

TEST_F(AdminServiceTest, CompactionLeavesOneSegmentWithoutTheDeleted) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat.", "Two dogs.", "Three birds."});
  client.Ingest("more", {"Four fish."});
  v1::BatchDeleteDocumentsRequest deletion;
  deletion.set_parent("collections/docs");
  deletion.add_ids("d1");
  v1::BatchDeleteDocumentsResponse deleted;
  ASSERT_TRUE(
      IsOk(client.documents->BatchDeleteDocuments(client.Context().get(), deletion, &deleted)));
  Operation operation;
  ASSERT_TRUE(IsOk(Compact(client, "collections/docs", &operation)));
  ResultOf<v1::CompactStoreResponse>(Await(client, operation));
  v1::StoreStats stats = Stats(client);
  EXPECT_EQ(stats.collections(0).statistics().segments(), 1u);
  EXPECT_EQ(stats.collections(0).statistics().dead_chunks(), 0u);
  EXPECT_EQ(stats.collections(0).statistics().chunks(), 2u);
  EXPECT_EQ(stats.collections(1).statistics().segments(), 0u) << "not asked for";
  ASSERT_TRUE(IsOk(Compact(client, "", &operation)));
  ResultOf<v1::CompactStoreResponse>(Await(client, operation));
  stats = Stats(client);
  EXPECT_EQ(stats.collections(1).statistics().segments(), 1u);
  v1::SearchResponse found;
  ASSERT_TRUE(IsOk(client.Search("docs", "birds", &found)));
  EXPECT_EQ(found.passages(0).document_id(), "d2");
}

TEST_F(AdminServiceTest, MaintenanceOfWhatIsNotThereIsRefused) {
  StartAndOpen();
  const TestClient client = Connect();
  Operation operation;
  for (const grpc::Status& s : {Verify(client, "collections/none", false, &operation),
                                Compact(client, "collections/none", &operation)}) {
    EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "COLLECTION_NOT_FOUND"));
    EXPECT_EQ(s.error_message(), "collections/none does not exist");
  }
  EXPECT_TRUE(IsBadField(Verify(client, "none", false, &operation), "collection"));
  EXPECT_TRUE(IsBadField(Compact(client, "collections/../x", &operation), "collection"));
}

TEST_F(AdminServiceTest, ARepeatedRequestIsTheSameOperation) {
  StartAndOpen();
  const TestClient client = Connect();
  Operation first, again;
  ASSERT_TRUE(IsOk(Verify(client, "", false, &first, kVerifyId)));
  ASSERT_TRUE(IsOk(Verify(client, "", false, &again, kVerifyId)));
  EXPECT_EQ(first.name(), again.name());
  EXPECT_EQ(Verify(client, "", true, &again, kVerifyId).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(AdminServiceTest, ASnapshotIsAStore) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat.", "Two dogs."});
  Operation operation;
  ASSERT_TRUE(IsOk(Snapshot(client, "monday", &operation)));
  EXPECT_EQ(ResultOf<v1::SnapshotStoreResponse>(Await(client, operation)).snapshot_id(), "monday");
  client.Ingest("docs", {"Changed since."});
  const std::string restored = dir_.file("restored");
  ASSERT_TRUE(Engine::Restore(snapshots_ + "/monday", restored).ok());
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(restored, {});
  ASSERT_TRUE(engine.ok()) << engine.status();
  const absl::StatusOr<StoredDocument> document = (*engine)->Get("docs", "d0");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->text, "One cat.");
  EXPECT_EQ(Snapshot(client, "monday", &operation).error_code(), StatusCode::ALREADY_EXISTS);
}

TEST_F(AdminServiceTest, ASnapshotStaysInItsDirectory) {
  StartAndOpen();
  const TestClient client = Connect();
  Operation operation;
  for (const std::string& id :
       {std::string(), std::string("../x"), std::string(".."), std::string("."), std::string("a/b"),
        std::string("/tmp/x"), std::string("a\0b", 3), std::string("a%2Fb"),
        std::string(65, 'a')}) {
    EXPECT_TRUE(IsBadField(Snapshot(client, id, &operation), "snapshot_id")) << id;
  }
  EXPECT_TRUE(std::filesystem::is_empty(snapshots_));
}

TEST_F(AdminServiceTest, WithoutADirectoryThereAreNoSnapshots) {
  options_.snapshot_directory = "";
  StartAndOpen();
  Operation operation;
  EXPECT_TRUE(IsError(Snapshot(Connect(), "monday", &operation), StatusCode::FAILED_PRECONDITION,
                      "NO_SNAPSHOT_DIRECTORY"));
}

TEST_F(AdminServiceTest, AFailedOperationTellsNoPaths) {
  options_.snapshot_directory = dir_.file("not/there");
  StartAndOpen();
  const TestClient client = Connect();
  Operation operation;
  const grpc::Status s = Snapshot(client, "monday", &operation);
  const std::string message =
      s.ok() ? Await(client, operation).error().message() : s.error_message();
  EXPECT_NE(message, "");
  EXPECT_EQ(message.find(dir_.path()), message.npos) << message;
}

class OperationsServiceTest : public AdminServiceTest {
 protected:
  static grpc::Status Get(const TestClient& client, const std::string& name, Operation* operation) {
    google::longrunning::GetOperationRequest request;
    request.set_name(name);
    return client.operations->GetOperation(client.Context().get(), request, operation);
  }
  static grpc::Status Cancel(const TestClient& client, const std::string& name) {
    google::longrunning::CancelOperationRequest request;
    request.set_name(name);
    google::protobuf::Empty nothing;
    return client.operations->CancelOperation(client.Context().get(), request, &nothing);
  }
  static grpc::Status Delete(const TestClient& client, const std::string& name) {
    google::longrunning::DeleteOperationRequest request;
    request.set_name(name);
    google::protobuf::Empty nothing;
    return client.operations->DeleteOperation(client.Context().get(), request, &nothing);
  }
  static grpc::Status List(const TestClient& client,
                           const google::longrunning::ListOperationsRequest& request,
                           google::longrunning::ListOperationsResponse* page) {
    return client.operations->ListOperations(client.Context().get(), request, page);
  }
};

TEST_F(OperationsServiceTest, AnOperationIsKeptUntilItIsDeleted) {
  StartAndOpen();
  const TestClient client = Connect();
  Operation started, found;
  ASSERT_TRUE(IsOk(Verify(client, "", false, &started)));
  Await(client, started);
  ASSERT_TRUE(IsOk(Get(client, started.name(), &found)));
  EXPECT_EQ(found.name(), started.name());
  EXPECT_TRUE(found.done());
  EXPECT_TRUE(IsOk(Cancel(client, started.name()))) << "it is done: nothing to cancel";
  ASSERT_TRUE(IsOk(Get(client, started.name(), &found)));
  EXPECT_FALSE(found.has_error());
  EXPECT_TRUE(IsOk(Delete(client, started.name())));
  for (const grpc::Status& s :
       {Get(client, started.name(), &found), Cancel(client, started.name()),
        Delete(client, started.name()), WaitOperation(client, started.name(), &found)}) {
    EXPECT_TRUE(IsError(s, StatusCode::NOT_FOUND, "OPERATION_NOT_FOUND"));
    EXPECT_EQ(s.error_message(), started.name() + " does not exist");
  }
  for (const char* name : {"", "operations/", "operations/a/b", "operations/../x", "x"}) {
    EXPECT_TRUE(IsBadField(Get(client, name, &found), "name")) << name;
    EXPECT_TRUE(IsBadField(WaitOperation(client, name, &found), "name")) << name;
  }
}

TEST_F(OperationsServiceTest, AListGoesFromTheFirstToTheLast) {
  StartAndOpen();
  const TestClient client = Connect();
  std::vector<std::string> started, listed;
  for (int i = 0; i < 5; ++i) {
    Operation operation;
    ASSERT_TRUE(IsOk(Verify(client, "", false, &operation)));
    started.push_back(operation.name());
  }
  google::longrunning::ListOperationsRequest request;
  request.set_name("operations");
  request.set_page_size(2);
  google::longrunning::ListOperationsResponse page;
  do {
    request.set_page_token(page.next_page_token());
    ASSERT_TRUE(IsOk(List(client, request, &page)));
    EXPECT_LE(page.operations_size(), 2);
    for (const Operation& operation : page.operations()) listed.push_back(operation.name());
  } while (!page.next_page_token().empty());
  EXPECT_EQ(listed, started);
  request.set_page_token("x");
  EXPECT_TRUE(IsBadField(List(client, request, &page), "page_token"));
  request.set_page_token("");
  request.set_filter("done = true");
  EXPECT_TRUE(IsBadField(List(client, request, &page), "filter"));
  request.set_filter("");
  request.set_name("collections");
  EXPECT_TRUE(IsBadField(List(client, request, &page), "name"));
}

TEST_F(OperationsServiceTest, AWaitThatEndsEarlyTellsTheState) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat.", "Two dogs."});
  std::vector<Operation> started(10);
  for (Operation& operation : started) {
    ASSERT_TRUE(IsOk(Verify(client, "", true, &operation)));
  }
  for (const Operation& operation : started) {
    google::longrunning::WaitOperationRequest request;
    request.set_name(operation.name());
    request.mutable_timeout()->set_nanos(1);
    Operation state;
    ASSERT_TRUE(IsOk(client.operations->WaitOperation(client.Context().get(), request, &state)));
    EXPECT_EQ(state.name(), operation.name());
    EXPECT_EQ(state.done(), MetadataOf(state).state() == v1::OperationMetadata::STATE_DONE);
    EXPECT_EQ(state.done(), state.has_response());
    request.mutable_timeout()->set_nanos(-1);
    EXPECT_TRUE(IsBadField(
        client.operations->WaitOperation(client.Context().get(), request, &state), "timeout"));
  }
  for (const Operation& operation : started) Await(client, operation);
}

TEST_F(OperationsServiceTest, ACancelledOperationEnds) {
  StartAndOpen();
  const TestClient client = Connect();
  client.Ingest("docs", {"One cat.", "Two dogs."});
  std::vector<Operation> started(10);
  for (Operation& operation : started) {
    ASSERT_TRUE(IsOk(Verify(client, "", true, &operation)));
  }
  for (const Operation& operation : started) {
    ASSERT_TRUE(IsOk(Cancel(client, operation.name())));
    const Operation done = Await(client, operation);
    // One that was faster has its result.
    if (done.has_error()) {
      EXPECT_EQ(done.error().code(), static_cast<int>(StatusCode::CANCELLED));
    } else {
      ResultOf<v1::VerifyStoreResponse>(done);
    }
    EXPECT_EQ(MetadataOf(done).state(), v1::OperationMetadata::STATE_DONE);
  }
}

}  // namespace
}  // namespace cairn::services
