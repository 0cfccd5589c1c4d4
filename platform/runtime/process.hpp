#pragma once
// Child processes that end with their parent.
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace acme {

struct ChildOptions {
  std::vector<std::string> command;                     // command[0] is a path
  std::map<std::string, std::string> environment = {};  // added to ours
  std::string user = "";                                // run as this user (we are root); "" as we are
  std::string output = "";                              // both streams are appended to this file; "" ours
  std::string directory = "";
  int signal_with_parent = 15;  // sent to the child when we die, however we die
};

/// Starts it. Throws std::runtime_error with a sentence when the program is not there.
pid_t start_child(const ChildOptions& options);
/// Waits until the child ends, at most `milliseconds`; its exit status as waitpid gives it, or -1 when it still runs.
int wait_child(pid_t pid, int milliseconds);
/// Signals it, waits `milliseconds`, then kills it.
void end_child(pid_t pid, int signal, int milliseconds);
/// Runs to the end and throws std::runtime_error with the last lines of its output when it fails.
void run_child(ChildOptions options, const std::string& what);

}  // namespace acme
