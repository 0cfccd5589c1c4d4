// P13: more than the shop can do, sent by those who do not wait.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "app/bench/orders.hpp"

namespace acme::bench {
namespace {
using namespace std::chrono_literals;

constexpr int crowd_connections = 900;  // of the 1,000 that the shop grants an address

struct Seen {
  double rate = 0;                                   // 201 a second
  std::vector<double> ms;                            // of each of them, from the moment it was to be sent at
  std::int64_t wanted = 0, refused = 0, unsent = 0;  // unsent: no connection was free
  long highest_kib = 0;                              // of `acme serve`, resident
  double cpu = 0;                                    // of the shop, PostgreSQL included: seconds a second
  double p99() const { return percentile(ms, 99); }
};

/// A client that costs next to nothing: plain HTTP over a fixed number of connections, one request at a time on each,
/// written from prepared pieces; of an answer it reads its status and its length.
class Crowd {
 public:
  Crowd(int port, int connections, std::vector<std::string> requests) : requests_(std::move(requests)) {
    for (int i = 0; i < connections; ++i) {
      auto& connection = connections_.emplace_back();
      connection.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<std::uint16_t>(port));
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int on = 1;
      setsockopt(connection.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (connect(connection.socket, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        throw std::runtime_error("A client cannot connect.");
      epoll_event event{.events = EPOLLIN, .data = {.u32 = static_cast<std::uint32_t>(i)}};
      epoll_ctl(poll_, EPOLL_CTL_ADD, connection.socket, &event);
      idle_.push_back(static_cast<std::size_t>(i));
    }
  }
  ~Crowd() {
    for (auto& connection : connections_) close(connection.socket);
    close(poll_);
  }
  Crowd(const Crowd&) = delete;

  /// 201 in all, whenever.
  std::int64_t placed() const { return placed_; }

  /// `rate` requests a second at their moments; 0: each connection sends the next one when it has its answer.
  Seen send(double rate, std::chrono::seconds warm, std::chrono::seconds time) {
    Seen seen;
    const auto begin = Clock::now(), from = begin + warm, until = from + time;
    std::int64_t sent = 0;
    for (auto now = begin; now < until; now = Clock::now()) {
      if (rate > 0)
        for (const auto due = static_cast<std::int64_t>(Seconds(now - begin).count() * rate); sent < due; ++sent) {
          const auto moment =
              begin + std::chrono::duration_cast<Clock::duration>(Seconds(static_cast<double>(sent) / rate));
          if (moment >= from) ++seen.wanted;
          if (!idle_.empty())
            ask(moment);
          else if (moment >= from)
            ++seen.unsent;
        }
      else
        while (!idle_.empty()) ask(Clock::now());
      receive(seen, from, 1);
    }
    for (const auto give_up = Clock::now() + 15s; idle_.size() < connections_.size();) {
      Seen late;
      receive(late, until, 10);
      if (Clock::now() > give_up) throw std::runtime_error("An answer did not come.");
    }
    seen.rate = static_cast<double>(seen.ms.size()) / Seconds(time).count();
    return seen;
  }

 private:
  struct Connection {
    int socket = -1;
    std::string received;
    Clock::time_point moment{};
  };

  void ask(Clock::time_point moment) {
    auto& connection = connections_[idle_.back()];
    idle_.pop_back();
    connection.moment = moment;
    auto& request = requests_[next_++ % requests_.size()];
    // The key's 16 digits are all that is new.
    std::snprintf(request.data() + request.find("Idempotency-Key: ") + 17, 17, "%016llx",
                  static_cast<unsigned long long>(key_ += 0x9E3779B97F4A7C15));
    request[request.find("Idempotency-Key: ") + 33] = '\r';
    if (write(connection.socket, request.data(), request.size()) != static_cast<ssize_t>(request.size()))
      throw std::runtime_error("The shop closed a connection.");
  }
  void receive(Seen& seen, Clock::time_point from, int wait_ms) {
    epoll_event events[256];
    const int count = epoll_wait(poll_, events, 256, wait_ms);
    for (int i = 0; i < count; ++i) {
      auto& connection = connections_[events[i].data.u32];
      char buffer[16 * 1024];
      const auto got = read(connection.socket, buffer, sizeof buffer);
      if (got <= 0) throw std::runtime_error("The shop closed a connection.");
      auto& text = connection.received;
      text.append(buffer, static_cast<std::size_t>(got));
      const auto end = text.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      const auto length = text.find("Content-Length: ");
      if (length > end) throw std::runtime_error("An answer has no length.");
      if (text.size() < end + 4 + std::stoul(text.substr(length + 16, 12))) continue;
      const int status = std::stoi(text.substr(9, 3));
      if (status == 503 && text.find("Retry-After: ") > end) throw std::runtime_error("A refusal has no Retry-After.");
      if (status != 201 && status != 503) throw std::runtime_error("An unexpected answer: " + text.substr(0, 2'000));
      text.clear();
      placed_ += status == 201;
      idle_.push_back(events[i].data.u32);
      if (connection.moment < from) continue;
      seen.refused += status == 503;
      if (status == 201) seen.ms.push_back(seconds_since(connection.moment) * 1000);
    }
  }

  std::vector<std::string> requests_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> idle_;
  std::size_t next_ = 0;
  std::int64_t placed_ = 0;
  std::uint64_t key_ = std::random_device{}();
  const int poll_ = epoll_create1(EPOLL_CLOEXEC);
};

}  // namespace

void overload(Bench& bench) {
  bench.say("P13: overload");
  StockedShop shop(bench,
                   {.skus = 5'000, .shop = {.tls = false, .services = {"gateway", "auth", "catalog", "orders"}}});
  shop.warm_offers();
  Chance chance(1);
  std::vector<std::string> requests;
  for (int i = 0; i < 1'024; ++i) {
    const auto body = shop.order_of(1 + static_cast<int>(chance() % 5), chance);
    requests.push_back(
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: 0000000000000000\r\n"
        "Content-Type: application/json\r\nAuthorization: Bearer " +
        shop.customer(i).token() + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  std::int64_t answered = 0;
  const auto first = shop.orders_placed();
  const auto run = [&](int connections, double rate) {
    Crowd crowd(shop.shop().port(), connections, requests);
    std::atomic<bool> stop = false;
    std::atomic<long> highest = 0;
    std::jthread watch([&, serve = shop.shop().pid("serve")] {
      for (; !stop; std::this_thread::sleep_for(100ms)) highest = std::max(highest.load(), resident_kib(serve));
    });
    const auto cpu = [&] { return shop.services_cpu() + shop.postgres_cpu(); };
    const double before = cpu();
    const auto begin = Clock::now();
    auto seen = crowd.send(rate, bench.quick() ? 1s : 3s, bench.measured());
    seen.cpu = (cpu() - before) / seconds_since(begin);
    stop = true;
    watch.join();
    seen.highest_kib = highest;
    answered += crowd.placed();
    shop.settle();
    return seen;
  };

  // The peak: as many clients, each waiting for its answer, as the shop does best with.
  int best = 0;
  double most = 0;
  for (const int clients : {32, 64, 128, 256})
    if (const auto seen = run(clients, 0); seen.rate > most) most = seen.rate, best = clients;
  bench.say("  peak with " + std::to_string(best) + " clients: " + fixed(most, 0) + " orders/s");

  const std::vector<double> loads{0.5, 1, 2, 5};
  std::vector<double> peaks, peak_p99s, goodput, lateness, by_cpu;
  std::vector<std::vector<double>> rates(loads.size()), p99s(loads.size());
  std::int64_t wanted = 0, refused = 0, unsent = 0;
  long highest_kib = 0;
  for (int round = 0; round < bench.rounds(); ++round) {
    const auto peak = run(best, 0);
    peaks.push_back(peak.rate);
    peak_p99s.push_back(peak.p99());
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const auto seen = run(crowd_connections, loads[i] * peak.rate);
      rates[i].push_back(seen.rate / peak.rate);
      p99s[i].push_back(seen.p99());
      bench.say("  round " + std::to_string(round + 1) + ": " + fixed(loads[i], 1) + "× " + fixed(peak.rate, 0) +
                "/s: placed " + fixed(seen.rate, 0) + "/s, p99 " + fixed(seen.p99(), 0) + " ms (peak " +
                fixed(peak.p99(), 0) + " ms), refused " + std::to_string(seen.refused) + ", not sent " +
                std::to_string(seen.unsent) + " of " + std::to_string(seen.wanted));
      if (i + 1 < loads.size()) continue;
      goodput.push_back(seen.rate / peak.rate);
      lateness.push_back(seen.p99() / peak.p99());
      by_cpu.push_back(seen.rate / seen.cpu / (peak.rate / peak.cpu));
      wanted += seen.wanted, refused += seen.refused, unsent += seen.unsent;
      highest_kib = std::max(highest_kib, seen.highest_kib);
    }
  }
  const auto share = [&](std::int64_t part) {
    return fixed(static_cast<double>(part) * 100 / static_cast<double>(wanted), 0) + " %";
  };
  bench.add("P13",
            "orders placed a second when 5 times the peak is wanted, open loop over " +
                std::to_string(crowd_connections) + " connections, against the peak (" + fixed(median(peaks), 0) +
                "/s, " + std::to_string(best) + " clients that wait); 503: " + share(refused) +
                ", not sent as no connection was free: " + share(unsent) +
                "; by the shop's CPU time: " + spread(by_cpu, 2, "×"),
            spread(goodput, 2, "×"), "≥ 0.9×", median(goodput) >= 0.9);
  bench.add("P13",
            "p99 of those placed, from the moment they were wanted, against the peak's (" +
                fixed(median(peak_p99s), 0) + " ms)",
            spread(lateness, 1, "×"), "≤ 2×", median(lateness) <= 2);
  const double mib = static_cast<double>(highest_kib) / 1024;
  bench.add("P13", "resident memory of `acme serve` at its highest meanwhile", fixed(mib, 0) + " MB", "≤ 150 MB",
            mib <= 150);
  const auto placed = shop.orders_placed() - first;
  bench.add("P13", "orders in the database; answers 201", std::to_string(placed) + "; " + std::to_string(answered),
            "equal", placed == answered);
  bench.rounds_of("peak, orders/s", peaks);
  bench.rounds_of("peak, p99 ms", peak_p99s);
  Plot rate{.file = "P13-goodput",
            .title = "Orders placed when more are wanted than the shop can take",
            .x = "wanted, times the peak",
            .y = "placed, times the peak",
            .series = {{"placed", {}}, {"peak", {}}}},
      latency{.file = "P13-latency",
              .title = "How long those orders took",
              .x = "wanted, times the peak",
              .y = "p99, ms",
              .series = {{"p99", {}}, {"twice the peak's", {}}}};
  for (std::size_t i = 0; i < loads.size(); ++i) {
    rate.series[0].points.emplace_back(loads[i], median(rates[i]));
    rate.series[1].points.emplace_back(loads[i], std::min(1.0, loads[i]));
    latency.series[0].points.emplace_back(loads[i], median(p99s[i]));
    latency.series[1].points.emplace_back(loads[i], 2 * median(peak_p99s));
    bench.rounds_of("placed at " + fixed(loads[i], 1) + "×, of the peak", rates[i]);
    bench.rounds_of("p99 at " + fixed(loads[i], 1) + "×, ms", p99s[i]);
  }
  bench.plot(rate);
  bench.plot(latency);
}

}  // namespace acme::bench
