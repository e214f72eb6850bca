// Answers on the command line: extractive ones, and those of a small model of random weights.
#include <cctype>
#include <map>
#include <set>

#include "tests/services/cli_test.h"
#include "tests/services/language_model.h"
#include "tests/support/shared_data.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

class AskTest : public CliTest {
 protected:
  static constexpr int kInterrupted = 130;

  void SetUp() override {
    dir_.Write(
        "in/octopus.txt",
        "Octopuses have three hearts. Two pump blood to the gills. They live for two years.");
    dir_.Write("in/tower.txt", "The Eiffel Tower was completed in 1889. It is 330 metres tall.");
    ASSERT_EQ(Ingest({dir_.file("in")}).exit_code, kOk);
    dir_.Write("topics.tsv", "1\tHow many hearts do octopuses have?\n2\tHow tall is the tower?\n");
  }

  std::string Model() const { return WriteLanguageModel(dir_, 2); }

  ProcessResult Ask(const Strings& rest) const { return Cairn(OnStore("ask", rest)); }
};

TEST_F(AskTest, AModelsAnswerIsStreamedOrPrintedTheSame) {
  const Strings arguments = {"--model",
                             Model(),
                             "--max-tokens",
                             "60",
                             "--seed",
                             "5",
                             "--temperature",
                             "1",
                             "How many hearts do octopuses have?"};
  const ProcessResult streamed = Ask(arguments);
  EXPECT_EQ(streamed.exit_code, kOk) << streamed.err;
  EXPECT_THAT(streamed.out, HasSubstr("[?]"));
  EXPECT_THAT(streamed.err, HasSubstr("sentences are not supported by the passages"));
  Strings whole = arguments;
  whole.push_back("--no-stream");
  EXPECT_EQ(Ask(whole).out, streamed.out);
  whole.back() = "--json";
  const Json json = ParseJson(Ask(whole));
  EXPECT_EQ(json["mode"], "generated");
  EXPECT_EQ(json["passages"].size(), 2u);
  EXPECT_EQ(json["unsupported_sentences"], json["sentences"].size());
  EXPECT_GT(json["usage"]["prompt_tokens"], 100);
  EXPECT_LE(json["usage"]["generated_tokens"], 60);
  EXPECT_GT(json["microseconds"]["prefill"], 0);
  EXPECT_EQ(json["usage"]["reuse"]["reused_tokens"], 0) << "nothing is kept";
  EXPECT_EQ(json["usage"]["reuse"]["microseconds"]["load"], 0);
  std::string text;
  for (const Json& sentence : json["sentences"]) {
    EXPECT_THAT(json["answer"].get<std::string>(), HasSubstr(sentence["text"].get<std::string>()));
  }
}

TEST_F(AskTest, TimingsAreMessages) {
  const ProcessResult quoted = Ask({"--timings", "How many hearts do octopuses have?"});
  EXPECT_EQ(quoted.exit_code, kOk);
  EXPECT_THAT(quoted.err, HasSubstr("select sentences"));
  EXPECT_EQ(quoted.out, Ask({"How many hearts do octopuses have?"}).out);
  const ProcessResult written = Ask({"--timings", "--model", Model(), "--max-tokens", "5", "Why?"});
  EXPECT_THAT(written.err, HasSubstr("first token after "));
  EXPECT_THAT(written.err, HasSubstr("for 5 tokens"));
}

TEST_F(AskTest, AnInterruptEndsTheAnswerWhereItIs) {
  const std::string model = Model();
  for (const bool stream : {true, false}) {
    // The most likely tokens go round in a circle without end, but make no text.
    Strings arguments = OnStore("ask", {"--model", model, "--max-tokens", "30000", "--seed", "5",
                                        "--temperature", stream ? "1" : "0", "How many hearts?"});
    if (!stream) arguments.push_back("--json");
    Process process(Options(arguments));
    if (stream) {
      ASSERT_TRUE(process.WaitForOutput("\xEF\xBF\xBD"));  // Random weights write no characters.
    } else {
      process.RunFor(std::chrono::seconds(2));
    }
    process.Signal(SIGINT);
    const ProcessResult result = process.Wait();
    EXPECT_EQ(result.exit_code, kInterrupted) << result.signal << result.err;
    EXPECT_EQ(result.out.back(), '\n');
    if (!stream) {
      EXPECT_EQ(ParseJson(result)["finish"], "cancelled");
    }
  }
}

