#include "platform/observe/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "platform/json/json.hpp"
#include "platform/observe/metrics.hpp"

namespace acme::log {

namespace {

// A slow disk must not stop a loop: past this, lines are dropped and counted. About 4 MB.
constexpr std::size_t most_waiting_bytes = 4 * 1024 * 1024;
constexpr auto moment = std::chrono::milliseconds{20};

class Writer {
 public:
  Writer() : thread_([this] { run(); }) {}
  ~Writer() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void open(const std::string& path, Level least) {
    int opened = STDOUT_FILENO;
    if (!path.empty()) {
      opened = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
      if (opened < 0) throw std::runtime_error("cannot write the log file " + path + ": " + std::strerror(errno));
    }
    flush();
    const std::lock_guard lock{mutex_};
    if (file_ != STDOUT_FILENO) ::close(file_);
    file_ = opened;
    least_ = least;
  }
  bool wants(Level level) const { return level >= least_.load(std::memory_order_relaxed); }

  /// An urgent line is written at once, others together with those of the same moment.
  void push(std::string line, bool urgent) {
    {
      const std::lock_guard lock{mutex_};
      if (waiting_.size() + line.size() > most_waiting_bytes) {
        ++dropped_;
        return;
      }
      waiting_ += line;
      hurry_ |= urgent;
      if (!asleep_ && !urgent) return;  // it looks by itself
    }
    wake_.notify_one();
  }
  /// Waits until what was pushed is handed to the kernel.
  void flush() {
    std::unique_lock lock{mutex_};
    hurry_ = true;
    wake_.notify_one();
    written_.wait(lock, [this] { return waiting_.empty() && !writing_; });
  }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    for (;;) {
      // A thread that is woken for each line costs more than the line.
      wake_.wait_for(lock, moment, [this] { return stopping_ || hurry_; });
      asleep_ = true;
      wake_.wait(lock, [this] { return stopping_ || hurry_ || !waiting_.empty(); });
      asleep_ = hurry_ = false;
      if (waiting_.empty() && stopping_) return;
      std::string batch;
      batch.swap(waiting_);
      const auto lost = std::exchange(dropped_, 0);
      const int file = file_;
      writing_ = true;
      lock.unlock();
      put(file, batch);
      if (lost > 0) {
        static const auto counter =
            metrics::counter("acme_log_dropped_total", "Log lines dropped: the disk was too slow");
        counter.add(static_cast<double>(lost));
        put(file, R"({"level":"error","message":"log lines were dropped","lines":)" + std::to_string(lost) + "}\n");
      }
      lock.lock();
      writing_ = false;
      written_.notify_all();
    }
  }
  static void put(int file, std::string_view text) {
    while (!text.empty()) {
      const auto count = ::write(file, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;  // a full disk must not stop the shop
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, written_;
  std::string waiting_;
  bool stopping_ = false, writing_ = false, asleep_ = false, hurry_ = false;
  std::size_t dropped_ = 0;
  int file_ = STDOUT_FILENO;
  std::atomic<Level> least_{Level::info};
  std::thread thread_;
};

Writer& writer() {
  static Writer instance;
  return instance;
}

std::string_view level_name(Level level) {
  static constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
  return names[static_cast<std::size_t>(level)];
}

/// Fields whose values are never written, whatever a caller passes.
bool secret(std::string_view name) {
  std::string lower{name};
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const std::string_view word :
       {"password", "passwd", "passphrase", "pepper", "token", "secret", "authorization", "cookie", "credential",
        "api_key", "apikey", "access_key", "private_key", "signature", "card", "cvc", "cvv", "pan", "iban"}) {
    const auto at = lower.find(word);
    if (at == lower.npos) continue;
    // "pan" is a word of its own, "company" is not; the long ones hide as parts of words too.
    if (word.size() > 4) return true;
    const auto letter = [&](std::size_t i) { return i < lower.size() && lower[i] >= 'a' && lower[i] <= 'z'; };
    if ((at == 0 || !letter(at - 1)) && !letter(at + word.size())) return true;
  }
  return false;
}

}  // namespace

void write(Level level, std::string_view message, Fields fields) {
  auto& out = writer();
  if (!out.wants(level)) return;
  json::Writer line;
  line.open('{');
  line.key("time");
  line.text(rfc3339(std::chrono::time_point_cast<Time::duration>(std::chrono::system_clock::now())));
  line.key("level");
  line.text(level_name(level));
  line.key("message");
  line.text(message);
  for (const auto& field : fields) {
    line.key(field.name);
    if (secret(field.name))
      line.text("[hidden]");
    else if (field.quoted || field.value.find_first_not_of("-+.0123456789e") != field.value.npos)  // nan, inf
      line.text(field.value);
    else
      line.raw(field.value);
  }
  line.close('}');
  out.push(line.take() + "\n", level >= Level::warning);
}

void open(const std::string& path, Level least) { writer().open(path, least); }
void flush() { writer().flush(); }

}  // namespace acme::log

namespace acme {

void ensure(bool condition, std::string_view what) {
  if (condition) return;
  log::error("a broken invariant; the process ends", {{"invariant", what}});
  log::flush();
  std::abort();
}

}  // namespace acme
