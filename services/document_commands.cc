// get, delete, list.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "services/command.h"
#include "services/json_output.h"

namespace cairn::services {
namespace {

constexpr size_t kListPage = 1000;

class GetCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("get", "Print a stored document");
    flags_.Register(c);
    c->add_option("ID", id_, "The document's id")->required();
    begin_option_ = c->add_option("--begin", begin_, "First byte to print");
    end_option_ = c->add_option("--end", end_, "Byte to stop before");
    c->add_flag("--json", json_, "Print text, metadata and chunks as JSON");
    c->footer(
        "Prints the normalised text, which all citations refer to.\n\n"
        "Examples:\n"
        "  cairn get --store my.store manual.html\n"
        "  cairn get --store my.store --begin 120 --end 960 manual.html");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(false);
    if (!engine.ok()) return Fail(engine.status());
    absl::StatusOr<StoredDocument> document = (*engine)->Get(flags_.collection, id_);
    if (absl::IsNotFound(document.status())) {
      Fail(document.status());
      return kExitNothingFound;
    }
    if (!document.ok()) return Fail(document.status());
    if (json_) {
      std::printf("%s\n", Dump(ToJson(*document)).c_str());
      return kExitOk;
    }
    const size_t size = document->text.size();
    const size_t begin = begin_option_->count() > 0 ? begin_ : 0;
    const size_t end = end_option_->count() > 0 ? end_ : size;
    if (begin > end || end > size) {
      return FailUsage(absl::StrCat("the text has bytes 0 to ", size));
    }
    std::fwrite(document->text.data() + begin, 1, end - begin, stdout);
    if (end > begin && document->text[end - 1] != '\n') std::printf("\n");
    return kExitOk;
  }

 private:
  StoreFlags flags_;
  std::string id_;
  size_t begin_ = 0, end_ = 0;
  CLI::Option* begin_option_ = nullptr;
  CLI::Option* end_option_ = nullptr;
  bool json_ = false;
};

class DeleteCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("delete", "Delete documents, or a whole collection");
    flags_.Register(c);
    c->add_option("ID", ids_, "Ids of documents; - reads them from standard input, one a line");
    c->add_flag("--whole-collection", whole_, "Delete the collection with everything in it");
    c->add_flag("--json", json_, "Print JSON");
    c->footer(
        "Examples:\n"
        "  cairn delete --store my.store manual.html notes.md\n"
        "  cairn list --store my.store --filter 'year < 2010' | cairn delete --store my.store -\n"
        "  cairn delete --store my.store --collection drafts --whole-collection");
    return c;
  }

  int Run() override {
    if (whole_ == !ids_.empty()) return FailUsage("name documents, or --whole-collection");
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(true);
    if (!engine.ok()) return Fail(engine.status());
    if (whole_) {
      absl::Status s = (*engine)->DeleteCollection(flags_.collection);
      return s.ok() ? kExitOk : Fail(s);
    }
    if (ids_.size() == 1 && ids_[0] == "-") {
      ids_.clear();
      for (std::string line; std::getline(std::cin, line);) {
        if (!line.empty()) ids_.push_back(line);
      }
    }
    absl::StatusOr<std::vector<bool>> deleted = (*engine)->Delete(flags_.collection, ids_);
    if (!deleted.ok()) return Fail(deleted.status());
    Json gone = Json::array(), missing = Json::array();
    for (size_t i = 0; i < ids_.size(); ++i) ((*deleted)[i] ? gone : missing).push_back(ids_[i]);
    if (json_) {
      std::printf("%s\n", Dump({{"deleted", gone}, {"not_found", missing}}).c_str());
    } else {
      for (const auto& id : missing) {
        std::fprintf(stderr, "no document %s\n", id.get<std::string>().c_str());
      }
      std::fprintf(stderr, "%zu deleted\n", gone.size());
    }
    return gone.empty() ? kExitNothingFound : kExitOk;
  }

 private:
  StoreFlags flags_;
  std::vector<std::string> ids_;
  bool whole_ = false, json_ = false;
};

class ListCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("list", "List documents, or collections");
    flags_.Register(c);
    c->add_option("--filter", filter_, "Expression on metadata");
    c->add_option("--after", after_, "Begin after this id");
    limit_option_ = c->add_option("--limit", limit_, "At most this many (default: all)");
    c->add_flag("--collections", collections_, "List the store's collections instead");
    c->add_flag("--json", json_, "Print a JSON array");
    c->footer("Example:\n  cairn list --store my.store --filter 'lang = \"en\"' --limit 10");
    return c;
  }

  int Run() override {
    absl::StatusOr<std::unique_ptr<Engine>> engine = flags_.Open(false);
    if (!engine.ok()) return Fail(engine.status());
    std::vector<std::string> names;
    if (collections_) {
      absl::StatusOr<std::vector<std::string>> all = (*engine)->ListCollections();
      if (!all.ok()) return Fail(all.status());
      names = *std::move(all);
    } else {
      // Page by page: what is printed need not be held.
      const size_t limit = limit_option_->count() > 0 ? limit_ : ~size_t{0};
      size_t listed = 0;
      bool found = false;
      while (listed < limit) {
        absl::StatusOr<std::vector<std::string>> page = (*engine)->List(
            flags_.collection, after_, std::min(kListPage, limit - listed), filter_);
        if (!page.ok()) return Fail(page.status());
        if (page->empty()) break;
        found = true;
        listed += page->size();
        after_ = page->back();
        if (json_) {
          names.insert(names.end(), page->begin(), page->end());
        } else {
          for (const std::string& id : *page) std::printf("%s\n", id.c_str());
        }
      }
      if (!json_) return found ? kExitOk : kExitNothingFound;
    }
    if (json_) {
      std::printf("%s\n", Dump(Json(names)).c_str());
    } else {
      for (const std::string& n : names) std::printf("%s\n", n.c_str());
    }
    return names.empty() ? kExitNothingFound : kExitOk;
  }

 private:
  StoreFlags flags_;
  std::string filter_, after_;
  size_t limit_ = 0;
  CLI::Option* limit_option_ = nullptr;
  bool collections_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeGetCommand() { return std::make_unique<GetCommand>(); }
std::unique_ptr<Command> MakeDeleteCommand() { return std::make_unique<DeleteCommand>(); }
std::unique_ptr<Command> MakeListCommand() { return std::make_unique<ListCommand>(); }

}  // namespace cairn::services
