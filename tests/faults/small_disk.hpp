#pragma once
// A disk that can be full: a tmpfs, seen by the thread that mounts it and by the processes that it starts.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace acme::faults {

class SmallDisk {
 public:
  /// Whether this user may mount.
  static bool possible() {
    static const bool may = unshare(CLONE_NEWNS) == 0 && mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0;
    return may;
  }
  /// Lies over the directory, which is made and at the end deleted.
  explicit SmallDisk(std::string directory, int mib = 512) : directory_(std::move(directory)) {
    std::filesystem::create_directories(directory_);
    const auto size = "size=" + std::to_string(mib) + "m";
    if (!possible() || mount("acme-test", directory_.c_str(), "tmpfs", 0, size.c_str()) != 0) fail("mount a tmpfs at");
  }
  SmallDisk(const SmallDisk&) = delete;
  ~SmallDisk() {
    umount2(directory_.c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(std::filesystem::path(directory_).parent_path(), ignored);
  }

  /// Not a page is left.
  void fill() {
    const int file = open(filler().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    struct statvfs now{};
    while (file >= 0 && statvfs(directory_.c_str(), &now) == 0 && now.f_bavail > 0) {
      const auto size = static_cast<off_t>(now.f_bavail * now.f_frsize);
      if (fallocate(file, 0, lseek(file, 0, SEEK_END), size) != 0 && errno != ENOSPC) break;
    }
    if (file < 0 || now.f_bavail > 0) fail("fill");
    close(file);
  }
  void free() { std::filesystem::remove(filler()); }

 private:
  std::string filler() const { return directory_ + "/filler"; }
  [[noreturn]] void fail(const char* what) const {
    throw std::runtime_error(std::string{"Cannot "} + what + " " + directory_ + ": " + std::strerror(errno));
  }
  const std::string directory_;
};

}  // namespace acme::faults
