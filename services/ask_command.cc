#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/passage_output.h"

namespace cairn::services {
namespace {

class AskCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("ask", "Answer a question with cited sentences");
    flags_.Register(c);
    c->add_option("QUESTION", question_, "The question")->required();
    c->add_option("--passages", request_.passages, "Passages to read")
        ->check(CLI::Range(size_t{1}, size_t{1000}))
        ->capture_default_str();
    c->add_option("--sentences", request_.sentences, "Most sentences in the answer")
        ->check(CLI::Range(size_t{1}, size_t{100}))
        ->capture_default_str();
    c->add_option("--filter", request_.filter, "Expression on metadata");
    c->add_flag("--json", json_, "Print JSON");
    c->footer(
        "The answer is extractive: sentences of the best passages, each with its source.\n\n"
        "Example:\n"
        "  cairn ask --store my.store 'How do I hold a package back?'");
    return c;
  }

  int Run() override {
    request_.collection = flags_.collection;
    request_.question = absl::StrJoin(question_, " ");
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(false);
    if (!engine.ok()) return Fail(engine.status());
    absl::StatusOr<AskResponse> answer = (*engine)->Ask(request_);
    if (!answer.ok()) return Fail(answer.status());
    if (json_) {
      Json out = {{"question", request_.question}};
      out.update(ToJson(*answer));
      std::printf("%s\n", Dump(out).c_str());
    } else {
      Print(*answer);
    }
    return answer->sentences.empty() ? kExitNothingFound : kExitOk;
  }

 private:
  static void Print(const AskResponse& answer) {
    for (size_t i = 0; i < answer.sentences.size(); ++i) {
      const std::string& text = answer.sentences[i].text;
      std::printf("%s [%zu]\n", ForTerminal(Excerpt(text, text.size()), STDOUT_FILENO).c_str(),
                  i + 1);
    }
    if (!answer.sentences.empty()) std::printf("\n");
    for (size_t i = 0; i < answer.sentences.size(); ++i) {
      const Citation& c = answer.sentences[i].citation;
      const std::string source =
          absl::StrCat(c.title, c.title.empty() ? "" : ", ", Place(c.document_id, c.begin, c.end));
      std::printf("[%zu] %s\n", i + 1, ForTerminal(source, STDOUT_FILENO).c_str());
    }
  }

  StoreFlags flags_;
  AskRequest request_;
  std::vector<std::string> question_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeAskCommand() { return std::make_unique<AskCommand>(); }

}  // namespace cairn::services
