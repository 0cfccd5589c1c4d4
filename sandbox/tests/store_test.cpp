#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "sandbox/tests/outside.hpp"

using namespace acme;
using namespace acme::sandbox;

namespace {

struct Directory {
  std::string path;
  Directory() {
    char name[] = "/tmp/acme-sandbox-XXXXXX";
    path = mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string log() const { return path + "/state.log"; }
  Options options() const {
    Options options;
    options.state_directory = path;
    return options;
  }
};

}  // namespace

TEST_CASE("what was there is there after a restart: payments, keys, parcels, mails, faults, webhooks that wait") {
  Directory directory;
  std::string intent, replay, number;
  {
    Outside outside{directory.options()};
    intent = outside.pay().id();
    replay = outside.post("/v1/payment_intents", "amount=2400&currency=eur", "create:1").body;
    outside.sandbox.set_faults({.drop_rate = 0.25}, "ups");
    outside.sandbox.set_clock({.parcel_step_ms = 50});
    outside.ses("POST", "/v2/email/outbound-emails",
                R"({"FromEmailAddress":"a@acme.example","Destination":{"ToAddresses":["ann@example.com"]},)"
                R"("Content":{"Simple":{"Subject":{"Data":"Hello"},"Body":{"Text":{"Data":"x"}}}}})");
  }
  Outside outside{directory.options()};
  CHECK(outside.get("/v1/payment_intents/" + intent)["/status"] == "succeeded");
  CHECK(outside.post("/v1/payment_intents", "amount=2400&currency=eur", "create:1").body == replay);
  CHECK(outside.sandbox.journal("ses", "ann@example.com").size() == 1);
  CHECK(outside.heard() == "payment_intent.succeeded");
  CHECK(std::stod(at(outside.control("GET", "/faults").body, "/ups/drop_rate")) == 0.25);
  CHECK(at(outside.control("GET", "/faults").body, "/stripe/drop_rate") == "0");
  CHECK(at(outside.control("GET", "/clock").body, "/parcel_step_ms") == "50");

  CHECK(outside.control("POST", "/reset").status == 200);
  CHECK(outside.get("/v1/payment_intents/" + intent).status == 404);
  CHECK(outside.sandbox.journal().size() == 1);  // the question just now
  CHECK(std::filesystem::file_size(directory.log()) < 2'000);
}

TEST_CASE("a line that a kill tore off never happened; a damaged file is refused with its place") {
  Directory directory;
  std::string intent;
  {
    Outside outside{directory.options()};
    intent = outside.create().id();
  }
  const auto whole = std::filesystem::file_size(directory.log());
  std::ofstream(directory.log(), std::ios::app) << R"([["stripe.intents",{"id":"pi_half)";
  {
    Outside outside{directory.options()};
    CHECK(outside.get("/v1/payment_intents/" + intent).status == 200);
    CHECK(outside.get("/v1/payment_intents/pi_half").status == 404);
  }
  std::filesystem::resize_file(directory.log(), whole);
  std::ofstream(directory.log(), std::ios::app) << "rubbish\n";
  CHECK_THROWS_WITH_AS(Outside{directory.options()}, doctest::Contains("damaged after byte"), std::runtime_error);
}

namespace {
struct Thing {
  std::string id, text;
};
BOOST_DESCRIBE_STRUCT(Thing, (), (id, text))

std::string listed(const Table<Thing>& things) {
  std::string all;
  for (auto& [place, thing] : things.rows()) all += thing.id + std::to_string(thing.text.size()) + " ";
  return all;
}
}  // namespace

TEST_CASE("a long log is compacted piece by piece while it is written to, and loses nothing at any moment") {
  Directory directory;
  const std::string copy = directory.path + "/copy.log";
  Store store{directory.log(), 3'000'000};
  Table<Thing> things{store, "things"}, others{store, "others"};
  store.open();
  std::mt19937 chance{7};
  std::uintmax_t longest = 0;
  bool together = false;
  for (int n = 0; n < 6'000; ++n) {
    auto& table = n % 3 ? things : others;
    const auto id = std::to_string(chance() % 400) + ":";
    if (chance() % 5 == 0)
      table.erase(id);
    else
      table.put({id, std::string(chance() % 8'000, 'x')});
    store.commit();
    longest = std::max(longest, std::filesystem::file_size(directory.log()));
    together |= std::filesystem::exists(directory.log() + ".part");
    if (n % 500 != 0) continue;
    // What a kill would leave now.
    std::filesystem::copy_file(directory.log(), copy, std::filesystem::copy_options::overwrite_existing);
    Store again{copy};
    Table<Thing> things_again{again, "things"}, others_again{again, "others"};
    again.open();
    CHECK(listed(things_again) == listed(things));
    CHECK(listed(others_again) == listed(others));
  }
  CHECK(together);
  CHECK(longest < 12'000'000);  // of some 19 million that were written
}

TEST_CASE("every answer that was given survives kill -9") {
  for (int round = 0; round < 10; ++round) {
    Directory directory;
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
      close(pipe_ends[0]);
      Outside outside{directory.options()};
      for (;;) {
        const auto line = outside.create().id() + "\n";
        if (write(pipe_ends[1], line.data(), line.size()) < 0) _exit(1);
      }
    }
    close(pipe_ends[1]);
    std::string acknowledged;
    char piece[4096];
    // Killed in the middle of its work, later in each round.
    while (acknowledged.size() < 2'000U * static_cast<unsigned>(round + 1)) {
      const auto got = read(pipe_ends[0], piece, sizeof piece);
      REQUIRE(got > 0);
      acknowledged.append(piece, static_cast<std::size_t>(got));
    }
    REQUIRE(kill(child, SIGKILL) == 0);
    for (ssize_t got; (got = read(pipe_ends[0], piece, sizeof piece)) > 0;)
      acknowledged.append(piece, static_cast<std::size_t>(got));
    close(pipe_ends[0]);
    REQUIRE(waitpid(child, nullptr, 0) == child);

    Outside outside{directory.options()};
    int missing = 0, found = 0;
    for (std::size_t begin = 0, end; (end = acknowledged.find('\n', begin)) != std::string::npos; begin = end + 1)
      ++(outside.get("/v1/payment_intents/" + acknowledged.substr(begin, end - begin)).status == 200 ? found : missing);
    CHECK(missing == 0);
    CHECK(found > 50);
  }
}
