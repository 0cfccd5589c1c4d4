#include "sandbox/store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "platform/observe/log.hpp"

namespace acme::sandbox {
namespace {

constexpr std::size_t MiB = 1024 * 1024;
// Compacting costs as much as hundreds of requests: seldom while people wait for answers, and sooner at a start.
constexpr std::size_t start_compaction = 32 * MiB, piece = MiB / 32, flushed_at = 2 * MiB;
constexpr json::Reading stored{.unknown_members = true, .defaults = true, .max_depth = 64};

[[noreturn]] void fail(const std::string& what, const std::string& file) {
  throw std::runtime_error(what + " " + file + ": " + std::strerror(errno));
}

}  // namespace

AnyTable::AnyTable(Store& store, std::string name) : store_(store), name_(std::move(name)) {
  store.tables_[name_] = this;
}

Store::~Store() {
  log_.close();
  if (compaction_) compaction_->log.close();
}

void Store::open() {
  if (file_.empty()) return;
  std::filesystem::create_directories(std::filesystem::path{file_}.parent_path());
  log_.descriptor = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (log_.descriptor < 0) fail("Cannot open the sandbox's state", file_);

  std::string waiting;
  std::vector<char> chunk(1 << 20);
  for (;;) {
    const auto got = ::read(log_.descriptor, chunk.data(), chunk.size());
    if (got < 0) fail("Cannot read the sandbox's state", file_);
    if (got == 0) break;
    waiting.append(chunk.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end; (end = waiting.find('\n', begin)) != waiting.npos; begin = end + 1) {
      json::Document line{std::string_view{waiting}.substr(begin, end - begin), stored};
      if (!line.faults().empty())
        throw std::runtime_error("The sandbox's state is damaged after byte " + std::to_string(log_.size) + " of " +
                                 file_ + ". Remove the file to begin anew.");
      for (std::size_t i = 0; i < line.root().size(); ++i) {
        const auto change = line.root().at(i);
        std::string name;
        change.at(0).text(name);
        const auto table = tables_.find(name);
        if (table == tables_.end()) continue;  // of a provider that is gone
        std::string id;
        if (change.at(1).is_text()) {
          change.at(1).text(id);
          table->second->replay_erase(id);
        } else {
          table->second->replay(change.at(1));
        }
      }
      log_.size += end + 1 - begin;
    }
    waiting.erase(0, begin);
  }
  if (::ftruncate(log_.descriptor, static_cast<off_t>(log_.size)) != 0) fail("Cannot write the sandbox's state", file_);
  ::lseek(log_.descriptor, 0, SEEK_END);
  compact_at_ = most_;
  if (log_.size > start_compaction) compact();
  while (compaction_) compact_on();
}

void Store::note(const std::string& change) {
  changes_ += changes_.empty() ? '[' : ',';
  changes_ += change;
}

void Store::Log::append(std::string_view lines) {
  const auto before = size;
  while (!lines.empty()) {
    const auto wrote = ::write(descriptor, lines.data(), lines.size());
    if (wrote < 0) {
      const int error = errno;
      // Half a line must not stay: the next one would be read as its rest.
      if (::ftruncate(descriptor, static_cast<off_t>(before)) == 0) ::lseek(descriptor, 0, SEEK_END);
      size = before;
      errno = error;
      fail("Cannot write", "the sandbox's state");
    }
    size += static_cast<std::size_t>(wrote);
    lines.remove_prefix(static_cast<std::size_t>(wrote));
  }
  // Written out as it comes: what the kernel gathered for half a minute would hold up everybody's commits at once.
  if (size / flushed_at != before / flushed_at) ::sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
}
void Store::Log::close() {
  if (descriptor >= 0) ::close(std::exchange(descriptor, -1));
}

void Store::commit() {
  if (changes_.empty() || log_.descriptor < 0) return;
  const auto line = changes_ + "]\n";
  log_.append(line);  // a full disk throws: the changes stay, and the next commit tries again
  changes_.clear();
  if (compaction_) compaction_->since += line;
  if (!compaction_ && log_.size > compact_at_) compact();
  if (compaction_) compact_on();
}

void Store::compact() {
  const int descriptor = ::open(part().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  compaction_ = Compaction{{descriptor, 0}, tables_.begin(), 0, {}};
}

void Store::compact_on() {
  auto& [log, table, place, since] = *compaction_;
  try {
    if (log.descriptor < 0) fail("Cannot open", part());
    std::string lines;
    while (table != tables_.end() && lines.size() < piece) {
      const auto next = table->second->dump(place, piece, lines);
      place = next.value_or(0);
      if (!next) ++table;
    }
    if (table == tables_.end()) lines += since;
    log.append(lines);
    if (table != tables_.end()) return;
    if (::rename(part().c_str(), file_.c_str()) != 0) fail("Cannot write the sandbox's state", file_);
    log_.close();
    log_ = log;
    compact_at_ = std::max(most_, 3 * log_.size);
  } catch (const std::runtime_error& error) {
    // No room for a second copy: the long log goes on.
    acme::log::warning("The sandbox's state was not compacted", {{"reason", error.what()}});
    log.close();
    ::unlink(part().c_str());
    compact_at_ = 2 * log_.size;
  }
  compaction_.reset();
}

void Store::clear() {
  for (auto& [name, table] : tables_) table->clear();
  changes_.clear();
  if (compaction_) {
    compaction_->log.close();
    ::unlink(part().c_str());
    compaction_.reset();
  }
  if (log_.descriptor < 0) return;
  if (::ftruncate(log_.descriptor, 0) != 0) fail("Cannot write the sandbox's state", file_);
  ::lseek(log_.descriptor, 0, SEEK_SET);
  log_.size = 0;
}

}  // namespace acme::sandbox
