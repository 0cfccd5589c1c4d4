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

// Compacting takes as long as hundreds of requests: seldom while people wait for answers, and sooner at a start.
constexpr std::size_t least_compaction = 256 * 1024 * 1024, start_compaction = 32 * 1024 * 1024;
constexpr json::Reading stored{.unknown_members = true, .defaults = true, .max_depth = 64};

[[noreturn]] void fail(const std::string& what, const std::string& file) {
  throw std::runtime_error(what + " " + file + ": " + std::strerror(errno));
}

}  // namespace

AnyTable::AnyTable(Store& store, std::string name) : store_(store), name_(std::move(name)) {
  store.tables_[name_] = this;
}

Store::~Store() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Store::open() {
  if (file_.empty()) return;
  std::filesystem::create_directories(std::filesystem::path{file_}.parent_path());
  descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) fail("Cannot open the sandbox's state", file_);

  std::string waiting;
  std::vector<char> chunk(1 << 20);
  for (;;) {
    const auto got = ::read(descriptor_, chunk.data(), chunk.size());
    if (got < 0) fail("Cannot read the sandbox's state", file_);
    if (got == 0) break;
    waiting.append(chunk.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end; (end = waiting.find('\n', begin)) != waiting.npos; begin = end + 1) {
      json::Document line{std::string_view{waiting}.substr(begin, end - begin), stored};
      if (!line.faults().empty())
        throw std::runtime_error("The sandbox's state is damaged after byte " + std::to_string(size_) + " of " + file_ +
                                 ". Remove the file to begin anew.");
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
      size_ += end + 1 - begin;
    }
    waiting.erase(0, begin);
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(size_)) != 0) fail("Cannot write the sandbox's state", file_);
  ::lseek(descriptor_, 0, SEEK_END);
  compact_at_ = least_compaction;
  if (size_ > start_compaction) compact();
}

void Store::note(const std::string& change) {
  changes_ += changes_.empty() ? '[' : ',';
  changes_ += change;
}

void Store::append(std::string_view line) {
  while (!line.empty()) {
    const auto wrote = ::write(descriptor_, line.data(), line.size());
    if (wrote < 0) {
      // Half a line must not stay: the next one would be read as its rest.
      if (::ftruncate(descriptor_, static_cast<off_t>(size_)) == 0) ::lseek(descriptor_, 0, SEEK_END);
      fail("Cannot write the sandbox's state", file_);
    }
    line.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

void Store::commit() {
  if (changes_.empty() || descriptor_ < 0) return;
  append(changes_ + "]\n");  // a full disk throws: the changes stay, and the next commit tries again
  size_ += changes_.size() + 2;
  changes_.clear();
  if (size_ > compact_at_) compact();
}

void Store::compact() {
  const std::string part = file_ + ".part";
  const int old = descriptor_;
  const auto old_size = std::exchange(size_, 0);
  try {
    descriptor_ = ::open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor_ < 0) fail("Cannot write the sandbox's state", part);
    std::string lines;
    const auto flush = [&] {
      append(lines);
      size_ += lines.size();
      lines.clear();
    };
    for (auto& [name, table] : tables_)
      table->dump([&](std::string row) {
        lines += "[" + row + "]\n";
        if (lines.size() > (1 << 20)) flush();
      });
    flush();
    if (::rename(part.c_str(), file_.c_str()) != 0) fail("Cannot write the sandbox's state", file_);
  } catch (const std::runtime_error& error) {
    // No room for a second copy: the long log goes on.
    log::warning("The sandbox's state was not compacted", {{"reason", error.what()}});
    if (descriptor_ >= 0) ::close(descriptor_);
    ::unlink(part.c_str());
    descriptor_ = old;
    size_ = old_size;
    compact_at_ = 2 * old_size;
    return;
  }
  ::close(old);
  compact_at_ = std::max(least_compaction, 3 * size_);
}

void Store::clear() {
  for (auto& [name, table] : tables_) table->clear();
  changes_.clear();
  if (descriptor_ < 0) return;
  if (::ftruncate(descriptor_, 0) != 0) fail("Cannot write the sandbox's state", file_);
  ::lseek(descriptor_, 0, SEEK_SET);
  size_ = 0;
}

}  // namespace acme::sandbox
