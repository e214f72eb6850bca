// Runs a program as a user would: arguments, environment, pipes, limits, signals.
#ifndef CAIRN_TESTS_SUPPORT_PROCESS_H_
#define CAIRN_TESTS_SUPPORT_PROCESS_H_

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::testing {

struct ProcessOptions {
  std::vector<std::string> argv;         // argv[0]: the program's path.
  std::vector<std::string> environment;  // "NAME=value"; nothing is inherited.
  std::string directory;                 // Working directory; empty: this process's.
  std::string input;                     // Standard input.
  // Further blocks of standard input, each until the next call; an empty one ends it.
  std::function<std::string_view()> more_input;
  bool hold_input = false;  // Standard input stays open until CloseInput.
  bool stderr_is_terminal = false;
  std::vector<std::pair<__rlimit_resource, rlim_t>> limits;
  std::vector<int> ignored_signals;
  // Runs in the child just before the program, which is opened before (and so need not be
  // reachable any more); must not allocate. False: the child ends with exit code 127.
  std::function<bool()> before_exec;
  std::chrono::seconds timeout{120};
};

struct ProcessResult {
  int exit_code = -1;  // -1: ended by a signal.
  int signal = 0;
  bool timed_out = false;  // Killed for it.
  std::string out;
  std::string err;
  long max_rss_kib = 0;
};

// One child process. Not thread-safe.
class Process {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Process(ProcessOptions options)
      : options_(std::move(options)), deadline_(Clock::now() + options_.timeout) {
    input_ = options_.input;
    Start();
  }
  ~Process() {
    if (pid_ > 0 && !reaped_) {
      ::kill(pid_, SIGKILL);
      Wait();
    }
    for (int* fd : {&in_, &out_, &err_, &pidfd_}) Close(fd);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& output() const { return result_.out; }

  void Signal(int number) { ::kill(pid_, number); }
  void WriteInput(std::string_view bytes) { held_.append(bytes); }
  void CloseInput() { options_.hold_input = false; }
  // Stops reading the program's standard output, as `head` does.
  void CloseOutput() { Close(&out_); }

  // Passes data until standard output holds `text`. False: the program ended or time is up.
  bool WaitForOutput(std::string_view text) {
    while (result_.out.find(text) == std::string::npos) {
      if (!Pump(deadline_)) return false;
    }
    return true;
  }

  // Passes data for that long. False: the program ended meanwhile.
  bool RunFor(std::chrono::microseconds time) {
    const Clock::time_point end = Clock::now() + time;
    while (Clock::now() < end) {
      if (!Pump(end) && ended_) return false;
    }
    return true;
  }

  // Waits for the end, passing data; kills the program when its time is up.
  ProcessResult Wait() {
    if (reaped_) return result_;
    CloseInput();
    while (!ended_) {
      if (!Pump(deadline_) && !ended_) {
        result_.timed_out = true;
        ::kill(pid_, SIGKILL);
        deadline_ = Clock::now() + std::chrono::seconds(60);
      }
    }
    int status = 0;
    rusage usage = {};
    ::wait4(pid_, &status, 0, &usage);
    reaped_ = true;
    Drain(&out_, &result_.out);
    Drain(&err_, &result_.err);
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    result_.max_rss_kib = usage.ru_maxrss;
    return result_;
  }

 private:
  static void Close(int* fd) {
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
  }

  static std::vector<char*> Pointers(std::vector<std::string>* strings) {
    std::vector<char*> pointers;
    for (std::string& s : *strings) pointers.push_back(s.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  void Start() {
    // Writing to a child that has ended is an error to handle here, not a reason to die.
    ::signal(SIGPIPE, SIG_IGN);
    int in[2], out[2], err[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) std::abort();
    if (options_.stderr_is_terminal) {
      if (::openpty(&err[0], &err[1], nullptr, nullptr, nullptr) != 0) std::abort();
      ::fcntl(err[0], F_SETFD, FD_CLOEXEC);
      ::fcntl(err[1], F_SETFD, FD_CLOEXEC);
    } else if (::pipe2(err, O_CLOEXEC) != 0) {
      std::abort();
    }
    const int program = ::open(options_.argv[0].c_str(), O_PATH | O_CLOEXEC);
    if (program < 0) std::abort();
    std::vector<char*> argv = Pointers(&options_.argv);
    std::vector<char*> environment = Pointers(&options_.environment);
    pid_ = ::fork();
    if (pid_ < 0) std::abort();
    if (pid_ == 0) RunChild(in[0], out[1], err[1], program, argv.data(), environment.data());
    for (int fd : {in[0], out[1], err[1], program}) ::close(fd);
    in_ = in[1];
    out_ = out[0];
    err_ = err[0];
    for (int fd : {in_, out_, err_}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    // glibc 2.36 declares pidfd_open for C only.
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (pidfd_ < 0) std::abort();
  }

  [[noreturn]] void RunChild(int in, int out, int err, int program, char** argv,
                             char** environment) {
    ::dup2(in, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::signal(SIGPIPE, SIG_DFL);
    for (int number : options_.ignored_signals) ::signal(number, SIG_IGN);
    if (!options_.directory.empty() && ::chdir(options_.directory.c_str()) != 0) ::_exit(127);
    for (const auto& [resource, value] : options_.limits) {
      const rlimit limit = {value, value};
      if (::setrlimit(resource, &limit) != 0) ::_exit(127);
    }
    if (options_.before_exec && !options_.before_exec()) ::_exit(127);
    ::fexecve(program, argv, environment);
    ::_exit(127);
  }

  // Waits until something can be passed on, and passes it. False: ended, or nothing until `until`.
  bool Pump(Clock::time_point until) {
    if (ended_) return false;
    RefillInput();
    pollfd fds[4] = {{pidfd_, POLLIN, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}, {-1, POLLOUT, 0}};
    if (!input_.empty()) fds[3].fd = in_;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    const int ready = ::poll(fds, 4, static_cast<int>(left));
    if (ready <= 0) return ready < 0 && errno == EINTR;
    if (fds[1].revents != 0) Drain(&out_, &result_.out);
    if (fds[2].revents != 0) Drain(&err_, &result_.err);
    if (fds[3].revents != 0) Feed();
    if (fds[0].revents != 0) ended_ = true;
    return !ended_;
  }

  // Makes `input_` the bytes to write next; closes standard input once there are none left.
  void RefillInput() {
    if (in_ < 0 || !input_.empty()) return;
    written_ = std::exchange(held_, {});
    input_ = written_;
    if (!input_.empty()) return;
    if (options_.more_input) {
      input_ = options_.more_input();
      if (!input_.empty()) return;
      options_.more_input = nullptr;
    }
    if (!options_.hold_input) Close(&in_);
  }

  void Feed() {
    const ssize_t n = ::write(in_, input_.data(), input_.size());
    if (n >= 0) {
      input_.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EAGAIN) {
      input_ = {};
      options_.more_input = nullptr;
      Close(&in_);  // The program takes no more.
    }
  }

  static void Drain(int* fd, std::string* text) {
    char buffer[1 << 16];
    while (*fd >= 0) {
      const ssize_t n = ::read(*fd, buffer, sizeof(buffer));
      if (n > 0) {
        text->append(buffer, static_cast<size_t>(n));
      } else if (n < 0 && errno == EAGAIN) {
        return;
      } else {
        Close(fd);  // The end; a terminal says so with an error.
      }
    }
  }

  ProcessOptions options_;
  Clock::time_point deadline_;
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1, pidfd_ = -1;
  std::string held_, written_;
  std::string_view input_;  // What is to be written now; in options_, written_ or more_input's.
  bool ended_ = false, reaped_ = false;
  ProcessResult result_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_PROCESS_H_
