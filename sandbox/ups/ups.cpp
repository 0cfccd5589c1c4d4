#include "sandbox/ups/ups.hpp"

#include <algorithm>
#include <charconv>

#include "platform/security/crypto.hpp"

namespace acme::sandbox {

using namespace ups;
using json::Node;
using std::chrono::milliseconds;

namespace {

constexpr auto token_lives = std::chrono::seconds{3599};
constexpr auto watch_lives = std::chrono::hours{14 * 24};  // Track Alert forgets a number after 14 days
constexpr auto reference_window = std::chrono::hours{14 * 24};
constexpr std::size_t most_parcels = 100'000;
constexpr json::Reading loose{.unknown_members = true, .defaults = true, .max_depth = 32};

struct Service {
  std::string_view code, name;
  std::int64_t base_cents;
  int days;
};
constexpr Service services[] = {
    {"01", "NEXT DAY AIR", 4500, 1}, {"02", "2ND DAY AIR", 2800, 2},    {"03", "GROUND", 1200, 4},
    {"07", "EXPRESS", 5200, 1},      {"08", "EXPEDITED", 3900, 3},      {"11", "STANDARD", 1450, 4},
    {"12", "3 DAY SELECT", 2200, 3}, {"13", "NEXT DAY SAVER", 4000, 1}, {"14", "NEXT DAY EARLY", 6500, 1},
    {"54", "EXPRESS PLUS", 7500, 1}, {"59", "2ND DAY AIR AM", 3200, 2}, {"65", "SAVER", 4800, 1},
    {"70", "ACCESS POINT", 990, 5},  {"74", "EXPRESS 12:00", 5600, 1},
};
const Service* service(std::string_view code) {
  const auto found = std::ranges::find(services, code, &Service::code);
  return found == std::end(services) ? nullptr : found;
}

struct Stage {
  std::string_view name, type, code, status_code, description;
  bool at_destination;
};
constexpr Stage stages[] = {
    {"label", "M", "MP", "003", "Shipper created a label, UPS has not received the package yet. ", false},
    {"picked_up", "P", "PU", "038", "Pickup Scan", false},
    {"in_transit", "I", "DP", "005", "Departed from Facility", false},
    {"out_for_delivery", "I", "OT", "021", "Out For Delivery", true},
    {"delivered", "D", "FS", "011", "DELIVERED ", true},
    {"exception", "X", "X2", "014", "The receiver was not available for delivery. ", true},
    {"returned", "RS", "RS", "016", "Returned to shipper", false},
    {"voided", "MV", "VP", "004", "Void information received", false},
};
const Stage* stage(std::string_view name) {
  const auto found = std::ranges::find(stages, name, &Stage::name);
  return found == std::end(stages) ? nullptr : found;
}

http::Response refuse_with(int status, std::string_view code, std::string_view message) {
  return json_response(status, R"({"response":{"errors":[{"code":)" + json::text(code) + R"(,"message":)" +
                                   json::text(message) + "}]}}");
}

/// Arrays of one may come as the object itself.
Node first(Node node) { return node.is_array() ? node.at(0) : node; }
std::size_t count(Node node) { return node.missing() ? 0 : node.is_array() ? node.size() : 1; }
Node nth(Node node, std::size_t i) { return node.is_array() ? node.at(i) : node; }
std::string text(Node node) {
  std::string out;
  if (node.is_text()) node.text(out);
  return out;
}
template <typename... Names>
Node deep(Node node, std::string_view name, Names... names) {
  const Node below = first(node.is_object() ? node.member(name) : node.at(0));
  if constexpr (sizeof...(names) == 0)
    return below;
  else
    return below.missing() ? below : deep(below, names...);
}

std::string ymd(Time time) {
  const auto text = rfc3339(time);
  return text.substr(0, 4) + text.substr(5, 2) + text.substr(8, 2);
}
std::string hms(Time time) {
  const auto text = rfc3339(time);
  return text.substr(11, 2) + text.substr(14, 2) + text.substr(17, 2);
}
std::string decimal(std::int64_t cents) {
  const auto rest = std::to_string(cents % 100);
  return std::to_string(cents / 100) + "." + (rest.size() < 2 ? "0" : "") + rest;
}
std::string currency_of(std::string_view country) {
  return country == "US" ? "USD" : country == "GB" ? "GBP" : country == "CA" ? "CAD" : "EUR";
}
/// In UPS's form: digits, perhaps a point and more digits; in grams whatever the unit.
std::optional<std::int64_t> grams(std::string_view weight, std::string_view unit) {
  double value = 0;
  const auto [end, error] = std::from_chars(weight.data(), weight.data() + weight.size(), value);
  if (error != std::errc{} || end != weight.data() + weight.size() || !(value > 0 && value <= 70'000)) return {};
  return static_cast<std::int64_t>(value * (unit == "LBS" ? 453.592 : 1000) + 0.5);
}
std::int64_t price(const Service& chosen, std::int64_t weight) {
  return chosen.base_cents + 150 * ((weight + 999) / 1000);
}

void charge(json::Writer& to, std::string_view name, std::int64_t cents, const std::string& currency) {
  to.key(name);
  to.open('{');
  to.key("CurrencyCode"), to.text(currency);
  to.key("MonetaryValue"), to.text(decimal(cents));
  to.close('}');
}
void coded(json::Writer& to, std::string_view name, std::string_view code, std::string_view description = "") {
  to.key(name);
  to.open('{');
  to.key("Code"), to.text(code);
  if (!description.empty()) to.key("Description"), to.text(description);
  to.close('}');
}
void succeeded(json::Writer& to, Node request) {
  to.key("Response");
  to.open('{');
  coded(to, "ResponseStatus", "1", "Success");
  const auto context = text(deep(request, "Request", "TransactionReference", "CustomerContext"));
  if (!context.empty()) {
    to.key("TransactionReference");
    to.open('{');
    to.key("CustomerContext"), to.text(context);
    to.close('}');
  }
  to.close('}');
}
void billing_weight(json::Writer& to, std::string_view unit, std::int64_t weight) {
  to.key("BillingWeight");
  to.open('{');
  coded(to, "UnitOfMeasurement", unit, unit == "LBS" ? "Pounds" : "Kilograms");
  const double in_unit = static_cast<double>(weight) / (unit == "LBS" ? 453.592 : 1000);
  const auto tenths = static_cast<std::int64_t>(in_unit * 10 + 0.999);
  to.key("Weight"), to.text(std::to_string(tenths / 10) + "." + std::to_string(tenths % 10));
  to.close('}');
}

/// The lines of a party as a label shows them.
std::vector<std::string> lines(Node party) {
  std::vector<std::string> out{text(party.member("Name"))};
  if (const auto person = text(party.member("AttentionName")); !person.empty() && person != out[0])
    out.push_back(person);
  const Node address = party.member("Address");
  const Node street = address.member("AddressLine");
  for (std::size_t i = 0; i < count(street); ++i) out.push_back(text(nth(street, i)));
  out.push_back(text(address.member("PostalCode")) + " " + text(address.member("City")));
  out.push_back(text(address.member("CountryCode")));
  return out;
}

/// What UPS demands of a shipment before it looks further; "" when it is complete.
std::pair<std::string, std::string> incomplete(Node shipment, bool ship) {
  const auto lacks = [](Node node) { return text(first(node)).empty(); };
  for (auto [name, code] : {std::pair{"Shipper", "120100"}, {"ShipTo", "120200"}}) {
    const Node party = shipment.member(name);
    const std::string who = name;
    if (!party.is_object()) return {code, "Missing or invalid " + who};
    if (ship && lacks(party.member("Name"))) return {code, "Missing or invalid " + who + " name"};
    const Node address = party.member("Address");
    if (!address.is_object() || lacks(address.member("AddressLine")))
      return {code, "Missing or invalid " + who + " address line 1"};
    if (ship && lacks(address.member("City"))) return {code, "Missing or invalid " + who + " city"};
    if (text(address.member("CountryCode")).size() != 2) return {code, "Missing or invalid " + who + " country code"};
    if (text(address.member("PostalCode")).size() > 9) return {code, "Missing or invalid " + who + " postal code"};
    for (auto& line : lines(party))
      if (line.size() > 200) return {code, "Missing or invalid " + who + " address"};
  }
  if (ship && text(shipment.member("Shipper").member("ShipperNumber")).size() != 6)
    return {"120101", "Missing or invalid shipper number"};
  if (text(deep(shipment, "ShipTo", "Address", "PostalCode")) == "00000")
    return {"120802", "Address Validation Error on ShipTo address"};
  const Node packages = shipment.member("Package");
  if (count(packages) == 0 || count(packages) > 200) return {"120500", "Missing or invalid package"};
  for (std::size_t i = 0; i < count(packages); ++i) {
    const Node package = nth(packages, i);
    if (!package.is_object() || text(deep(package, ship ? "Packaging" : "PackagingType", "Code")).empty())
      return {"120502", "Missing or invalid package type"};
    const Node weight = package.member("PackageWeight");
    if (!weight.is_object() || !grams(text(weight.member("Weight")), text(deep(weight, "UnitOfMeasurement", "Code"))))
      return {"120521", "Missing or invalid package weight"};
  }
  if (ship && !service(text(deep(shipment, "Service", "Code")))) return {"120307", "Missing or invalid service code"};
  if (ship && text(deep(shipment, "PaymentInformation", "ShipmentCharge", "Type")).empty())
    return {"120416", "Missing or invalid payment information"};
  return {};
}

}  // namespace

namespace ups {

std::string tracking_number(std::string_view shipper, std::string_view service, std::uint64_t serial) {
  std::string digits = std::to_string(serial % 10'000'000);
  digits.insert(0, 7 - digits.size(), '0');
  const std::string body = std::string{shipper} + std::string{service} + digits;
  int sum = 0;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    const int value = c >= '0' && c <= '9' ? c - '0' : (c - '?') % 10;  // A is 2, B is 3 …
    sum += i % 2 ? 2 * value : value;
  }
  return "1Z" + body + static_cast<char>('0' + (10 - sum % 10) % 10);
}

bool is_tracking_number(std::string_view number) {
  if (number.size() != 18 || !number.starts_with("1Z")) return false;
  for (const char c : number)
    if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z')) return false;
  std::uint64_t serial = 0;
  const auto digits = number.substr(10, 7);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), serial);
  return error == std::errc{} && end == digits.data() + digits.size() &&
         tracking_number(number.substr(2, 6), number.substr(8, 2), serial) == number;
}

}  // namespace ups