TEST_F(AskTest, AnInterruptedFileOfTopicsWritesNothing) {
  const std::string out = dir_.Write("out.jsonl", "old");
  Process process(Options(OnStore("ask", {"--model", Model(), "--max-tokens", "30000", "--topics",
                                          dir_.file("topics.tsv"), "--trec-rag", out})));
  process.RunFor(std::chrono::seconds(2));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait().exit_code, kInterrupted);
  EXPECT_EQ(::cairn::testing::ReadFileOrDie(out), "old");
  EXPECT_FALSE(std::filesystem::exists(out + ".new"));
}

TEST_F(AskTest, TopicsBecomeAnswersAndSubmissions) {
  const std::string answers = dir_.file("answers.jsonl"), run = dir_.file("run.jsonl");
  const ProcessResult asked = Ask({"--topics", dir_.file("topics.tsv"), "--answers", answers,
                                   "--trec-rag", run, "--run-id", "mine", "--sentences", "1"});
  EXPECT_EQ(asked.exit_code, kOk) << asked.err;
  EXPECT_THAT(asked.out, IsEmpty());
  const Strings lines = Lines(::cairn::testing::ReadFileOrDie(run));
  ASSERT_EQ(lines.size(), 2u);
  const Json line = Json::parse(lines[0]);
  EXPECT_EQ(line["run_id"], "mine");
  EXPECT_EQ(line["topic_id"], "1");
  EXPECT_EQ(line["topic"], "How many hearts do octopuses have?");
  EXPECT_EQ(line["references"], Json::array({dir_.file("in/octopus.txt")}));
  EXPECT_EQ(line["response_length"], 4);
  EXPECT_EQ(line["answer"], Json::parse("[{\"text\": \"Octopuses have three hearts.\", "
                                        "\"citations\": [0]}]"));
  // The year 2025, on standard output.
  const ProcessResult second = Ask({"--topics", dir_.file("topics.tsv"), "--trec-rag", "-",
                                    "--format", "2025", "--team-id", "us", "--at-once", "2"});
  const Json metadata = Json::parse(Lines(second.out)[1])["metadata"];
  EXPECT_EQ(metadata, Json::parse(R"({"team_id": "us", "run_id": "cairn", "narrative_id": "2",
                                      "type": "automatic"})"));
  const std::string run_2025 = dir_.Write("run2025.jsonl", second.out);
  for (const std::string& path : {run, run_2025}) {
    const ProcessResult checked =
        Cairn({"eval", "--trec-rag", path, "--topics", dir_.file("topics.tsv")});
    EXPECT_EQ(checked.exit_code, kOk) << checked.out;
    EXPECT_THAT(checked.out, IsEmpty());
  }
  // The answers, measured.
  const std::string octopus = dir_.file("in/octopus.txt");
  const std::string gold = dir_.Write(
      "gold.jsonl", "{\"_id\": \"1\", \"answers\": [\"three\"], \"gold\": [\"" + octopus +
                        "\"]}\n{\"_id\": \"2\", \"answers\": [\"12\"], \"gold\": [\"none\"]}\n");
  const ProcessResult measured = Cairn({"eval", "--answers", answers, "--gold", gold, "-q"});
  EXPECT_EQ(measured.exit_code, kOk) << measured.err;
  EXPECT_THAT(measured.out, HasSubstr("containment           \t1\t1.0000\n"));
  EXPECT_THAT(measured.out, HasSubstr("citation_precision    \tall\t0.5000\n"));
  EXPECT_THAT(measured.out, HasSubstr("unsupported           \tall\t0.0000\n"));
  EXPECT_THAT(measured.out, HasSubstr("num_answered          \tall\t2\n"));
  const Json json =
      ParseJson(Cairn({"eval", "--json", "--answers", answers, "--gold", gold, "-q"}));
  EXPECT_EQ(json["all"]["citation_recall"], 0.5);
  EXPECT_EQ(json["per_query"]["1"]["exact_match"], 0);
}

