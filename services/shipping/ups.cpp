#include "services/shipping/ups.hpp"

#include <algorithm>
#include <charconv>
#include <mutex>

#include "platform/json/json.hpp"
#include "platform/observe/log.hpp"
#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"

namespace acme::shipping {

namespace {

using Member = std::pair<std::string_view, std::string>;

/// A JSON object of values that are JSON already; empty ones are left out.
std::string object(std::initializer_list<Member> members) {
  json::Writer to;
  to.open('{');
  for (auto& [name, value] : members) {
    if (value.empty()) continue;
    to.key(name);
    to.raw(value);
  }
  to.close('}');
  return to.take();
}
std::string quote(const std::string& text) { return text.empty() ? "" : json::text(text); }
std::string array(const std::vector<std::string>& values) { return json::text(values); }

/// UPS sends one element as an object or as an array of one.
json::Node first(json::Node node) { return node.is_array() && node.size() > 0 ? node.at(0) : node; }
json::Node at(json::Node node, std::initializer_list<std::string_view> path) {
  for (auto member : path) {
    node = first(node);
    if (!node.is_object()) return node.member(member);
    node = node.member(member);
  }
  return first(node);
}
/// Text at a path, without the blanks and the stray "&#xD;" that UPS's test environment is known for.
std::string text(json::Node node, std::initializer_list<std::string_view> path) {
  std::string out;
  const json::Node found = at(node, path);
  if (!found.is_text()) return out;
  found.text(out);
  for (std::size_t stray; (stray = out.find("&#xD;")) != std::string::npos;) out.erase(stray, 5);
  const auto begin = out.find_first_not_of(" \t\r\n"), end = out.find_last_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : out.substr(begin, end - begin + 1);
}
std::vector<json::Node> each(json::Node node) {
  std::vector<json::Node> out;
  if (node.is_array())
    for (std::size_t i = 0; i < node.size(); ++i) out.push_back(node.at(i));
  else if (node.is_object())
    out.push_back(node);
  return out;
}

constexpr json::Reading from_ups{.unknown_members = true, .defaults = true, .max_depth = 32};

/// "190102: No shipment found within the allowed void period" of {"response":{"errors":[…]}}.
std::string errors(const http::Response& response) {
  const json::Document document{response.body, from_ups};
  std::string out;
  for (auto& error : each(document.root().member("response").member("errors")))
    out += (out.empty() ? "" : "; ") + text(error, {"code"}) + ": " + text(error, {"message"});
  return out.empty() ? "status " + std::to_string(response.status) : out;
}

std::optional<int> digits(std::string_view text) {
  int out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

/// "20261123" and "153000" or "15:30:00".
std::optional<Time> point(const std::string& date, std::string time) {
  std::erase(time, ':');
  if (date.size() != 8 || time.size() != 6 || !digits(date) || !digits(time)) return std::nullopt;
  return parse_rfc3339(date.substr(0, 4) + '-' + date.substr(4, 2) + '-' + date.substr(6) + 'T' + time.substr(0, 2) +
                       ':' + time.substr(2, 2) + ':' + time.substr(4) + 'Z');
}
std::string day(Time time) {
  std::string out = rfc3339(time).substr(0, 10);
  std::erase(out, '-');
  return out;
}

bool within(std::string_view country, std::initializer_list<std::string_view> countries) {
  return std::ranges::find(countries, country) != countries.end();
}
bool european(std::string_view country) {
  return within(country,
                {"AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU",
                 "IE", "IT", "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"});
}

/// Tenths of a kilogram or a pound, rounded up: UPS bills what it weighs.
std::string tenths(std::int64_t grams, bool pounds) {
  const std::int64_t tenth = pounds ? (grams * 1'000'000 + 45'359'236) / 45'359'237 : (grams + 99) / 100;
  const std::int64_t least = std::max<std::int64_t>(tenth, 1);
  return std::to_string(least / 10) + '.' + std::to_string(least % 10);
}

std::string party(const Consignee& of, const std::string& account) {
  std::string phone = of.phone.value_or("");
  std::erase_if(phone, [](char c) { return c < '0' || c > '9'; });
  std::vector<std::string> lines = lines_of(of.line1, 35);
  if (of.line2)
    for (auto& line : lines_of(*of.line2, 35)) lines.push_back(line);
  if (lines.size() > 3) lines.resize(3);
  // UPS takes nine characters at most: a ZIP code's digits alone, and A1A1A1 in Canada.
  auto postal_code = of.postal_code;
  if (of.country == "CA" || postal_code.size() > 9)
    std::erase_if(postal_code, [](char c) { return c == ' ' || c == '-'; });
  return object(
      {{"Name", quote(lines_of(of.company && !of.company->empty() ? *of.company : of.name, 35).front())},
       {"AttentionName", quote(lines_of(of.name, 35).front())},
       {"Phone", phone.empty() ? "" : object({{"Number", quote(phone.substr(0, 15))}})},
       {"ShipperNumber", quote(account)},
       {"Address", object({{"AddressLine", array(lines)},
                           {"City", quote(lines_of(of.city, 30).front())},
                           {"StateProvinceCode", of.region && of.region->size() <= 5 ? quote(*of.region) : ""},
                           {"PostalCode", quote(postal_code)},
                           {"CountryCode", quote(of.country)}})}});
}

class Ups : public Carrier {
 public:
  Ups(http::ClientOptions options, UpsAccount account, World& world)
      : client_(std::move(options)), account_(std::move(account)), world_(world) {}

  Task<std::variant<Label, Refused, NotDone, Unknown>> ship(Parcel parcel, Deadline deadline) override {
    auto answer = co_await call("POST", "/api/shipments/v2409/ship", shipment_request(parcel), deadline);
    if (auto* no = std::get_if<NotDone>(&answer)) co_return std::move(*no);
    if (auto* unknown = std::get_if<Unknown>(&answer)) co_return std::move(*unknown);
    auto& response = std::get<http::Response>(answer);
    if (response.status == 400 || response.status == 422) co_return Refused{errors(response)};
    if (response.status >= 300) co_return NotDone{errors(response), Duration{600'000}};
    const json::Document document{response.body, from_ups};
    const auto results = document.root().member("ShipmentResponse").member("ShipmentResults");
    const auto package = at(results, {"PackageResults"});
    auto label = label_of(text(results, {"ShipmentIdentificationNumber"}), text(package, {"TrackingNumber"}),
                          text(package, {"ShippingLabel", "ImageFormat", "Code"}),
                          text(package, {"ShippingLabel", "GraphicImage"}));
    if (!label) co_return Unknown{"UPS answered " + std::to_string(response.status) + " without a label"};
    co_return std::move(*label);
  }

  Task<std::variant<Label, WithoutLabel, NotFound, NotDone>> find(std::string reference, Time since,
                                                                  Deadline deadline) override {
    const std::string body =
        object({{"LabelRecoveryRequest",
                 object({{"Request", object({{"RequestOption", quote("Label")}, {"SubVersion", quote("1903")}})},
                         {"LabelSpecification", label_specification()},
                         {"ReferenceValues", object({{"ReferenceNumber", object({{"Value", quote(reference)}})},
                                                     {"ShipperNumber", quote(account_.number)}})}})}});
    auto answer = co_await call("POST", "/api/labels/v1/recovery", body, deadline);
    if (!std::holds_alternative<http::Response>(answer)) co_return not_done(std::move(answer));
    if (auto& response = std::get<http::Response>(answer); response.status < 300) {
      const json::Document document{response.body, from_ups};
      const auto found = document.root().member("LabelRecoveryResponse");
      const auto result = at(found, {"LabelResults"});
      const std::string number = text(result, {"TrackingNumber"});
      std::string shipment = text(found, {"ShipmentIdentificationNumber"});
      auto label = label_of(shipment.empty() ? number : shipment, number,
                            text(result, {"LabelImage", "LabelImageFormat", "Code"}),
                            text(result, {"LabelImage", "GraphicImage"}));
      if (label) co_return std::move(*label);
    }
    // Recovery may know less than tracking does, and for a shorter time.
    answer = co_await call("GET",
                           "/api/track/v1/reference/details/" + http::percent_encode(reference) +
                               "?locale=en_US&shipperNum=" + http::percent_encode(account_.number) +
                               "&fromPickUpDate=" + day(since - std::chrono::days{1}) +
                               "&toPickUpDate=" + day(since + std::chrono::days{13}),
                           "", deadline);
    if (!std::holds_alternative<http::Response>(answer)) co_return not_done(std::move(answer));
    auto& response = std::get<http::Response>(answer);
    if (response.status == 404 || response.status == 400) co_return NotFound{};
    if (response.status >= 300) co_return NotDone{errors(response)};
    const json::Document document{response.body, from_ups};
    const auto package = at(document.root().member("trackResponse"), {"shipment", "package"});
    const std::string number = text(package, {"trackingNumber"});
    if (number.empty() || text(package, {"currentStatus", "type"}) == "MV") co_return NotFound{};
    co_return WithoutLabel{number};
  }

  Task<std::variant<Voided, Refused, NotDone, Unknown>> void_label(std::string carrier_shipment,
                                                                   Deadline deadline) override {
    auto answer = co_await call("DELETE", "/api/shipments/v2409/void/cancel/" + http::percent_encode(carrier_shipment),
                                "", deadline);
    if (auto* no = std::get_if<NotDone>(&answer)) co_return std::move(*no);
    if (auto* unknown = std::get_if<Unknown>(&answer)) co_return std::move(*unknown);
    auto& response = std::get<http::Response>(answer);
    // "The shipment has already been voided", by the call whose answer was lost. 190102, "no shipment found within the
    // allowed void period", is too late or unknown: tracking says which.
    if (response.status == 400 && errors(response).starts_with("190117:")) co_return Voided{};
    if (response.status == 400 || response.status == 404) co_return Refused{errors(response)};
    if (response.status >= 300) co_return NotDone{errors(response)};
    const json::Document document{response.body, from_ups};
    if (text(document.root(), {"VoidShipmentResponse", "SummaryResult", "Status", "Code"}) == "1") co_return Voided{};
    co_return Refused{text(document.root(), {"VoidShipmentResponse", "SummaryResult", "Status", "Description"})};
  }

  Task<std::variant<Tracking, NotFound, NotDone>> track(std::string number, Deadline deadline) override {
    auto answer = co_await call("GET",
                                "/api/track/v1/details/" + http::percent_encode(number) +
                                    "?locale=en_US&returnSignature=false&returnMilestones=false&returnPOD=false",
                                "", deadline);
    if (!std::holds_alternative<http::Response>(answer)) co_return not_done(std::move(answer));
    auto& response = std::get<http::Response>(answer);
    if (response.status == 404) co_return NotFound{};
    if (response.status >= 300) co_return NotDone{errors(response)};
    const json::Document document{response.body, from_ups};
    const auto package = at(document.root().member("trackResponse"), {"shipment", "package"});
    if (!package.is_object()) co_return NotFound{};
    bool delivered = false;
    for (auto& date : each(package.member("deliveryDate")))
      delivered |= text(date, {"type"}) == "DEL" && !text(date, {"date"}).empty();
    Tracking tracking;  // UPS sends the newest activity first
    for (auto& activity : each(package.member("activity"))) {
      auto seen = point(text(activity, {"gmtDate"}), text(activity, {"gmtTime"}));
      if (!seen) seen = point(text(activity, {"date"}), text(activity, {"time"}));
      if (!seen) continue;
      const std::string type = text(activity, {"status", "type"}), code = text(activity, {"status", "code"}),
                        status_code = text(activity, {"status", "statusCode"});
      std::string place = text(activity, {"location", "address", "city"});
      const std::string country = text(activity, {"location", "address", "countryCode"});
      if (!country.empty()) place += (place.empty() ? "" : ", ") + country;
      // The delivery's date says which D was the delivery: the newest.
      tracking.activities.push_back({*seen,
                                     status_of(type, code, status_code, delivered && tracking.activities.empty()),
                                     type + "/" + (status_code.empty() ? code : status_code),
                                     text(activity, {"status", "description"}), std::move(place)});
    }
    co_return tracking;
  }

  Task<std::variant<std::vector<Rate>, Refused, NotDone>> rates(Consignee to, std::vector<std::int64_t> grams,
                                                                Deadline deadline) override {
    auto answer =
        co_await call("POST", "/api/rating/v2409/Shop?additionalinfo=timeintransit", rate_request(to, grams), deadline);
    if (!std::holds_alternative<http::Response>(answer)) co_return not_done(std::move(answer));
    auto& response = std::get<http::Response>(answer);
    if (response.status == 400) co_return Refused{errors(response)};
    if (response.status >= 300) co_return NotDone{errors(response), {}};
    const json::Document document{response.body, from_ups};
    std::vector<Rate> rates;
    for (auto& rated : each(document.root().member("RateResponse").member("RatedShipment"))) {
      Rate rate;
      rate.service = text(rated, {"Service", "Code"});
      rate.name = service_name(rate.service);
      // The published price: what the account pays less is the shop's.
      rate.price.currency = text(rated, {"TotalCharges", "CurrencyCode"});
      const auto places = decimals(rate.price.currency);
      const auto amount =
          places ? parse_decimal(text(rated, {"TotalCharges", "MonetaryValue"}), *places) : std::nullopt;
      if (rate.name.empty() || !amount) continue;
      rate.price.amount = *amount;
      std::string days = text(rated, {"GuaranteedDelivery", "BusinessDaysInTransit"});
      if (days.empty())
        days = text(rated, {"TimeInTransit", "ServiceSummary", "EstimatedArrival", "BusinessDaysInTransit"});
      rate.business_days = digits(days);
      rates.push_back(std::move(rate));
    }
    co_return rates;
  }

  Task<std::vector<std::string>> subscribe(std::vector<std::string> numbers, Deadline deadline) override {
    std::vector<std::string> taken;
    auto answer = co_await call("POST", "/api/track/v2/subscription/standard/package",
                                object({{"locale", quote("en_US")},
                                        {"countryCode", quote(account_.origin.country)},
                                        {"trackingNumberList", json::text(numbers)}}),
                                deadline);
    auto* response = std::get_if<http::Response>(&answer);
    if (!response || response->status >= 300) co_return taken;
    const json::Document document{response->body, from_ups};
    const auto valid = document.root().member("validTrackingNumbers");
    for (std::size_t i = 0; valid.is_array() && i < valid.size(); ++i) json::read(valid.at(i), taken.emplace_back());
    co_return taken;
  }

 private:
  using Answer = std::variant<http::Response, NotDone, Unknown>;

  static NotDone not_done(Answer answer) {
    if (auto* unknown = std::get_if<Unknown>(&answer)) return {std::move(unknown->reason), {}};
    return std::get<NotDone>(std::move(answer));
  }

  static std::optional<Label> label_of(std::string shipment, std::string number, std::string format,
                                       std::string image) {
    if (shipment.empty() || number.empty() || image.empty()) return std::nullopt;
    auto bytes = security::parse_base64(image);
    return Label{std::move(shipment), std::move(number), std::move(format),
                 bytes ? std::move(*bytes) : std::move(image)};
  }

  std::string label_specification() const {
    return object({{"LabelImageFormat", object({{"Code", quote(account_.label_format)}})},
                   {"LabelStockSize", object({{"Height", quote("6")}, {"Width", quote("4")}})},
                   {"HTTPUserAgent", quote("Mozilla/4.5")}});
  }

  std::string weight(std::int64_t grams) const {
    const bool pounds = within(account_.origin.country, {"US", "PR"});
    return object({{"UnitOfMeasurement", object({{"Code", quote(pounds ? "LBS" : "KGS")}})},
                   {"Weight", quote(tenths(grams, pounds))}});
  }

  std::string rate_request(const Consignee& to, const std::vector<std::int64_t>& grams) const {
    std::string packages;
    for (auto each : grams)
      packages += (packages.empty() ? "" : ",") +
                  object({{"PackagingType", object({{"Code", quote("02")}})}, {"PackageWeight", weight(each)}});
    return object(
        {{"RateRequest",
          object({{"Request", object({{"RequestOption", quote("Shop")}})},
                  {"Shipment", object({{"Shipper", party(account_.origin, account_.number)},
                                       {"ShipTo", party(to, "")},
                                       {"ShipFrom", party(account_.origin, "")},
                                       {"DeliveryTimeInformation", object({{"PackageBillType", quote("03")}})},
                                       {"Package", "[" + packages + "]"}})}})}});
  }

  std::string shipment_request(const Parcel& parcel) const {
    const auto& from = account_.origin.country;
    const auto& to = parcel.consignee.country;
    const bool on_package = package_level_reference(from, to);
    const std::string references = "[" + object({{"Value", quote(parcel.reference)}}) + "]";
    const std::string package = object({{"Packaging", object({{"Code", quote("02")}})},
                                        {"PackageWeight", weight(parcel.weight_grams)},
                                        {"ReferenceNumber", on_package ? references : ""}});
    return object(
        {{"ShipmentRequest",
          object(
              {{"Request", object({{"RequestOption", quote("nonvalidate")}, {"SubVersion", quote("2409")}})},
               {"Shipment",
                object({{"Description", quote("Goods")},
                        {"Shipper", party(account_.origin, account_.number)},
                        {"ShipTo", party(parcel.consignee, "")},
                        {"ShipFrom", party(account_.origin, "")},
                        {"PaymentInformation",
                         object({{"ShipmentCharge",
                                  "[" +
                                      object({{"Type", quote("01")},
                                              {"BillShipper", object({{"AccountNumber", quote(account_.number)}})}}) +
                                      "]"}})},
                        {"Service", object({{"Code", quote(parcel.service.value_or(service_for(from, to)))}})},
                        {"ReferenceNumber", on_package ? "" : references},
                        {"Package", "[" + package + "]"}})},
               {"LabelSpecification", label_specification()}})}});
  }

  Task<Answer> call(std::string method, std::string target, std::string body, Deadline deadline) {
    for (int attempt = 1;; ++attempt) {
      auto token = co_await this->token(deadline);
      if (!token) co_return NotDone{std::move(token.error()), {}};
      http::Request request;
      request.method = method;
      request.target = target;
      request.headers = {{"Authorization", "Bearer " + *token},
                         {"Accept", "application/json"},
                         {"transId", world_.uuid().base32()},
                         {"transactionSrc", "acme"}};
      if (!body.empty()) request.headers.set("Content-Type", "application/json");
      request.body = body;
      std::optional<Answer> lost;
      http::Response response;
      try {
        response = co_await client_.send(std::move(request), deadline);
      } catch (const http::NoAnswer& error) {
        if (error.sent)
          lost = Unknown{error.what()};
        else
          lost = NotDone{error.what(), {}};
      }
      if (lost) co_return std::move(*lost);
      if (response.status == 401) {
        forget(*token);
        if (attempt == 1) continue;
        co_return NotDone{"UPS refuses our credentials: " + errors(response), {}};
      }
      if (response.status == 429) co_return NotDone{"UPS: too many requests", retry_after(response)};
      // A 500 may follow the effect.
      if (response.status >= 500) co_return Unknown{"UPS: " + errors(response)};
      co_return std::move(response);
    }
  }

  static Duration retry_after(const http::Response& response) {
    const auto seconds = response.headers.get("Retry-After");
    const auto number = seconds ? digits(*seconds) : std::nullopt;
    return std::chrono::seconds{std::min(number.value_or(1), 600)};
  }

  /// One token for the process, renewed when a tenth of its life is left.
  Task<std::expected<std::string, std::string>> token(Deadline deadline) {
    {
      const std::lock_guard lock{mutex_};
      if (!token_.empty() && std::chrono::steady_clock::now() < renew_) co_return token_;
    }
    http::Request request;
    request.method = "POST";
    request.target = "/security/v1/oauth/token";
    request.headers = {
        {"Authorization", "Basic " + security::base64(account_.client_id + ":" + account_.client_secret)},
        {"Content-Type", "application/x-www-form-urlencoded"},
        {"Accept", "application/json"}};
    request.body = "grant_type=client_credentials";
    std::string failure;
    try {
      auto response = co_await client_.send(std::move(request), deadline);
      const json::Document document{response.body, from_ups};
      std::string token = text(document.root(), {"access_token"});
      if (response.status == 200 && !token.empty()) {
        const auto life = std::chrono::seconds{digits(text(document.root(), {"expires_in"})).value_or(3600)};
        const std::lock_guard lock{mutex_};
        token_ = token;
        renew_ = std::chrono::steady_clock::now() + life - life / 10;
        co_return token;
      }
      failure = "UPS gives no token: " + errors(response);
    } catch (const http::NoAnswer& error) {
      failure = error.what();
    }
    co_return std::unexpected(std::move(failure));
  }
  void forget(const std::string& token) {
    const std::lock_guard lock{mutex_};
    if (token_ == token) token_.clear();
  }

  http::Client client_;
  UpsAccount account_;
  World& world_;
  std::mutex mutex_;
  std::string token_;
  std::chrono::steady_clock::time_point renew_{};
};

}  // namespace

std::shared_ptr<Carrier> ups(http::ClientOptions options, UpsAccount account, World& world) {
  return std::make_shared<Ups>(std::move(options), std::move(account), world);
}

std::optional<Status> status_of(std::string_view type, std::string_view code, std::string_view status_code,
                                bool delivery_date) {
  using enum Status;
  if (type == "M") return label_created;
  if (type == "MV") return cancelled;
  if (type == "P") return in_transit;
  if (type == "I") return code == "OT" || status_code == "021" ? out_for_delivery : in_transit;
  // UPS files loading and the last mile under D too: delivered is what says so itself, or has a date of delivery.
  if (type == "D") return code == "011" || status_code == "011" || delivery_date ? delivered : out_for_delivery;
  if (type == "X") return exception;
  if (type == "RS") return returned;
  return std::nullopt;
}

std::string service_for(std::string_view from, std::string_view to) {
  if (from == to && within(from, {"US", "CA", "PR"})) return "03";
  if (european(from) && european(to)) return "11";
  return "65";
}

std::string_view service_name(std::string_view code) {
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"01", "UPS Next Day Air"}, {"02", "UPS 2nd Day Air"},        {"03", "UPS Ground"},
      {"07", "UPS Express"},      {"08", "UPS Expedited"},          {"11", "UPS Standard"},
      {"12", "UPS 3 Day Select"}, {"13", "UPS Next Day Air Saver"}, {"14", "UPS Next Day Air Early"},
      {"54", "UPS Express Plus"}, {"59", "UPS 2nd Day Air A.M."},   {"65", "UPS Express Saver"},
  };
  const auto found = std::ranges::find(names, code, &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(names) ? "" : found->second;
}

bool package_level_reference(std::string_view from, std::string_view to) {
  return from == to && within(from, {"US", "PR"});
}

std::vector<std::string> lines_of(std::string text, std::size_t longest) {
  std::vector<std::string> out;
  while (text.size() > longest) {
    std::size_t cut = text.rfind(' ', longest);
    if (cut == std::string::npos || cut < longest / 2) cut = longest;
    while (cut > 1 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;  // inside a UTF-8 character
    out.push_back(text.substr(0, cut));
    text.erase(0, text.find_first_not_of(' ', cut));
  }
  out.push_back(std::move(text));
  return out;
}

}  // namespace acme::shipping