Ups::Ups(Core& core) : Provider(core, "ups"), parcels_(core.store, "ups.parcels") {}

void Ups::recount() {
  due_.clear();
  shipments_.clear();
  references_.clear();
  for (auto& [place, parcel] : parcels_.rows()) {
    if (parcel.next != Time{}) due_.emplace(parcel.next, parcel.id);
    shipments_[parcel.shipment].push_back(parcel.id);
    if (!parcel.reference.empty()) references_[parcel.reference].push_back(parcel.id);
  }
}

// -- From a request to a route ---------------------------------------------------------------------------------------

Answer Ups::handle(const http::Request& request) {
  auto response = route(request);
  const bool form = request.path().ends_with("/oauth/token");
  Answer answer{.response = std::move(response), .request = form ? "null" : shown(request.body)};
  // Tokens and pictures are not for reading.
  if (form) {
    answer.body = answer.response.status == 200 ? R"({"access_token":"…"})" : answer.response.body;
  } else {
    std::string& body = answer.body = answer.response.body;
    constexpr std::string_view image = "\"GraphicImage\":\"";
    for (std::size_t at = 0; (at = body.find(image, at)) != body.npos;) {
      at += image.size();
      body.replace(at, body.find('"', at) - at, "…");
    }
  }
  return answer;
}

