#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "platform/testing/testing.hpp"
#include "sandbox/sandbox.hpp"
#include "services/notifications/operator.hpp"
#include "services/notifications/service.hpp"

namespace acme::notifications {
namespace {

using testing::at;

struct Desk {
  testing::TestWorld world;
  sandbox::Sandbox outside{{.base_port = 0, .world = &world}};
  std::unique_ptr<testing::Room> room;

  explicit Desk(const std::string& operator_email) {
    outside.start();
    const auto directory =
        (std::filesystem::temp_directory_path() / ("acme-desk-" + std::to_string(::getpid()))).string();
    config::keep_secret(directory, "aws_access_key_id", outside.options().secrets.aws_access_key_id);
    config::keep_secret(directory, "aws_secret_access_key", outside.options().secrets.aws_secret_access_key);
    room = std::make_unique<testing::Room>(
        service(config::Config::load("",
                                     {"acme.secrets=" + directory, "notifications.ses_url=" + outside.ses_url(),
                                      "notifications.operator_email=" + operator_email},
                                     {})),
        testing::Room::Mode::rolls_back);
    room->world = world;
  }
  void tell(const std::string& fact, OperatorMail mail) {
    room->await(room->database().transaction([&](pg::Transaction& tx) -> Task<> {
      tell_operator(tx, fact, mail);
      co_return;
    }));
  }
  auto mails() { return outside.journal("ses", "operator@acme.example"); }
};

OperatorMail mail() { return {testing::id<NotificationId>(1), "Two findings", "Order 7 <odd> & alone"}; }

TEST_CASE("the operator gets a mail of what needs a person, once a fact") {
  Desk desk{"operator@acme.example"};
  desk.tell("checkup 1", mail());
  desk.tell("checkup 1", mail());
  desk.room->run_jobs();
  REQUIRE(desk.mails().size() == 1);
  const auto sent = desk.mails().at(0).request.text;
  CHECK(at(sent, "/subject") == "Two findings");
  CHECK(at(sent, "/text") == "Order 7 <odd> & alone");
  CHECK(at(sent, "/html").contains("Order 7 &lt;odd> &amp; alone"));
  CHECK(at(sent, "/tags/kind") == "operator");
}

TEST_CASE("without an operator's address nothing is sent and nothing waits") {
  Desk desk{""};
  desk.tell("checkup 1", mail());
  desk.room->run_jobs();
  CHECK(desk.outside.journal("ses").empty());
  CHECK(desk.room->sql("SELECT count(*) FROM platform.jobs") == "0");
}

TEST_CASE("an operator's mail that SES does not take now waits and goes later") {
  Desk desk{"operator@acme.example"};
  desk.outside.set_faults({.error_rate = 1}, "ses");
  desk.tell("checkup 1", mail());
  desk.room->run_jobs(1);
  CHECK(desk.room->sql("SELECT state FROM platform.jobs") == "waiting");
  desk.outside.set_faults({}, "ses");
  desk.room->world.advance(Duration{600'000});
  desk.room->run_jobs();
  CHECK(desk.room->sql("SELECT count(*) FROM platform.jobs") == "0");
  CHECK(desk.mails().size() >= 1);
}

}  // namespace
}  // namespace acme::notifications
