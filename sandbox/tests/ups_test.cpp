#include "sandbox/ups/ups.hpp"
#include <fstream>
#include <sstream>

#include "platform/testing/room.hpp"
#include "sandbox/tests/outside.hpp"

using namespace acme;
using namespace acme::sandbox;

namespace {

/// A parcel from Dublin to Paris, or within the US; the reference on the shipment or on the package.
std::string parcel(const std::string& reference, bool domestic = false, bool on_package = false,
                   const std::string& format = "GIF", const std::string& postal_code = "75001") {
  const std::string number = R"("ReferenceNumber":[{"Value":")" + reference + R"("}],)";
  const std::string from = domestic ? "US" : "IE", to = domestic ? "US" : "FR";
  return R"({"ShipmentRequest":{"Request":{"RequestOption":"nonvalidate"},"Shipment":{)" + (on_package ? "" : number) +
         R"("Shipper":{"Name":"Acme","ShipperNumber":"A1B2C3","Address":{"AddressLine":["1 Dock Road"],"City":"Dublin","CountryCode":")" +
         from +
         R"("}},"ShipTo":{"Name":"Ann","Address":{"AddressLine":"1 Rue de Rivoli","City":"Paris","PostalCode":")" +
         postal_code + R"(","CountryCode":")" + to +
         R"("}},"PaymentInformation":{"ShipmentCharge":[{"Type":"01","BillShipper":{"AccountNumber":"A1B2C3"}}]},)" +
         R"("Service":{"Code":"11"},"Package":[{)" + (on_package ? number : "") +
         R"("Packaging":{"Code":"02"},"PackageWeight":{"UnitOfMeasurement":{"Code":"KGS"},"Weight":"1.5"}}]},)" +
         R"("LabelSpecification":{"LabelImageFormat":{"Code":")" + format +
         R"("},"LabelStockSize":{"Height":"6","Width":"4"}}}})";
}
constexpr auto results = "/ShipmentResponse/ShipmentResults";
std::string ship(Outside& outside, const std::string& reference = "shp_1") {
  return outside.ups("POST", "/api/shipments/v2409/ship",
                     parcel(reference))[std::string{results} + "/ShipmentIdentificationNumber"];
}
std::string status(Outside& outside, const std::string& number, const std::string& member = "type") {
  return outside.ups("GET", "/api/track/v1/details/" + number +
                                "?locale=en_US")["/trackResponse/shipment/0/package/0/currentStatus/" + member];
}
const std::string rate_request =
    R"({"RateRequest":{"Request":{"RequestOption":"Shop"},"Shipment":{"Service":{"Code":"65"},"Shipper":{"Address":{"AddressLine":["1 Dock Road"],"CountryCode":"IE"}},"ShipTo":{"Address":{"AddressLine":["1 Rue de Rivoli"],"CountryCode":"FR"}},"ShipmentRatingOptions":{"NegotiatedRatesIndicator":"Y"},"Package":{"PackagingType":{"Code":"02"},"PackageWeight":{"UnitOfMeasurement":{"Code":"KGS"},"Weight":"0.4"}}}}})";
std::string error(const Reply& reply) { return reply["/response/errors/0/code"]; }

}  // namespace

TEST_CASE("tracking numbers carry UPS's check digit") {
  CHECK(ups::tracking_number("999AA1", "01", 2345678) == "1Z999AA10123456784");  // UPS's own example
  CHECK(ups::tracking_number("5R8939", "03", 5756712) == "1Z5R89390357567127");
  CHECK(ups::is_tracking_number("1Z999AA10123456784"));
  CHECK_FALSE(ups::is_tracking_number("1Z999AA10123456785"));
  CHECK_FALSE(ups::is_tracking_number("1Z999AA1012345678"));
}

TEST_CASE("a label is bought with a token that ends after an hour") {
  Outside outside;
  const auto bought = outside.ups("POST", "/api/shipments/v2409/ship", parcel("shp_1"));
  CHECK(bought.status == 200);
  const auto number = bought[std::string{results} + "/PackageResults/0/TrackingNumber"];
  CHECK(ups::is_tracking_number(number));
  CHECK(number.substr(2, 8) == "A1B2C311");
  CHECK(bought[std::string{results} + "/ShipmentIdentificationNumber"] == number);
  CHECK(bought[std::string{results} + "/ShipmentCharges/TotalCharges/MonetaryValue"] == "17.50");
  const auto image =
      security::parse_base64(bought[std::string{results} + "/PackageResults/0/ShippingLabel/GraphicImage"]);
  REQUIRE(image);
  CHECK(image->starts_with("GIF87a"));
  CHECK(image->ends_with(";"));
  CHECK(status(outside, number) == "M");

  outside.world.advance(std::chrono::hours{1});
  const auto late = outside.ups("GET", "/api/track/v1/details/" + number);
  CHECK(late.status == 401);
  CHECK(error(late) == "250002");
}