Answer Ups::fail(const http::Request& request) {
  const auto before = [&](int status, std::string_view code, std::string_view message) {
    return Answer{.response = refuse_with(status, code, message), .request = shown(request.body)};
  };
  switch (luck.up_to(request.path().starts_with("/security/") ? 2 : 4)) {
    case 0:
      return before(500, "10500", "Internal server error");
    case 1:
      return before(503, "10503", "Service unavailable");
    case 2:
      return before(429, "10429", "Too Many Requests");
    case 3:
      return before(401, "250002", "Invalid Authentication Information.");  // the token ended early
    default: {
      auto acted = handle(request);  // the work was done, the answer says otherwise
      if (acted.response.status == 200) acted.response = refuse_with(500, "10500", "Internal server error");
      return acted;
    }
  }
}

bool Ups::token_is_good(std::string_view token) const {
  const auto dot = token.find('.');
  std::int64_t expires = 0;
  if (dot == token.npos || std::from_chars(token.data(), token.data() + dot, expires).ptr != token.data() + dot)
    return false;
  const std::string signed_part{token.substr(0, dot)};
  return security::equal(token.substr(dot + 1),
                         security::hex(security::hmac_sha256(core_.options.secrets.ups_client_secret, signed_part))) &&
         expires > unix_seconds(core_.world.now());
}

http::Response Ups::route(const http::Request& request) {
  const std::string path = http::percent_decode(request.path()).value_or("");
  const std::string& method = request.method;
  if (path == "/security/v1/oauth/token")
    return method == "POST" ? token(request) : refuse_with(405, "405", "The requested method is not allowed.");

  const std::string authorization{request.headers.get("Authorization").value_or("")};
  if (!authorization.starts_with("Bearer ") || !token_is_good(std::string_view{authorization}.substr(7)))
    return refuse_with(401, "250002", "Invalid Authentication Information.");
  std::vector<std::string> parts;
  for (std::string_view rest = path; !rest.empty();) {
    rest.remove_prefix(1);
    parts.emplace_back(rest.substr(0, rest.find('/')));
    rest.remove_prefix(parts.back().size());
  }
  const auto is = [&](std::string_view verb, std::initializer_list<std::string_view> pattern) {
    return method == verb && parts.size() == pattern.size() &&
           std::equal(
               pattern.begin(), pattern.end(), parts.begin(),
               [](std::string_view wanted, const std::string& given) { return wanted == "*" || wanted == given; });
  };
  if (is("POST", {"api", "rating", "*", "*"})) return rate(request, parts[3]);
  if (is("POST", {"api", "shipments", "*", "ship"})) return ship(request);
  if (is("DELETE", {"api", "shipments", "*", "void", "cancel", "*"})) {
    std::vector<std::string> numbers;
    for (auto& [name, value] :
         http::parse_form(request.query()).value_or(std::vector<std::pair<std::string, std::string>>{}))
      if (name == "trackingnumber") numbers.push_back(value);
    return cancel(parts[5], numbers);
  }
  if (is("POST", {"api", "labels", "*", "recovery"})) return recover(request);
  if (parts.size() > 2 && parts[1] == "track") {
    for (auto [name, code] : {std::pair{"transId", "VSS002"}, {"transactionSrc", "VSS004"}})
      if (!request.headers.has(name)) return refuse_with(400, code, "Missing " + std::string{name} + ".");
    if (is("GET", {"api", "track", "*", "details", "*"})) return track(parts[4]);
    if (is("GET", {"api", "track", "*", "reference", "details", "*"})) return track_reference(request, parts[5]);
    if (is("POST", {"api", "track", "*", "subscription", "standard", "package"})) return subscribe(request);
  }
  return refuse_with(404, "404", "The requested resource was not found.");
}

http::Response Ups::token(const http::Request& request) {
  const std::string authorization{request.headers.get("Authorization").value_or("")};
  const auto given = authorization.starts_with("Basic ")
                         ? security::parse_base64(std::string_view{authorization}.substr(6)).value_or("")
                         : "";
  const auto& secrets = core_.options.secrets;
  if (!security::equal(given, secrets.ups_client_id + ":" + secrets.ups_client_secret))
    return refuse_with(401, "10401", "ClientId is Invalid");
  bool granted = false;
  for (auto& [name, value] :
       http::parse_form(request.body).value_or(std::vector<std::pair<std::string, std::string>>{}))
    granted = granted || (name == "grant_type" && value == "client_credentials");
  if (!granted) return refuse_with(400, "10400", "Invalid/Missing Grant Type.");
  const auto now = core_.now();
  const std::string signed_part = std::to_string(unix_seconds(now + token_lives));
  json::Writer to;
  to.open('{');
  to.key("token_type"), to.text("Bearer");
  to.key("issued_at"), to.text(std::to_string(unix_seconds(now) * 1000));
  to.key("client_id"), to.text(secrets.ups_client_id);
  to.key("access_token"),
      to.text(signed_part + "." + security::hex(security::hmac_sha256(secrets.ups_client_secret, signed_part)));
  to.key("expires_in"), to.text(std::to_string(token_lives.count()));
  to.key("refresh_count"), to.text("0");
  to.key("status"), to.text("approved");
  to.close('}');
  return json_response(200, to.take());
}

