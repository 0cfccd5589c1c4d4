#include "app/bench/orders.hpp"

#include <fstream>
#include <thread>

#include "app/bench/crowd.hpp"
#include "platform/runtime/process.hpp"

namespace acme::bench {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

StockedShop::StockedShop(Bench& bench, Options options)
    : options_(std::move(options)),
      shop_([this] {
        auto shop = options_.shop;
        shop.durable = true;
        shop.settings.push_back("orders.offers_cached=" + std::to_string(options_.skus + 1'000));
        return shop;
      }()),
      staff_(shop_.staff()) {
  std::string csv =
      "Handle,Title,Vendor,Type,Published,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Status\n";
  for (int i = 0; i < options_.skus; ++i) {
    const auto n = std::to_string(i);
    csv += "thing-" + n + ",Thing " + n + ",Maker,Things,TRUE,T" + n + ",100," + std::to_string(options_.stock) +
           ",10.00,active\n";
  }
  const auto begin = Clock::now();
  shop_.import(csv, 900);
  app::until(staff_, "/v1/inventory/T" + std::to_string(options_.skus - 1), 600,
             [](const app::Reply& stock) { return stock.number("/available") > 0; });
  settle();
  bench.say("  " + std::to_string(options_.skus) + " SKUs imported in " + fixed(seconds_since(begin), 0) + " s");
  // Ids and versions that a script can know. Nothing has read the offers yet.
  query("orders", "UPDATE offers SET product_id = md5(sku)::uuid, version = 1");
  for (int i = 0; i < options_.customers; ++i) customers_.push_back(shop_.customer());
}

fs::path StockedShop::directory() const { return fs::path(shop_.home()).parent_path(); }

std::string StockedShop::query(const std::string& database, const std::string& sql, bool superuser) const {
  const auto file = directory() / "query.sql";
  std::ofstream(file) << sql << ";\n";
  return output_of("psql -h '" + app::home(shop_.home()).postgres_sockets() + "' -U " +
                   (superuser ? "acme" : database) + " -d " + database + " -v ON_ERROR_STOP=1 -qAtX -f '" +
                   file.string() + "' 2>&1");
}

std::int64_t StockedShop::orders_placed() const { return std::stoll(query("orders", "SELECT count(*) FROM orders")); }
double StockedShop::postgres_cpu() const { return cpu_seconds_of_tree(shop_.pid("postgres")); }
double StockedShop::services_cpu() const { return cpu_seconds(shop_.pid("serve")); }

void StockedShop::settle() const {
  for (auto* service : {"catalog", "orders"})
    app::until(shop_.internal(), "/internal/" + std::string{service} + "/platform", 300,
               [](const app::Reply& state) { return state.status == 200 && state.number("/outbox") == 0; });
}

std::string StockedShop::order_of(int lines, Chance& chance) const {
  const auto part = static_cast<std::uint64_t>(options_.skus / 5);  // a fifth of the SKUs a line: none twice
  std::string items;
  for (int line = 0; line < lines; ++line)
    items += (line ? "," : "") + std::string{R"({"sku": "T)"} +
             std::to_string(part * static_cast<std::uint64_t>(line) + chance() % part) + R"(", "quantity": 1})";
  return R"({"items": [)" + items + R"(], "email": "bench@example.com", "shipping_address": )" + app::sample_address +
         "}";
}
std::string StockedShop::order_for(const std::string& sku) {
  return R"({"items": [{"sku": ")" + sku + R"(", "quantity": 1}], "email": "bench@example.com", "shipping_address": )" +
         app::sample_address + "}";
}

std::string StockedShop::request(int number, const std::string& order) const {
  return "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\n" + std::string{Crowd::no_key} +
         "Content-Type: application/json\r\nAuthorization: Bearer " + customer(number).token() +
         "\r\nContent-Length: " + std::to_string(order.size()) + "\r\n\r\n" + order;
}

void StockedShop::warm_offers() const {
  constexpr int lines = 50;
  for (int first = 0; first < options_.skus; first += lines) {
    std::string items;
    for (int i = first; i < std::min(first + lines, options_.skus); ++i)
      items += (i > first ? "," : "") + std::string{R"({"sku": "T)"} + std::to_string(i) + R"(", "quantity": 1})";
    const auto placed =
        customers_[0].post("/v1/orders",
                           R"({"items": [)" + items + R"(], "email": "bench@example.com", "shipping_address": )" +
                               app::sample_address + "}",
                           {{"Idempotency-Key", app::new_key()}});
    if (placed.status != 201) throw std::runtime_error("A large order was refused: " + placed.problem());
  }
  settle();
}

StockedShop::Answers StockedShop::order(int clients, std::chrono::seconds warm, std::chrono::seconds measured,
                                        const Body& body) const {
  Chance chance(static_cast<std::uint64_t>(orders_placed()));
  std::vector<std::string> requests;
  for (int i = 0; i < 10'000; ++i) requests.push_back(request(i, body(chance)));
  Crowd crowd(shop_.port(), clients, std::move(requests),
              options_.shop.tls ? app::home(shop_.home()).ca() : std::string{});
  Answers answers;
  int in_time = 0;
  const auto from = Clock::now() + warm, until = from + measured;
  crowd.send(0, from, until, [&](const Crowd::Answer& answer) {
    if (answer.status != 201) {
      ++answers.refused[std::to_string(answer.status) + " " + std::string{answer.text}];
      return;
    }
    ++answers.placed;
    const auto now = Clock::now();
    in_time += now >= from && now < until;
    if (answer.intended >= from) answers.ms.push_back(Seconds(now - answer.intended).count() * 1000);
  });
  answers.rate = in_time / Seconds(measured).count();
  return answers;
}

StockedShop::Answers StockedShop::order_or_throw(int clients, std::chrono::seconds warm, std::chrono::seconds measured,
                                                 const Body& body) const {
  auto answers = order(clients, warm, measured, body);
  for (auto& [why, count] : answers.refused)
    throw std::runtime_error(std::to_string(count) + " orders were refused: " + why);
  return answers;
}

StockedShop::Answers StockedShop::order_steadily(int rate, std::chrono::seconds time, const Body& body) const {
  Answers answers;  // written on the callers' one loop
  TaskGroup group(shop_.runtime(), "orders");
  const auto one = [](const app::Caller& to, std::string text, Clock::time_point intended, Clock::time_point until,
                      int& in_time, Answers& out) -> Task<> {
    try {
      const auto reply = co_await to.send("POST", "/v1/orders", std::move(text), {{"Idempotency-Key", app::new_key()}});
      if (reply.status == 201) {
        ++out.placed;
        in_time += Clock::now() < until;
        out.ms.push_back(seconds_since(intended) * 1000);
      } else {
        ++out.refused[std::to_string(reply.status) + " " + reply.text("/type")];
      }
    } catch (const http::NoAnswer&) {
      ++out.refused["no answer"];
    }
  };
  Chance chance(static_cast<std::uint64_t>(orders_placed()));
  const auto begin = Clock::now();
  const auto total = rate * time.count();
  int in_time = 0;
  for (std::int64_t i = 0; i < total; ++i) {
    const auto intended = begin + std::chrono::microseconds{i * 1'000'000 / rate};
    std::this_thread::sleep_until(intended);
    group.spawn(0, "order", one(customer(static_cast<int>(i)), body(chance), intended, begin + time, in_time, answers));
  }
  while (group.running()) std::this_thread::sleep_for(5ms);
  shop_.runtime().wait(0, group.stop());
  answers.rate = in_time / Seconds(time).count();
  return answers;
}

/// A literal for pgbench: it takes ":name" for a variable even inside quotes.
static std::string literal(const std::string& text) {
  std::string out = "E'";
  for (const char c : text) {
    if (c == '\\' || c == '\'') out += '\\';
    if (c == ':')
      out += "\\x3a";
    else
      out += c;
  }
  return out + "'";
}

std::string StockedShop::placing_script(const std::string& name, int orders, const std::string& variables,
                                        const std::vector<std::string>& skus) {
  const int lines = static_cast<int>(skus.size());
  Chance chance(static_cast<std::uint64_t>(lines));
  const auto placed = customers_[0].post("/v1/orders", order_of(lines, chance), {{"Idempotency-Key", app::new_key()}});
  if (placed.status != 201) throw std::runtime_error("The sample order was refused: " + placed.problem());
  const auto where = " FROM orders WHERE number = " + placed.text("/number");
  const auto column = [&](const std::string& column) { return query("orders", "SELECT " + column + where); };
  settle();
  const auto event = query(
      "events", "SELECT body FROM platform.log WHERE topic = 'order.created' AND key = '" + placed.text("/id") + "'");

  // What the program sends for such orders.
  const auto n = std::to_string(orders), m = std::to_string(lines);
  const auto same = [&](const std::string& value) { return "array_fill(" + value + ", ARRAY[" + n + "])"; };
  const auto each = [&](const std::string& value) {
    return "(SELECT array_agg(" + value + ") FROM generate_series(1, " + n + "))";
  };
  const auto of_lines = [&](const std::function<std::string(int)>& value, const std::string& type) {
    std::string list;
    for (int order = 0; order < orders; ++order)
      for (int line = 0; line < lines; ++line) list += (list.empty() ? "" : ", ") + value(line);
    return "ARRAY[" + list + "]::" + type + "[]";
  };
  const auto of_line = [&](const std::string& name_of_column) {
    const auto list =
        query("orders", "SELECT string_agg(" + name_of_column +
                            "::text, ' ' ORDER BY line) FROM order_lines WHERE order_id = (SELECT id" + where + ")");
    std::vector<std::string> values;
    std::istringstream words(list);
    for (std::string word; words >> word;) values.push_back(word);
    return of_lines([&](int line) { return values.at(static_cast<std::size_t>(line)); }, "bigint");
  };
  const auto sku = [&](int line) { return skus[static_cast<std::size_t>(line)]; };
  const auto one = [](int) { return std::string{"1"}; };
  const std::vector<std::string> arguments{
      each("gen_random_uuid()::text"),
      same(literal(std::string(64, 'a')) + "::text"),
      same(literal(placed.body) + "::text"),
      same(literal(R"([["Content-Type", "application/json"]])") + "::jsonb"),
      each("platform.uuid_v7()"),
      each("1000000000 + (random() * 1e15)::bigint"),
      each("gen_random_uuid()"),
      same("false"),
      same("NULL::uuid"),
      same("NULL::bigint"),
      same("'EUR'::text"),
      same(column("subtotal") + "::bigint"),
      same(column("discount") + "::bigint"),
      same(column("shipping") + "::bigint"),
      same(column("tax") + "::bigint"),
      same(column("tax_included") == "t" ? "true" : "false"),
      same(column("total") + "::bigint"),
      same("'bench@example.com'::text"),
      same("'en'::text"),
      same(literal(app::sample_address) + "::jsonb"),
      same("NULL::jsonb"),
      same("NULL::jsonb"),
      same("NULL::jsonb"),
      same("clock_timestamp()"),
      each("'ord_' || gen_random_uuid()"),
      same(literal(event) + "::text"),
      same("''::text"),
      "(SELECT array_agg(o ORDER BY o, l) FROM generate_series(1, " + n + ") AS o, generate_series(1, " + m + ") AS l)",
      "(SELECT array_agg(l ORDER BY o, l) FROM generate_series(1, " + n + ") AS o, generate_series(1, " + m + ") AS l)",
      of_lines(sku, "text"),
      of_lines([&](int line) { return "md5(" + sku(line) + ")::uuid"; }, "uuid"),
      of_lines([](int) { return std::string{"'Thing'"}; }, "text"),
      of_lines(one, "bigint"),
      of_line("unit_price"),
      of_line("discount"),
      of_line("tax"),
      of_line("weight_grams"),
      of_lines(one, "bigint"),
      "'{}'",
      "'{}'",
      "'{}'",
      "'{}'",  // no discount codes
  };
  std::string call;
  for (auto& argument : arguments) call += (call.empty() ? "" : ",\n  ") + argument;
  return script(name, variables + "SELECT * FROM place_orders_v4(\n  " + call + ");\n");
}

std::string StockedShop::script(const std::string& name, const std::string& text) const {
  const auto file = directory() / (name + ".sql");
  std::ofstream(file) << text;
  return " -f '" + file.string() + "@1'";
}

std::string StockedShop::placing_scripts() {
  std::string files;
  for (int n = 1; n <= 5; ++n) {
    std::string variables;
    std::vector<std::string> names;
    for (int i = 0; i < n; ++i) {
      const auto variable = "s" + std::to_string(i);
      variables += "\\set " + variable + " random(" + std::to_string(skus() / 5 * i) + ", " +
                   std::to_string(skus() / 5 * (i + 1) - 1) + ")\n";
      names.push_back("'T' || :" + variable);
    }
    files += placing_script("place_" + std::to_string(n), 1, variables, names);
  }
  return files;
}

double StockedShop::pgbench(int clients, std::chrono::seconds time, const std::string& scripts) const {
  // As the superuser, because commit_delay is his alone: the best for each is found without it, as pgbench is measured
  // everywhere else.
  const auto told =
      output_of("PGOPTIONS='-c commit_delay=0 -c search_path=public,platform' " + pg::Cluster::programs() +
                "/pgbench -n -M prepared -c " + std::to_string(clients) + " -j 1 -T " + std::to_string(time.count()) +
                " -h '" + app::home(shop_.home()).postgres_sockets() + "' -U acme" + scripts + " orders 2>&1");
  const auto at = told.find("tps = ");
  if (at == std::string::npos || told.find("aborted") != std::string::npos)
    throw std::runtime_error("pgbench failed:\n" + told.substr(0, 4000));
  return std::strtod(told.c_str() + at + 6, nullptr);
}

}  // namespace acme::bench
