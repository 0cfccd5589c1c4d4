#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "platform/config/config.hpp"

using namespace acme;
using config::Config;

namespace {

struct Tax {
  std::string country = "IE";
  int rate = 23;
};
BOOST_DESCRIBE_STRUCT(Tax, (), (country, rate))
struct Orders {
  Tax tax;
  std::string account = "none";
  bool open = true;
  std::vector<std::string> origins{"https://acme.example"};
  std::map<std::string, std::int64_t> limits;
  std::string webhook_secret = "hush";
};
BOOST_DESCRIBE_STRUCT(Orders, (), (tax, account, open, origins, limits, webhook_secret))

struct Directory {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("acme_config_" + std::to_string(::getpid()));
  Directory() { std::filesystem::create_directories(path); }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const auto full = (path / name).string();
    std::ofstream(full) << text;
    ::chmod(full.c_str(), mode);
    return full;
  }
};

/// What is thrown, as text.
template <typename Work>
std::string sentence(Work work) {
  try {
    work();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a flag beats the environment, which beats the file, which beats the default") {
  Directory at;
  const auto file =
      at.file("acme.toml", "[orders]\naccount = 'file'\nopen = false\n\n[orders.tax]\ncountry = 'DE'\nrate = 19\n");
  const auto config =
      Config::load(file, {"orders.tax.rate=7"},
                   {{"ACME_ORDERS__TAX__RATE", "5"}, {"ACME_ORDERS__ACCOUNT", "12345"}, {"ACME_HOME", "/x"}});
  const auto orders = config.section<Orders>("orders");
  CHECK(orders.tax.rate == 7);
  CHECK(orders.account == "12345");  // text, though it looks like a number
  CHECK(orders.tax.country == "DE");
  CHECK_FALSE(orders.open);
  CHECK(orders.origins == std::vector<std::string>{"https://acme.example"});
  CHECK(config.origin("orders.tax.rate") == "--set");
  CHECK(config.origin("orders.account") == "environment ACME_ORDERS__ACCOUNT");
  CHECK(config.origin("orders.tax.country") == file + ":6");
  CHECK(config.origin("orders.origins") == "default");
}

TEST_CASE("lists and tables may come from the environment too") {
  const auto config = Config::load("", {R"(orders.limits={"user":1000})", "orders.open=false"},
                                   {{"ACME_ORDERS__ORIGINS", "https://a.example,https://b.example"}});
  const auto orders = config.section<Orders>("orders");
  CHECK(orders.origins == std::vector<std::string>{"https://a.example", "https://b.example"});
  CHECK(orders.limits.at("user") == 1000);
  CHECK_FALSE(orders.open);
  CHECK(Config::load("", {"orders.limits.guest=5"}, {}).section<Orders>("orders").limits.at("guest") == 5);
}

TEST_CASE("an unknown key or a wrong kind is refused with its place and key") {
  Directory at;
  const auto file = at.file("acme.toml", "[orders]\nacount = 'x'\n[orders.tax]\nrate = 'high'\n");
  CHECK(sentence([&] { (void)Config::load(file, {}, {}).section<Orders>("orders"); }) ==
        file + ":4: orders.tax.rate must be a whole number\n" + file + ":2: orders.acount is not known here");
  CHECK(sentence([] { (void)Config::load("", {"orders.open=perhaps"}, {}).section<Orders>("orders"); }) ==
        "--set: orders.open must be true or false");
  CHECK(sentence([] {
          const auto config = Config::load("", {}, {{"ACME_ODRERS__OPEN", "true"}});
          (void)config.section<Orders>("orders");
          config.refuse_unknown_sections();
        }) == "environment ACME_ODRERS__OPEN: there is no section for odrers.open");
}

TEST_CASE("broken configuration is a sentence, not a surprise") {
  Directory at;
  CHECK(sentence([&] { Config::load("/nowhere/acme.toml", {}, {}); }) ==
        "there is no configuration file /nowhere/acme.toml");
  CHECK(sentence([&] {
          Config::load(at.file("a.toml", "[orders\n"), {}, {});
        }).starts_with((at.path / "a.toml").string() + ":1: "));
  CHECK(sentence([&] {
          Config::load(at.file("b.toml", "x = 1\n"), {}, {});
        }).ends_with(":1: x stands outside of a section"));
  CHECK(sentence([&] {
          Config::load(at.file("c.toml", "[orders]\nx = 1.5\n"), {}, {});
        }).ends_with(":2: only text, whole numbers, true, false, lists and tables are settings"));
  CHECK(sentence([&] { Config::load("", {"orders"}, {}); }) == "--set orders: write section.key=value");
  CHECK(sentence([&] { Config::load("", {"orders.tax=1", "orders.tax.rate=1"}, {}); }) ==
        "--set: orders.tax has keys of its own (orders.tax.rate)");
}

TEST_CASE("the listing shows every key, its value and where it comes from, and hides secrets") {
  const auto config = Config::load("", {"orders.tax.country=FR"}, {});
  (void)config.section<Orders>("orders");
  std::string all;
  for (auto& setting : config.settings()) all += setting.key + " = " + setting.value + " (" + setting.origin + ")\n";
  CHECK(all ==
        "acme.secrets = \".acme/secrets\" (default)\n"
        "orders.account = \"none\" (default)\n"
        "orders.open = true (default)\n"
        "orders.origins = [\"https://acme.example\"] (default)\n"
        "orders.tax.country = \"FR\" (--set)\n"
        "orders.tax.rate = 23 (default)\n"
        "orders.webhook_secret = \"[hidden]\" (default)\n");
}

TEST_CASE("a secret is a file that nobody else may read") {
  Directory at;
  at.file("good", "s3cret\n");
  at.file("open", "s3cret\n", 0640);
  at.file("empty", "\n");
  const auto config = Config::load("", {"acme.secrets=" + at.path.string()}, {});
  CHECK(config.secret("good") == "s3cret");
  CHECK(sentence([&] { (void)config.secret("open"); }).find("chmod 600") != std::string::npos);
  CHECK(sentence([&] { (void)config.secret("none"); }).find("is missing") != std::string::npos);
  CHECK(sentence([&] { (void)config.secret("empty"); }).find("is empty") != std::string::npos);
}

TEST_CASE("when several processes make one secret, they agree on it") {
  Directory at;
  const auto directory = (at.path / "new").string();
  std::array<std::string, 8> made;
  {
    std::vector<std::jthread> makers;
    for (auto& text : made) makers.emplace_back([&] { text = config::secret_or_new(directory, "pepper", 32); });
  }
  for (auto& text : made) CHECK(text == made[0]);
  CHECK(made[0].size() == 43);
  struct stat status{};
  REQUIRE(::stat((directory + "/pepper").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::distance(std::filesystem::directory_iterator{directory}, {}) == 1);  // nothing is left aside
  CHECK(config::secret_or_new(directory, "pepper", 32) == made[0]);
}