// -- Rates, labels ---------------------------------------------------------------------------------------------------

http::Response Ups::rate(const http::Request& request, std::string_view option) {
  json::Document document{request.body, loose};
  if (!document.faults().empty()) return refuse_with(400, "110002", "The request is not well formed JSON.");
  const Node rate_request = document.root().member("RateRequest"), shipment = rate_request.member("Shipment");
  if (!shipment.is_object()) return refuse_with(400, "110003", "Missing RateRequest.Shipment");
  if (const auto [code, why] = incomplete(shipment, false); !code.empty()) return refuse_with(400, code, why);

  const auto from = text(deep(shipment, "Shipper", "Address", "CountryCode"));
  const auto to_country = text(deep(shipment, "ShipTo", "Address", "CountryCode"));
  const auto unit = text(deep(shipment, "Package", "PackageWeight", "UnitOfMeasurement", "Code"));
  std::vector<std::int64_t> weights;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < count(shipment.member("Package")); ++i) {
    const Node weight = nth(shipment.member("Package"), i).member("PackageWeight");
    weights.push_back(*grams(text(weight.member("Weight")), text(deep(weight, "UnitOfMeasurement", "Code"))));
    total += weights.back();
  }
  const bool shop = option.starts_with("Shop") || option.starts_with("shop");
  std::vector<std::string> codes{text(deep(shipment, "Service", "Code"))};
  if (shop)
    codes = from == "US" && to_country == "US" ? std::vector<std::string>{"03", "12", "02", "13", "01"}
                                               : std::vector<std::string>{"70", "11", "08", "65", "07"};
  if (!service(codes[0]))
    return refuse_with(400, "111210", "The requested service is unavailable between the selected locations.");
  const bool timed = request.query().find("timeintransit") != std::string_view::npos ||
                     option.find("timeintransit") != std::string_view::npos;
  const bool negotiated = !deep(shipment, "ShipmentRatingOptions", "NegotiatedRatesIndicator").missing();
  const auto currency = currency_of(from);

  json::Writer to;
  to.open('{');
  to.key("RateResponse");
  to.open('{');
  succeeded(to, rate_request);
  to.key("RatedShipment");
  to.open('[');
  for (auto& code : codes) {
    const Service& chosen = *service(code);
    std::int64_t cost = 0;
    for (auto weight : weights) cost += price(chosen, weight);
    to.open('{');
    coded(to, "Service", chosen.code, "");
    billing_weight(to, unit, total);
    charge(to, "TransportationCharges", cost, currency);
    charge(to, "ServiceOptionsCharges", 0, currency);
    charge(to, "TotalCharges", cost, currency);
    if (negotiated) {
      to.key("NegotiatedRateCharges");
      to.open('{');
      charge(to, "TotalCharge", cost * 4 / 5, currency);
      to.close('}');
    }
    to.key("RatedPackage");
    to.open('[');
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto weight = weights[i];
      to.open('{');
      charge(to, "TransportationCharges", price(chosen, weight), currency);
      charge(to, "ServiceOptionsCharges", 0, currency);
      charge(to, "TotalCharges", price(chosen, weight), currency);
      to.key("Weight"), to.text(text(deep(nth(shipment.member("Package"), i), "PackageWeight", "Weight")));
      billing_weight(to, unit, weight);
      to.close('}');
    }
    to.close(']');
    to.key("GuaranteedDelivery");
    to.open('{');
    to.key("BusinessDaysInTransit"), to.text(std::to_string(chosen.days));
    to.close('}');
    if (timed) {
      const auto arrives = core_.now() + std::chrono::hours{24 * chosen.days};
      to.key("TimeInTransit");
      to.open('{');
      to.key("PickupDate"), to.text(ymd(core_.now()));
      to.key("PackageBillType"), to.text("03");
      to.key("ServiceSummary");
      to.open('{');
      to.key("Service");
      to.open('{');
      to.key("Description"), to.text("UPS " + std::string{chosen.name});
      to.close('}');
      to.key("EstimatedArrival");
      to.open('{');
      to.key("Arrival");
      to.open('{');
      to.key("Date"), to.text(ymd(arrives));
      to.key("Time"), to.text("233000");
      to.close('}');
      to.key("BusinessDaysInTransit"), to.text(std::to_string(chosen.days));
      to.key("Pickup");
      to.open('{');
      to.key("Date"), to.text(ymd(core_.now()));
      to.key("Time"), to.text("180000");
      to.close('}');
      const auto day = std::chrono::weekday{std::chrono::floor<std::chrono::days>(arrives)}.c_encoding();
      to.key("DayOfWeek"), to.text(std::string_view{"SUNMONTUEWEDTHUFRISAT"}.substr(3 * day, 3));
      to.key("CustomerCenterCutoff"), to.text("170000");
      to.close('}');
      to.close('}');
      to.close('}');
    }
    to.close('}');
  }
  to.close(']');
  to.close('}');
  to.close('}');
  return json_response(200, to.take());
}

