#include "services/ask_topics.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/eval/topics.h"
#include "services/command.h"
#include "services/interrupt.h"
#include "services/output_file.h"

namespace cairn::services {
namespace {

engine::AnswerRecord ToRecord(const engine::Topic& topic, AskResponse response) {
  engine::AnswerRecord record;
  record.id = topic.id;
  record.question = topic.text;
  record.answer = std::move(response.answer);
  for (AnswerSentence& sentence : response.sentences) {
    engine::AnsweredSentence& out = record.sentences.emplace_back();
    out.text = std::move(sentence.text);
    out.supported = sentence.supported;
    for (Citation& c : sentence.citations) {
      out.citations.push_back({std::move(c.document_id), c.begin, c.end});
    }
  }
  return record;
}

class TopicWorkers {
 public:
  TopicWorkers(Backend& backend, const AskRequest& request,
               const std::vector<engine::Topic>& topics)
      : backend_(backend), request_(request), topics_(topics), records_(topics.size()) {}

  // The first error of any worker; Cancelled after an interrupt.
  absl::Status Run(size_t workers) {
    workers = std::clamp<size_t>(workers, 1, std::max<size_t>(topics_.size(), 1));
    std::vector<absl::Status> statuses(workers);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < workers; ++t) {
      threads.emplace_back([this, status = &statuses[t]] { *status = Work(); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const absl::Status& status : statuses) {
      if (!status.ok()) return status;
    }
    return Interrupted() ? absl::CancelledError("interrupted") : absl::OkStatus();
  }

  const std::vector<engine::AnswerRecord>& records() const { return records_; }

 private:
  // Answers topics until none are left or another worker has failed.
  absl::Status Work() {
    AskRequest request = request_;
    request.is_cancelled = Interrupted;
    for (size_t i = next_++; i < topics_.size() && !Interrupted(); i = next_++) {
      request.question = topics_[i].text;
      absl::StatusOr<AskResponse> answer = backend_.Ask(request);
      if (!answer.ok()) {
        next_ = topics_.size();
        return absl::Status(answer.status().code(),
                            absl::StrCat("topic ", topics_[i].id, ": ", answer.status().message()));
      }
      records_[i] = ToRecord(topics_[i], *std::move(answer));
    }
    return absl::OkStatus();
  }

  Backend& backend_;
  const AskRequest& request_;
  const std::vector<engine::Topic>& topics_;
  std::atomic<size_t> next_{0};
  std::vector<engine::AnswerRecord> records_;  // Each written by one worker.
};

}  // namespace

int AskTopics(Backend& backend, const AskRequest& request, const AskTopicsOptions& options) {
  absl::StatusOr<std::vector<engine::Topic>> topics = engine::ReadTopicsFile(options.topics);
  if (!topics.ok()) return FailInput(topics.status());
  WatchForInterrupt();
  TopicWorkers workers(backend, request, *topics);
  const absl::Status done = workers.Run(options.at_once);
  if (absl::IsCancelled(done)) {
    std::fprintf(stderr, "cairn: interrupted, nothing is written\n");
    return kExitInterrupted;
  }
  if (!done.ok()) return Fail(done);
  const auto write = [&](const std::string& path, auto line) {
    if (path.empty()) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<OutputFile>> out = OutputFile::Open(path);
    if (!out.ok()) return out.status();
    for (const engine::AnswerRecord& record : workers.records()) {
      (*out)->stream() << line(record) << '\n';
    }
    return (*out)->Commit();
  };
  absl::Status written = write(options.trec_rag, [&](const engine::AnswerRecord& record) {
    return engine::TrecRagLine(record, options.run);
  });
  if (written.ok()) written = write(options.answers, engine::AnswerLine);
  if (!written.ok()) return FailInput(written);
  size_t sentences = 0, unsupported = 0;
  for (const engine::AnswerRecord& record : workers.records()) {
    sentences += record.sentences.size();
    for (const engine::AnsweredSentence& s : record.sentences) unsupported += s.supported ? 0 : 1;
  }
  std::fprintf(stderr, "%zu topics, %zu sentences, %zu of them unsupported\n", topics->size(),
               sentences, unsupported);
  return sentences == 0 ? kExitNothingFound : kExitOk;
}

}  // namespace cairn::services