TEST_F(AskTest, ViolationsOfTheTrackAreListedWithTheirLines) {
  const std::string run = dir_.Write("run.jsonl", "{}\nx\n");
  const ProcessResult checked = Cairn({"eval", "--trec-rag", run});
  EXPECT_EQ(checked.exit_code, kError);
  EXPECT_THAT(checked.out, HasSubstr(run + ":1: member \"run_id\" is missing\n"));
  EXPECT_THAT(checked.out, HasSubstr(run + ":2: not valid JSON"));
  EXPECT_THAT(checked.err, HasSubstr("2 answers, 7 violations"));
  const ProcessResult as_json = Cairn({"eval", "--trec-rag", run, "--json"});
  EXPECT_EQ(as_json.exit_code, kError);
  EXPECT_EQ(ParseJson(as_json)["violation_count"], 7);
}

TEST_F(AskTest, WrongUseIsExplained) {
  const std::string topics = dir_.file("topics.tsv");
  const std::pair<Strings, const char*> cases[] = {
      {OnStore("ask", {"--topics", topics}), "--topics goes with"},
      {OnStore("ask", {"--trec-rag", "x", "why?"}), "--topics goes with"},
      {OnStore("ask", {"--topics", topics, "--answers", "-", "why?"}), "exclude each other"},
      {OnStore("ask", {"--topics", topics, "--answers", "-", "--json"}), "for one question"},
      {OnStore("ask", {"--topics", topics, "--answers", "x", "--trec-rag", "x"}), "the same file"},
      {OnStore("ask", {"--json", "--no-stream", "why?"}), "excludes"},
      {OnStore("ask", {"--format", "2023", "why?"}), "--format"},
      {OnStore("ask", {"--temperature", "-1", "why?"}), "--temperature"},
      {OnStore("ask", {"--max-tokens", "0", "why?"}), "--max-tokens"},
      {{"eval", "--answers", "x"}, "goes with --gold"},
      {{"eval", "--gold", "x"}, "name what to evaluate"},
      {{"eval", "--topics", "x", "q", "r"}, "--topics is for --trec-rag"},
      {{"eval", "--trec-rag", "x", "--answers", "y", "--gold", "z"}, "name what to evaluate"},
      {{"eval"}, "name what to evaluate"},
  };
  for (const auto& [command, reason] : cases) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kUsage) << reason << result.err;
    EXPECT_THAT(result.err, HasSubstr(reason));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST_F(AskTest, BadInputsAreErrors) {
  const Strings inputs[] = {
      OnStore("ask", {"--model", dir_.file("none.gguf"), "why?"}),
      OnStore("ask", {"--model", dir_.Write("bad.gguf", "GGUFx"), "why?"}),
      OnStore("ask", {"--topics", dir_.file("none.tsv"), "--answers", "-"}),
      OnStore("ask",
              {"--topics", dir_.file("topics.tsv"), "--answers", dir_.file("absent/a.jsonl")}),
      {"eval", "--trec-rag", dir_.file("none.jsonl")},
      {"eval", "--answers", dir_.file("none.jsonl"), "--gold", dir_.file("none.jsonl")},
      {"eval", "--trec-rag", dir_.file("topics.tsv"), "--topics", dir_.file("none.tsv")},
  };
  for (const Strings& command : inputs) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kError) << ::testing::PrintToString(command) << result.err;
    EXPECT_THAT(result.err, HasSubstr("cairn: "));
    EXPECT_THAT(result.out, IsEmpty());
  }
  // A question that leaves no room: refused before anything is written.
  const ProcessResult long_question =
      Ask({"--model", Model(), "--max-context", "400", std::string(600, 'q')});
  EXPECT_EQ(long_question.exit_code, kUsage);
  EXPECT_THAT(long_question.err, HasSubstr("400 of the model's context"));
}