http::Response Ups::ship(const http::Request& request) {
  json::Document document{request.body, loose};
  if (!document.faults().empty()) return refuse_with(400, "120001", "The request is not well formed JSON.");
  const Node ship_request = document.root().member("ShipmentRequest"), shipment = ship_request.member("Shipment");
  if (!shipment.is_object()) return refuse_with(400, "120002", "Missing ShipmentRequest.Shipment");
  const auto option = text(deep(ship_request, "Request", "RequestOption"));
  if (option != "validate" && option != "nonvalidate")
    return refuse_with(400, "120004", "Missing or invalid RequestOption");
  if (const auto [code, why] = incomplete(shipment, true); !code.empty()) return refuse_with(400, code, why);
  const std::string shipper = text(deep(shipment, "Shipper", "ShipperNumber"));
  if (!std::ranges::all_of(shipper, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); }))
    return refuse_with(400, "120101", "Missing or invalid shipper number");
  auto format = text(deep(ship_request, "LabelSpecification", "LabelImageFormat", "Code"));
  if (format.empty()) format = "GIF";
  if (format != "GIF" && format != "ZPL")
    return refuse_with(400, "120603", "Missing or invalid label image format: the sandbox makes GIF and ZPL.");

  const Service& chosen = *service(text(deep(shipment, "Service", "Code")));
  const Node from = shipment.member("ShipFrom").is_object() ? shipment.member("ShipFrom") : shipment.member("Shipper");
  const Node to_party = shipment.member("ShipTo"), packages = shipment.member("Package");
  const auto from_country = text(deep(from, "Address", "CountryCode"));
  const auto to_country = text(deep(to_party, "Address", "CountryCode"));
  // References count on the package within the US and within Puerto Rico, on the shipment everywhere else.
  const bool by_package = from_country == to_country && (to_country == "US" || to_country == "PR");
  for (auto& reference : {text(deep(shipment, "ReferenceNumber", "Value"))})
    if (reference.size() > 35) return refuse_with(400, "120312", "Reference numbers may have at most 35 characters.");

  std::vector<Parcel> made;
  std::int64_t cost = 0, total = 0;
  std::string unit;
  for (std::size_t i = 0; i < count(packages); ++i) {
    const Node package = nth(packages, i), weight = package.member("PackageWeight");
    Parcel parcel;
    do parcel.id = tracking_number(shipper, chosen.code, core_.world.below(10'000'000));
    while (parcels_.find(parcel.id));
    parcel.shipment = made.empty() ? parcel.id : made[0].id;
    parcel.reference = text(deep(by_package ? package : shipment, "ReferenceNumber", "Value"));
    parcel.shipper = shipper;
    parcel.service = chosen.code;
    parcel.format = format;
    parcel.from = lines(from);
    parcel.to = lines(to_party);
    parcel.from_city = text(deep(from, "Address", "City"));
    parcel.from_country = from_country;
    parcel.to_city = text(deep(to_party, "Address", "City"));
    parcel.to_country = to_country;
    parcel.weight = text(weight.member("Weight"));
    parcel.weight_unit = unit = text(deep(weight, "UnitOfMeasurement", "Code"));
    parcel.created = core_.now();
    const auto heavy = *grams(parcel.weight, unit);
    total += heavy;
    cost += price(chosen, heavy);
    made.push_back(std::move(parcel));
  }
  const auto currency = currency_of(from_country);
  json::Writer to;
  to.open('{');
  to.key("ShipmentResponse");
  to.open('{');
  succeeded(to, ship_request);
  to.key("ShipmentResults");
  to.open('{');
  to.key("ShipmentCharges");
  to.open('{');
  charge(to, "TransportationCharges", cost, currency);
  charge(to, "ServiceOptionsCharges", 0, currency);
  charge(to, "TotalCharges", cost, currency);
  to.close('}');
  if (!deep(shipment, "ShipmentRatingOptions", "NegotiatedRatesIndicator").missing()) {
    to.key("NegotiatedRateCharges");
    to.open('{');
    charge(to, "TotalCharge", cost * 4 / 5, currency);
    to.close('}');
  }
  billing_weight(to, unit, total);
  to.key("ShipmentIdentificationNumber"), to.text(made[0].id);
  to.key("PackageResults");
  to.open('[');
  for (auto& parcel : made) {
    to.open('{');
    to.key("TrackingNumber"), to.text(parcel.id);
    charge(to, "ServiceOptionsCharges", 0, currency);
    to.key("ShippingLabel");
    to.open('{');
    coded(to, "ImageFormat", format, format);
    to.key("GraphicImage"), to.text(security::base64(label(parcel, format)));
    to.close('}');
    to.close('}');
  }
  to.close(']');
  to.close('}');
  to.close('}');
  to.close('}');

  for (auto& parcel : made) {
    shipments_[parcel.shipment].push_back(parcel.id);
    if (!parcel.reference.empty()) references_[parcel.reference].push_back(parcel.id);
    move(std::move(parcel), "label", core_.now());
  }
  while (parcels_.size() > most_parcels) {
    const Parcel& oldest = parcels_.oldest();
    due_.erase({oldest.next, oldest.id});
    shipments_.erase(oldest.shipment);
    references_.erase(oldest.reference);
    parcels_.erase(std::string{oldest.id});
  }
  return json_response(200, to.take());
}

std::string Ups::label(const Parcel& parcel, std::string_view format) const {
  const Label made{.tracking_number = parcel.id,
                   .service = std::string{service(parcel.service)->name},
                   .from = parcel.from,
                   .to = parcel.to};
  return format == "ZPL" ? zpl(made) : gif(made);
}