TEST_CASE("nothing of UPS prevents buying twice: the journal and the parcels show it") {
  Outside outside;
  CHECK(ship(outside, "shp_1") != ship(outside, "shp_1"));
  const auto parcels = outside.control("GET", "/ups/parcels?reference=shp_1");
  CHECK(parcels["/data/1/reference"] == "shp_1");
  CHECK(parcels["/data/2/reference"] == "");
}

TEST_CASE("what is missing is refused, and nothing is bought") {
  Outside outside;
  for (auto& [from, to] : {std::pair<std::string, std::string>{"\"Name\":\"Ann\",", ""},
                           {"\"Code\":\"11\"", "\"Code\":\"98\""},
                           {"\"Weight\":\"1.5\"", "\"Weight\":\"-1\""},
                           {"\"ShipperNumber\":\"A1B2C3\",", ""},
                           {"\"Code\":\"GIF\"", "\"Code\":\"PNG\""},
                           {"\"Package\":[", "\"Nothing\":["},
                           {"{\"ShipmentRequest\"", "{\"ShipmentRequest"}}) {
    CAPTURE(from);
    std::string body = parcel("shp_1");
    body.replace(body.find(from), from.size(), to);
    const auto refused = outside.ups("POST", "/api/shipments/v2409/ship", body);
    CHECK(refused.status == 400);
    CHECK(error(refused) != "");
  }
  CHECK(error(outside.ups("POST", "/api/shipments/v2409/ship", parcel("shp_1", false, false, "GIF", "00000"))) ==
        "120802");  // the sandbox's unknown address
  CHECK(outside.control("GET", "/ups/parcels")["/data/0/stage"] == "");
}

TEST_CASE("a lost label is found by its reference, where the lane says it counts") {
  struct {
    bool domestic, on_package, found;
  } table[] = {{false, false, true}, {false, true, false}, {true, true, true}, {true, false, false}};
  for (auto& row : table) {
    CAPTURE(row.domestic);
    CAPTURE(row.on_package);
    Outside outside;
    const auto number = outside.ups(
        "POST", "/api/shipments/v2409/ship",
        parcel("shp_1", row.domestic, row.on_package))[std::string{results} + "/ShipmentIdentificationNumber"];
    const auto recovered = outside.ups(
        "POST", "/api/labels/v1/recovery",
        R"({"LabelRecoveryRequest":{"ReferenceValues":{"ReferenceNumber":{"Value":"shp_1"},"ShipperNumber":"A1B2C3"}}})");
    CHECK((recovered["/LabelRecoveryResponse/ShipmentIdentificationNumber"] == number) == row.found);
    const auto tracked = outside.ups("GET", "/api/track/v1/reference/details/shp_1?shipperNum=A1B2C3");
    CHECK((tracked["/trackResponse/shipment/0/package/0/trackingNumber"] == number) == row.found);
    CHECK((tracked["/trackResponse/shipment/0/warnings/0/code"] == "TW0001") == !row.found);
  }
}

