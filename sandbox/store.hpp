#pragma once
// The sandbox's memory: tables of described structs, each change also a line of an append-only log that is replayed at
// the next start. What one request changes is one line, written before its answer leaves: a kill -9 finds all of it or
// nothing. (The page cache survives a kill; a power cut is not what the sandbox is for, so nothing is synced.)
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "platform/json/json.hpp"

namespace acme::sandbox {

class Store;

class AnyTable {
 public:
  AnyTable(Store& store, std::string name);
  virtual ~AnyTable() = default;
  AnyTable(const AnyTable&) = delete;
  const std::string& name() const { return name_; }
  virtual void replay(json::Node row) = 0;
  virtual void replay_erase(const std::string& id) = 0;
  /// Adds the rows from that place on to `lines`, a line each, until they have so many bytes; the place to go on from,
  /// nothing when all are there.
  virtual std::optional<std::uint64_t> dump(std::uint64_t from, std::size_t bytes, std::string& lines) const = 0;
  virtual void clear() = 0;

 protected:
  Store& store_;

 private:
  std::string name_;
};

class Store {
 public:
  /// "" keeps nothing. The file is read by open(), once every table is made. A log longer than `most` bytes is
  /// compacted.
  explicit Store(std::string file, std::size_t most = std::size_t{256} << 20) : file_(std::move(file)), most_(most) {}
  ~Store();
  Store(const Store&) = delete;
  /// Replays the log; a line that a kill tore off at its end never happened. Throws std::runtime_error with a sentence.
  void open();
  /// Writes what changed since the last commit as one line.
  void commit();
  /// Empties every table and the log.
  void clear();
  bool persistent() const { return !file_.empty(); }
  void note(const std::string& change);

 private:
  friend class AnyTable;
  struct Log {
    int descriptor = -1;
    std::size_t size = 0;
    void append(std::string_view lines);  // all of it or nothing; false: errno says why
    void close();
  };
  /// A second log with what is there now and no past, written a piece with each commit: nobody waits for all of it.
  struct Compaction {
    Log log;
    std::map<std::string, AnyTable*, std::less<>>::iterator table;  // whose rows are copied, from this place on
    std::uint64_t place = 0;
    std::string since;  // what was committed since it began, and is said after all rows
  };
  void compact();
  void compact_on();
  std::string part() const { return file_ + ".part"; }
  std::string file_, changes_;
  std::map<std::string, AnyTable*, std::less<>> tables_;
  Log log_;
  std::optional<Compaction> compaction_;
  const std::size_t most_;
  std::size_t compact_at_ = 0;
};

/// Rows by their `id`, in the order in which they were first put.
template <DescribedStruct T>
class Table : public AnyTable {
 public:
  using AnyTable::AnyTable;
  const T* find(std::string_view id) const {
    const auto at = places_.find(std::string{id});
    return at == places_.end() ? nullptr : &rows_.at(at->second);
  }
  const T& put(T row) {
    if (store_.persistent()) store_.note("[\"" + name() + "\"," + json::text(row) + "]");
    return keep(std::move(row));
  }
  void erase(std::string_view id) {
    const std::string key{id};
    if (store_.persistent()) store_.note("[\"" + name() + "\"," + json::text(key) + "]");
    replay_erase(key);
  }
  std::size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  const T& oldest() const { return rows_.begin()->second; }
  const T& newest() const { return rows_.rbegin()->second; }
  /// (place, row) in order; places grow.
  const std::map<std::uint64_t, T>& rows() const { return rows_; }
  std::uint64_t place(std::string_view id) const {
    const auto at = places_.find(std::string{id});
    return at == places_.end() ? 0 : at->second;
  }

  void replay(json::Node in) override {
    T row;
    read(in, row);
    keep(std::move(row));
  }
  void replay_erase(const std::string& id) override {
    const auto at = places_.find(id);
    if (at == places_.end()) return;
    rows_.erase(at->second);
    places_.erase(at);
  }
  std::optional<std::uint64_t> dump(std::uint64_t from, std::size_t bytes, std::string& lines) const override {
    for (auto at = rows_.lower_bound(from); at != rows_.end(); ++at) {
      if (lines.size() >= bytes) return at->first;
      lines += "[[\"" + name() + "\"," + json::text(at->second) + "]]\n";
    }
    return std::nullopt;
  }
  void clear() override { rows_.clear(), places_.clear(); }

 private:
  const T& keep(T row) {
    auto [at, fresh] = places_.try_emplace(row.id, next_);
    if (fresh) ++next_;
    return rows_.insert_or_assign(at->second, std::move(row)).first->second;
  }
  std::map<std::uint64_t, T> rows_;
  std::unordered_map<std::string, std::uint64_t> places_;
  std::uint64_t next_ = 1;
};

}  // namespace acme::sandbox