http::Response Ups::cancel(std::string_view shipment, const std::vector<std::string>& numbers) {
  const auto found = shipments_.find(std::string{shipment});
  const auto too_late = [] { return refuse_with(400, "190102", "No shipment found within the allowed void period"); };
  if (found == shipments_.end()) return too_late();
  auto wanted = numbers.empty() ? found->second : numbers;
  for (auto& number : wanted) {
    const auto* parcel = parcels_.find(number);
    if (!parcel || parcel->shipment != shipment) return too_late();
    if (parcel->stage == "voided") return refuse_with(400, "190117", "The shipment has already been voided.");
    if (parcel->stage != "label") return too_late();  // UPS has it
  }
  json::Writer to;
  to.open('{');
  to.key("VoidShipmentResponse");
  to.open('{');
  to.key("Response");
  to.open('{');
  coded(to, "ResponseStatus", "1", "Success");
  to.close('}');
  to.key("SummaryResult");
  to.open('{');
  coded(to, "Status", "1", "Voided");
  to.close('}');
  to.key("PackageLevelResult");
  to.open('[');
  for (auto& number : wanted) {
    move(*parcels_.find(number), "voided", core_.now());
    to.open('{');
    to.key("TrackingNumber"), to.text(number);
    coded(to, "Status", "1", "Voided");
    to.close('}');
  }
  to.close(']');
  to.close('}');
  to.close('}');
  return json_response(200, to.take());
}

std::vector<const Parcel*> Ups::by_reference(std::string_view reference, std::string_view shipper) const {
  std::vector<const Parcel*> found;
  const auto known = references_.find(std::string{reference});
  if (known == references_.end()) return found;
  // A reference is not findable at once: how long it takes is a fault that can be switched on.
  const auto visible = core_.world.now() - milliseconds{luck.faults().visibility_ms};
  for (auto& number : known->second) {
    const auto* parcel = parcels_.find(number);
    if (parcel && parcel->created <= visible && (shipper.empty() || parcel->shipper == shipper))
      found.push_back(parcel);
  }
  return found;
}

http::Response Ups::recover(const http::Request& request) {
  json::Document document{request.body, loose};
  const Node root = document.faults().empty() ? document.root().member("LabelRecoveryRequest") : document.root();
  if (!document.faults().empty() || !root.is_object())
    return refuse_with(400, "300001", "Missing LabelRecoveryRequest");
  std::vector<const Parcel*> found;
  if (const auto number = text(first(root.member("TrackingNumber"))); !number.empty()) {
    if (const auto* parcel = parcels_.find(number)) found.push_back(parcel);
  } else {
    const auto reference = text(deep(root, "ReferenceValues", "ReferenceNumber", "Value"));
    const auto shipper = text(deep(root, "ReferenceValues", "ShipperNumber"));
    if (reference.empty() || shipper.empty())
      return refuse_with(400, "300002", "Either a tracking number, or a reference and a shipper number are needed.");
    found = by_reference(reference, shipper);
  }
  std::erase_if(found, [](auto* parcel) { return parcel->stage == "voided"; });
  if (found.empty()) return refuse_with(400, "300031", "No label was found for this request.");
  // Of several shipments with one reference the latest, as a whole.
  const auto shipment = found.back()->shipment;
  std::erase_if(found, [&](auto* parcel) { return parcel->shipment != shipment; });
  auto format = text(deep(root, "LabelSpecification", "LabelImageFormat", "Code"));
  if (format != "GIF" && format != "ZPL") format = found[0]->format;
  json::Writer to;
  to.open('{');
  to.key("LabelRecoveryResponse");
  to.open('{');
  succeeded(to, root);
  to.key("ShipmentIdentificationNumber"), to.text(shipment);
  to.key("LabelResults");
  if (found.size() > 1) to.open('[');
  for (auto* parcel : found) {
    to.open('{');
    to.key("TrackingNumber"), to.text(parcel->id);
    to.key("LabelImage");
    to.open('{');
    coded(to, "LabelImageFormat", format);
    to.key("GraphicImage"), to.text(security::base64(label(*parcel, format)));
    to.close('}');
    to.close('}');
  }
  if (found.size() > 1) to.close(']');
  to.close('}');
  to.close('}');
  return json_response(200, to.take());
}

// -- Tracking --------------------------------------------------------------------------------------------------------