TEST_CASE("a reference is not findable at once when told so") {
  Outside outside;
  outside.sandbox.set_faults({.visibility_ms = 3'000}, "ups");
  const auto number = ship(outside);
  const auto find = [&] {
    return outside.ups("GET",
                       "/api/track/v1/reference/details/shp_1")["/trackResponse/shipment/0/package/0/trackingNumber"];
  };
  CHECK(find() == "");
  outside.world.advance(Duration{3'000});
  CHECK(find() == number);
}

TEST_CASE("a shipment is voided only until UPS has it, and once") {
  Outside outside;
  const auto cancel = [&](const std::string& number) {
    return outside.ups("DELETE", "/api/shipments/v2409/void/cancel/" + number);
  };
  const auto number = ship(outside);
  CHECK(cancel(number)["/VoidShipmentResponse/SummaryResult/Status/Code"] == "1");
  CHECK(status(outside, number) == "MV");
  CHECK(error(cancel(number)) == "190117");
  CHECK(error(cancel("1Z999AA10123456784")) == "190102");
  const auto gone = ship(outside, "shp_2");
  outside.world.advance(Duration{2'000});
  CHECK(error(cancel(gone)) == "190102");
  CHECK(
      outside.ups("POST", "/api/labels/v1/recovery",
                  R"({"LabelRecoveryRequest":{"TrackingNumber":")" + number + "\"}}")
          .status == 400);  // a void label is none
}

TEST_CASE("tracking shows a void late when told so") {
  Outside outside;
  outside.sandbox.set_clock({.parcel_step_ms = 0});
  outside.sandbox.set_faults({.visibility_ms = 3'000}, "ups");
  const auto number = ship(outside);
  outside.ups("DELETE", "/api/shipments/v2409/void/cancel/" + number);
  CHECK(status(outside, number) == "M");
  outside.world.advance(Duration{3'000});
  CHECK(status(outside, number) == "MV");
}

TEST_CASE("a parcel moves by the sandbox's clock, and by hand") {
  Outside outside;
  const auto number = ship(outside);
  for (auto type : {"P", "I", "I", "D"}) {
    outside.world.advance(Duration{2'000});
    CHECK(status(outside, number) == type);
  }
  CHECK(status(outside, number, "statusCode") == "011");
  CHECK(outside.ups("GET", "/api/track/v1/details/" +
                               number)["/trackResponse/shipment/0/package/0/deliveryDate/0/type"] == "DEL");
  outside.world.advance(Duration{100'000});
  CHECK(status(outside, number) == "D");

  outside.sandbox.set_clock({.parcel_step_ms = 0});
  const auto slow = ship(outside, "shp_2");
  outside.world.advance(Duration{100'000});
  CHECK(status(outside, slow) == "M");
  CHECK_FALSE(outside.sandbox.advance_parcel(slow, "returned"));  // UPS does not have it yet
  CHECK(outside.sandbox.advance_parcel(slow));
  CHECK(status(outside, slow) == "P");
  CHECK(outside.sandbox.advance_parcel(slow, "out_for_delivery"));
  CHECK(status(outside, slow, "code") == "OT");
  CHECK_FALSE(outside.sandbox.advance_parcel(slow, "in_transit"));
  CHECK(outside.control("POST", "/ups/parcels/" + slow + "/advance", R"({"to":"exception"})").status == 200);
  CHECK(status(outside, slow) == "X");
  CHECK(outside.control("POST", "/ups/parcels/" + slow + "/advance").status == 200);  // tried again
  CHECK(status(outside, slow, "code") == "OT");
  CHECK(outside.sandbox.advance_parcel(slow, "returned"));
  CHECK(outside.control("POST", "/ups/parcels/" + slow + "/advance").status == 409);
}

TEST_CASE("a parcel that is watched tells each of its steps, unsigned but with our credential") {
  Outside outside;
  const auto number = ship(outside), unwatched = ship(outside, "shp_2");
  const auto subscribed =
      outside.ups("POST", "/api/track/v2/subscription/standard/package",
                  R"({"locale":"en_US","countryCode":"US","trackingNumberList":[")" + number + R"(","1Z12345"]})");
  CHECK(subscribed["/validTrackingNumbers/0"] == number);
  CHECK(subscribed["/invalidTrackingNumbers/0"] == "1Z12345");
  outside.world.advance(Duration{2'000});
  const auto pushed = outside.sandbox.take_webhooks("ups");
  REQUIRE(pushed.size() == 1);
  CHECK(pushed[0].headers.get("credential") == "ups_push");
  CHECK(pushed[0].headers.get("User-Agent") == "UPSPubSubTrackingService");
  CHECK(at(pushed[0].body, "/trackingNumber") == number);
  CHECK(at(pushed[0].body, "/activityStatus/type") == "P");
  CHECK(outside.sandbox.advance_parcel(unwatched));
  CHECK(outside.sandbox.take_webhooks("ups").empty());
  outside.sandbox.set_clock({.parcel_step_ms = 0});
  CHECK(outside.sandbox.advance_parcel(number));
  CHECK(outside.sandbox.take_webhooks("ups").size() == 1);
  outside.world.advance(std::chrono::hours{14 * 24});  // UPS forgets that we watch
  CHECK(outside.sandbox.advance_parcel(number));
  CHECK(outside.sandbox.take_webhooks("ups").empty());
}

TEST_CASE("rates are quoted for one service, or for all") {
  Outside outside;
  const auto rate = [&](const std::string& option) {
    return outside.ups("POST", "/api/rating/v2409/" + option + "?additionalinfo=timeintransit", rate_request);
  };
  CHECK(rate("Rate")["/RateResponse/RatedShipment/0/TotalCharges/MonetaryValue"] == "49.50");
  CHECK(rate("Rate")["/RateResponse/RatedShipment/0/NegotiatedRateCharges/TotalCharge/MonetaryValue"] == "39.60");
  CHECK(rate("Rate")["/RateResponse/RatedShipment/1/TotalCharges/MonetaryValue"] == "");
  CHECK(rate("Shop")["/RateResponse/RatedShipment/4/Service/Code"] == "07");
  CHECK(rate("Shop")
            ["/RateResponse/RatedShipment/0/TimeInTransit/ServiceSummary/EstimatedArrival/BusinessDaysInTransit"] ==
        "5");
}

TEST_CASE("answers are what UPS's own description says") {
  Outside outside;
  const auto faults = [](const std::string& name, const std::string& answer) {
    std::stringstream schema;
    schema << std::ifstream(ACME_SOURCE_DIR "/sandbox/tests/vectors/ups/" + name + ".schema.json").rdbuf();
    return testing::schema_faults(schema.str(), answer);
  };
  http::Request login;
  login.method = "POST";
  login.target = "/security/v1/oauth/token";
  login.headers.set("Authorization", "Basic " + security::base64("ups_client:ups_secret"));
  login.body = "grant_type=client_credentials";
  CHECK(faults("token", outside.call("ups", login).body) == "");
  const auto bought = outside.ups("POST", "/api/shipments/v2409/ship", parcel("shp_1"));
  CHECK(faults("ship", bought.body) == "");
  CHECK(faults("ship", R"({"ShipmentResponse":{}})") != "");  // the schema bites
  const auto number = bought[std::string{results} + "/ShipmentIdentificationNumber"];
  CHECK(faults("track", outside.ups("GET", "/api/track/v1/details/" + number).body) == "");
  CHECK(faults("void", outside.ups("DELETE", "/api/shipments/v2409/void/cancel/" + number).body) == "");
  const auto delivered = ship(outside, "shp_2");
  outside.sandbox.advance_parcel(delivered, "delivered");
  CHECK(faults("track", outside.ups("GET", "/api/track/v1/reference/details/shp_2").body) == "");
  CHECK(faults("rate", outside.ups("POST", "/api/rating/v2409/Shop?additionalinfo=timeintransit", rate_request).body) ==
        "");
}

TEST_CASE("UPS asks who calls: a wrong secret, no token, no transaction id") {
  Outside outside;
  http::Request login;
  login.method = "POST";
  login.target = "/security/v1/oauth/token";
  login.headers.set("Authorization", "Basic " + security::base64("ups_client:wrong"));
  login.body = "grant_type=client_credentials";
  CHECK(outside.call("ups", login).status == 401);
  outside.token = "9999999999.deadbeef";
  CHECK(error(outside.ups("GET", "/api/track/v1/details/1Z999AA10123456784")) == "250002");
  outside.token.clear();
  ship(outside);
  http::Request bare;
  bare.method = "GET";
  bare.target = "/api/track/v1/details/1Z999AA10123456784";
  bare.headers.set("Authorization", "Bearer " + outside.token);
  CHECK(outside.call("ups", bare).status == 400);
  for (auto& entry : outside.sandbox.journal("ups")) {
    CHECK(json::text(entry).find("ups_secret") == std::string::npos);
    CHECK(json::text(entry).find(outside.token) == std::string::npos);
  }
}

TEST_CASE("a lost answer is bought all the same, and found again") {
  Outside outside;
  outside.ups("GET", "/");  // the token, while all is well
  outside.sandbox.set_faults({.lost_answer_rate = 1}, "ups");
  CHECK(outside.ups("POST", "/api/shipments/v2409/ship", parcel("shp_1")).status == 0);
  outside.sandbox.set_faults({}, "ups");
  CHECK(ups::is_tracking_number(outside.ups(
      "GET", "/api/track/v1/reference/details/shp_1")["/trackResponse/shipment/0/package/0/trackingNumber"]));
}