// Every citation of every answer to the questions of MuSiQue is a span of a stored document that
// says what the sentence says, and the submission is one that the track would take.
class AskMusique : public CliTest {
 protected:
  static std::string Data(const std::string& name) {
    return ::cairn::testing::SharedDir() + "/data/musique100/" + name;
  }

  // For the first `count` questions.
  void Check(size_t count, const Strings& more) {
    std::string some;
    for (const std::string& line : Lines(::cairn::testing::ReadFileOrDie(Data("topics.tsv")))) {
      if (count > 0) some += line + "\n";
      count -= count > 0 ? 1 : 0;
    }
    const std::string topics = dir_.Write("topics.tsv", some);
    ASSERT_EQ(Ingest({Data("corpus.jsonl")}).exit_code, kOk);
    std::map<std::string, std::string> texts;
    for (const std::string& line : Lines(::cairn::testing::ReadFileOrDie(Data("corpus.jsonl")))) {
      const Json document = Json::parse(line);
      texts[document["_id"]] = document["text"];
    }
    const std::string answers = dir_.file("answers.jsonl"), run = dir_.file("run.jsonl");
    Strings arguments = {"--topics", topics, "--answers", answers, "--trec-rag", run};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult asked = Cairn(OnStore("ask", arguments));
    ASSERT_EQ(asked.exit_code, kOk) << asked.err;
    for (const std::string& line : Lines(::cairn::testing::ReadFileOrDie(answers))) {
      const Json answer = Json::parse(line);
      for (const Json& sentence : answer["sentences"]) {
        EXPECT_EQ(sentence["supported"], !sentence["citations"].empty());
        for (const Json& citation : sentence["citations"]) {
          ++citations_;
          CheckCitation(texts[citation["document"]], citation, sentence["text"]);
        }
      }
    }
    const ProcessResult valid = Cairn({"eval", "--trec-rag", run, "--topics", topics});
    EXPECT_EQ(valid.exit_code, kOk) << valid.out;
    const Json scores = ParseJson(
        Cairn({"eval", "--json", "--answers", answers, "--gold", Data("questions.jsonl")}));
    EXPECT_EQ(scores["answered"], Lines(some).size());
    recall_ = scores["all"]["citation_recall"];
  }

  // The words of the sentence that are long enough to say something are in the span, most of them.
  static void CheckCitation(const std::string& text, const Json& citation,
                            const std::string& sentence) {
    const size_t begin = citation["begin"], end = citation["end"];
    ASSERT_LT(begin, end);
    ASSERT_LE(end, text.size());
    const std::set<std::string> span = Words(text.substr(begin, end - begin));
    size_t words = 0, found = 0;
    for (const std::string& word : Words(sentence)) {
      ++words;
      found += span.contains(word);
    }
    EXPECT_GE(2 * found, words) << sentence << "\n" << text.substr(begin, end - begin);
  }

  static std::set<std::string> Words(const std::string& text) {
    std::set<std::string> words;
    std::string word;
    for (const char c : text + " ") {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
        word.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
      } else {
        if (word.size() > 3) words.insert(word);
        word.clear();
      }
    }
    return words;
  }

  size_t citations_ = 0;
  double recall_ = 0;
};

TEST_F(AskMusique, ExtractiveAnswersCiteWhatTheyQuote) {
  CAIRN_NEED_SHARED("data/musique100/corpus.jsonl");
  Check(100, {});
  EXPECT_EQ(citations_, 300u);
  EXPECT_GT(recall_, 0.4);
}

TEST_F(AskMusique, ALanguageModelsCitationsHold) {
  CAIRN_NEED_SHARED("data/musique100/corpus.jsonl");
  CAIRN_NEED_SHARED("models/stories260k/stories260K.gguf");
  Check(25, {"--model", ::cairn::testing::SharedDir() + "/models/stories260k/stories260K.gguf",
             "--max-tokens", "24", "--token-budget", "600", "--at-once", "4"});
}

}  // namespace
}  // namespace cairn::services