void Ups::write_package(json::Writer& to, const Parcel& parcel, std::size_t of) const {
  const auto status = [&](const Activity& activity) {
    to.open('{');
    to.key("code"), to.text(activity.code);
    to.key("description"), to.text(activity.description);
    to.key("simplifiedTextDescription"), to.text("");
    to.key("statusCode"), to.text(activity.status_code);
    to.key("type"), to.text(activity.type);
    to.close('}');
  };
  std::span shown = parcel.activities;
  const auto visible = core_.world.now() - milliseconds{luck.faults().visibility_ms};
  if (parcel.stage == "voided" && shown.back().at > visible) shown = shown.first(shown.size() - 1);
  const Activity& last = shown.back();
  to.open('{');
  to.key("trackingNumber"), to.text(parcel.id);
  to.key("currentStatus"), status(last);
  to.key("activity");
  to.open('[');
  for (auto at = shown.rbegin(); at != shown.rend(); ++at) {
    to.open('{');
    to.key("date"), to.text(ymd(at->at));
    to.key("gmtDate"), to.text(ymd(at->at));
    to.key("gmtOffset"), to.text("+00:00");
    to.key("gmtTime"), to.text(hms(at->at));
    to.key("location");
    to.open('{');
    to.key("address");
    to.open('{');
    if (!at->city.empty()) to.key("city"), to.text(at->city);
    to.key("country"), to.text(at->country);
    to.key("countryCode"), to.text(at->country);
    to.close('}');
    to.close('}');
    to.key("status"), status(*at);
    to.key("time"), to.text(hms(at->at));
    to.close('}');
  }
  to.close(']');
  const bool delivered = parcel.stage == "delivered";
  to.key("deliveryDate");
  to.open('[');
  to.open('{');
  to.key("date"),
      to.text(ymd(delivered ? last.at : parcel.created + std::chrono::hours{24 * service(parcel.service)->days}));
  to.key("type"), to.text(delivered ? "DEL" : "SDD");
  to.close('}');
  to.close(']');
  if (delivered) {
    to.key("deliveryTime");
    to.open('{');
    to.key("endTime"), to.text(hms(last.at));
    to.key("type"), to.text("DEL");
    to.close('}');
    to.key("deliveryInformation");
    to.open('{');
    to.key("location"), to.text("Front Door");
    to.key("receivedBy"), to.text(parcel.to.empty() ? "" : parcel.to[0]);
    to.close('}');
  }
  to.key("packageCount"), to.integer(static_cast<std::int64_t>(of));
  to.key("referenceNumber");
  to.open('[');
  if (!parcel.reference.empty()) {
    to.open('{');
    to.key("number"), to.text(parcel.reference);
    to.key("type"), to.text("SHIPMENT");
    to.close('}');
  }
  to.close(']');
  to.key("service");
  to.open('{');
  to.key("code"), to.text(parcel.service);
  to.key("description"), to.text("UPS " + std::string{service(parcel.service)->name});
  to.close('}');
  to.key("weight");
  to.open('{');
  to.key("unitOfMeasurement"), to.text(parcel.weight_unit);
  to.key("weight"), to.text(parcel.weight);
  to.close('}');
  to.close('}');
}

http::Response Ups::track(std::string_view number) {
  if (number.size() < 7 || number.size() > 34) return refuse_with(400, "TV1002", "Invalid inquiry number");
  const auto* parcel = parcels_.find(number);
  json::Writer to;
  to.open('{');
  to.key("trackResponse");
  to.open('{');
  to.key("shipment");
  to.open('[');
  to.open('{');
  to.key("inquiryNumber"), to.text(number);
  if (parcel) {
    to.key("package");
    to.open('[');
    write_package(to, *parcel, shipments_.at(parcel->shipment).size());
    to.close(']');
  } else {
    to.raw(R"("warnings":[{"code":"TW0001","message":"Tracking Information Not Found"}])");
  }
  to.close('}');
  to.close(']');
  to.close('}');
  to.close('}');
  return json_response(200, to.take());
}

http::Response Ups::track_reference(const http::Request& request, std::string_view reference) {
  std::string from, until, shipper;
  for (auto& [name, value] :
       http::parse_form(request.query()).value_or(std::vector<std::pair<std::string, std::string>>{})) {
    if (name == "fromPickUpDate") from = value;
    if (name == "toPickUpDate") until = value;
    if (name == "shipperNum") shipper = value;
  }
  if (from.empty()) from = ymd(core_.now() - reference_window);
  if (until.empty()) until = ymd(core_.now());
  auto found = by_reference(reference, shipper);
  std::erase_if(found, [&](auto* parcel) { return ymd(parcel->created) < from || ymd(parcel->created) > until; });
  json::Writer to;
  to.open('{');
  to.key("trackResponse");
  to.open('{');
  to.key("shipment");
  to.open('[');
  if (found.empty()) {
    to.open('{');
    to.key("inquiryNumber"), to.text(reference);
    to.raw(R"("warnings":[{"code":"TW0001","message":"Tracking Information Not Found"}])");
    to.close('}');
  }
  // One shipment after the other, each with its packages.
  std::vector<std::string> shown_shipments;
  for (auto* parcel : found)
    if (std::ranges::find(shown_shipments, parcel->shipment) == shown_shipments.end())
      shown_shipments.push_back(parcel->shipment);
  for (auto& shipment : shown_shipments) {
    to.open('{');
    to.key("inquiryNumber"), to.text(reference);
    to.key("package");
    to.open('[');
    for (auto* parcel : found)
      if (parcel->shipment == shipment) write_package(to, *parcel, shipments_.at(shipment).size());
    to.close(']');
    to.close('}');
  }
  to.close(']');
  to.close('}');
  to.close('}');
  return json_response(200, to.take());
}

http::Response Ups::subscribe(const http::Request& request) {
  json::Document document{request.body, loose};
  const Node root = document.root();
  if (!document.faults().empty() || !root.is_object())
    return refuse_with(400, "VSS110", "Subscription request is empty or not present.");
  const auto locale = text(root.member("locale"));
  if (locale.empty()) return refuse_with(400, "VSS300", "Locale is required.");
  if (locale.size() != 5 || locale[2] != '_') return refuse_with(400, "VSS310", "Please enter a valid locale.");
  if (text(root.member("countryCode")).size() != 2)
    return refuse_with(400, "VSS400", "Please enter a valid country code.");
  const Node list = root.member("trackingNumberList");
  if (count(list) == 0) return refuse_with(400, "VSS200", "Tracking Number List is required.");
  if (count(list) > 100) return refuse_with(400, "VSS220", "You have submitted over 100 1Z numbers.");
  std::vector<std::string> valid, broken;
  for (std::size_t i = 0; i < count(list); ++i) {
    const auto number = text(nth(list, i));
    const auto* parcel = parcels_.find(number);
    (parcel || is_tracking_number(number) ? valid : broken).push_back(number);
    if (!parcel) continue;
    Parcel watched = *parcel;
    watched.watched_until = core_.now() + watch_lives;
    parcels_.put(std::move(watched));
  }
  if (valid.empty())
    return refuse_with(400, "VSS210", "The Subscription request should have at least one valid tracking number.");
  json::Writer to;
  to.open('{');
  to.key("validTrackingNumbers"), json::write(to, valid);
  to.key("invalidTrackingNumbers"), json::write(to, broken);
  to.close('}');
  return json_response(200, to.take());
}

// -- Parcels on their way --------------------------------------------------------------------------------------------

/// Puts the parcel at a stage: a scan, the next move, a push.
void Ups::move(Parcel parcel, std::string_view name, Time at) {
  const Stage& reached = *stage(name);
  due_.erase({parcel.next, parcel.id});
  parcel.stage = name;
  parcel.activities.push_back({.at = at,
                               .type = std::string{reached.type},
                               .code = std::string{reached.code},
                               .status_code = std::string{reached.status_code},
                               .description = std::string{reached.description},
                               .city = name == "label"          ? ""
                                       : reached.at_destination ? parcel.to_city
                                                                : parcel.from_city,
                               .country = reached.at_destination ? parcel.to_country : parcel.from_country});
  const bool moves = name == "label" || name == "picked_up" || name == "in_transit" || name == "out_for_delivery";
  parcel.next = moves && core_.clock.parcel_step_ms > 0 ? at + milliseconds{core_.clock.parcel_step_ms} : Time{};
  if (parcel.next != Time{}) due_.emplace(parcel.next, parcel.id);
  push(parcels_.put(std::move(parcel)), at);
}

bool Ups::advance(std::string_view number, std::string_view to, Time at) {
  const auto* parcel = parcels_.find(number);
  if (!parcel) return false;
  const auto rank = [](std::string_view name) { return stage(name) - stages; };
  // An exception is tried again; delivered, returned and voided are ends.
  if (parcel->stage == "delivered" || parcel->stage == "returned" || parcel->stage == "voided") return false;
  const bool halted = parcel->stage == "exception";
  const std::string target = !to.empty() ? std::string{to}
                             : halted    ? "out_for_delivery"
                                         : std::string{stages[rank(parcel->stage) + 1].name};
  if (!stage(target) || target == "label") return false;
  if (target == "exception" || target == "returned") {
    if (parcel->stage == "label") return false;
  } else if (!halted && rank(target) <= rank(parcel->stage)) {
    return false;
  }
  move(*parcel, target, at);
  return true;
}

void Ups::tick() {
  while (!due_.empty() && due_.begin()->first <= core_.now()) {
    const auto [at, number] = *due_.begin();
    due_.erase(due_.begin());
    advance(number, "", at);  // when it was due, however late we look
  }
}

std::optional<Time> Ups::next_due() const { return due_.empty() ? std::nullopt : std::optional{due_.begin()->first}; }

void Ups::push(const Parcel& parcel, Time at) {
  if (parcel.watched_until < at) return;
  const Activity& last = parcel.activities.back();
  const bool delivered = parcel.stage == "delivered";
  json::Writer to;
  to.open('{');
  to.key("trackingNumber"), to.text(parcel.id);
  to.key("localActivityDate"), to.text(ymd(last.at));
  to.key("localActivityTime"), to.text(hms(last.at));
  to.key("activityLocation");
  to.open('{');
  to.key("city"), to.text(last.city);
  to.key("stateProvince"), to.text("");
  to.key("postalCode"), to.text("");
  to.key("country"), to.text(last.country);
  to.close('}');
  to.key("activityStatus");
  to.open('{');
  to.key("type"), to.text(last.type);
  to.key("code"), to.text(last.code);
  to.key("description"), to.text(last.description);
  to.key("descriptionCode"), to.text(last.status_code);
  to.close('}');
  to.key("scheduledDeliveryDate"), to.text("");
  to.key("actualDeliveryDate"), to.text(delivered ? ymd(last.at) : "");
  to.key("actualDeliveryTime"), to.text(delivered ? hms(last.at) : "");
  to.key("gmtActivityDate"), to.text(ymd(last.at));
  to.key("gmtActivityTime"), to.text(hms(last.at));
  to.key("deliveryStartTime"), to.text("");
  to.key("deliveryEndTime"), to.text("");
  to.key("deliveryTimeDescription"), to.text("");
  to.key("deliveryPhoto"), to.text("");
  to.close('}');
  core_.webhooks.send(luck, core_.now(), name(), parcel.id, to.take());
}

http::Headers Ups::sign(const Delivery&) {
  // Nothing is signed: the credential is all there is.
  return {{"Content-Type", "application/json"},
          {"User-Agent", "UPSPubSubTrackingService"},
          {"credential", core_.options.secrets.ups_push_credential}};
}

std::string Ups::summary() const {
  std::map<std::string, std::int64_t> by_stage;
  for (auto& [place, parcel] : parcels_.rows()) ++by_stage[parcel.stage];
  return R"({"parcels":)" + json::text(by_stage) + "}";
}

std::string Ups::parcels(std::string_view reference) const {
  json::Writer to;
  to.open('[');
  for (auto& [place, parcel] : parcels_.rows()) {
    if (!reference.empty() && parcel.reference != reference) continue;
    to.open('{');
    to.key("tracking_number"), to.text(parcel.id);
    to.key("shipment"), to.text(parcel.shipment);
    to.key("reference"), to.text(parcel.reference);
    to.key("stage"), to.text(parcel.stage);
    to.key("created"), json::write(to, parcel.created);
    to.close('}');
  }
  to.close(']');
  return to.take();
}

}  // namespace acme::sandbox
