#include <doctest/doctest.h>

#include <limits>

#include "platform/json/json.hpp"
#include "platform/json/schema.hpp"

using namespace acme;
using acme::json::parse;

namespace {

BOOST_DEFINE_ENUM_CLASS(Colour, red, green, blue)
using MugId = Id<"mug">;

struct Line {
  Text<8, 1> sku;
  Between<1, 99> quantity;
};
BOOST_DESCRIBE_STRUCT(Line, (), (sku, quantity))

struct Order {
  MugId id;
  List<Line, 3, 1> lines;
  std::optional<std::string> note;
  OneOf<Colour::red, Colour::blue> colour;
  bool gift = false;
  std::map<std::string, std::int64_t> weights;
  json::Raw extra;
};
BOOST_DESCRIBE_STRUCT(Order, (), (id, lines, note, colour, gift, weights, extra))

struct Two {
  int first = 1, second = 2;
};
BOOST_DESCRIBE_STRUCT(Two, (), (first, second))
void check(const Two& two, const json::Node& in) {
  if (two.first > two.second) in.member("first").fault("must not be above second");
}

struct AnyText {
  std::string text;
};
BOOST_DESCRIBE_STRUCT(AnyText, (), (text))
struct Number {
  std::int64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(Number, (), (number))
struct AnyValue {
  json::Raw value;
};
BOOST_DESCRIBE_STRUCT(AnyValue, (), (value))

const std::string mug = "mug_00000000000000000000000001";

/// The faults as "pointer detail" lines.
template <typename T>
std::string faults(const std::string& text, json::Reading reading = json::request) {
  const auto read = parse<T>(text, reading);
  if (read) return "";
  CHECK(read.error().status == 400);
  CHECK(read.error().code == "validation");
  std::string out;
  for (auto& fault : read.error().faults) out += fault.pointer + " " + fault.detail + "\n";
  return out;
}

}  // namespace

TEST_CASE("what was read is written again, byte for byte") {
  const std::string text =
      R"({"id":")" + mug +
      R"(","lines":[{"sku":"A","quantity":1},{"sku":"B","quantity":99}],"note":"grüße \"☃\" \n\u0001",)"
      R"("colour":"blue","gift":true,"weights":{"a":-5,"b":9223372036854775807},"extra":{"x":[1.50,1e3,null]}})";
  const auto order = parse<Order>(text);
  REQUIRE(order.has_value());
  CHECK(order->lines.value[1].quantity == 99);
  CHECK(order->note == "grüße \"☃\" \n\x01");
  CHECK(json::text(*order) == text);
}

TEST_CASE("every fault of a request is reported at once, each with its pointer") {
  const auto all =
      faults<Order>(R"({"id": "ord_1", "lines": [{"sku": "", "quantity": 100}, {"quantity": "2", "a/b~c": 1}],
                                     "colour": "green", "gift": 1, "weights": {"x/y": 1.5}, "extra": null, "colr": 1})");
  CHECK(all ==
        "/id must be an id that begins with mug_\n"
        "/lines/0/sku must not be empty\n"
        "/lines/0/quantity must be between 1 and 99\n"
        "/lines/1/sku is required\n"
        "/lines/1/quantity must be a whole number\n"
        "/lines/1/a~1b~0c is not known here\n"
        "/colour must be one of: red, blue\n"
        "/gift must be true or false\n"
        "/weights/x~1y must be a whole number of at most 63 bits, written without point or exponent\n"
        "/colr is not known here\n");
}

TEST_CASE("absent, null and of the wrong kind are told apart") {
  CHECK(faults<AnyText>("{}") == "/text is required\n");
  CHECK(faults<AnyText>(R"({"text":null})") == "/text is required\n");
  CHECK(faults<AnyText>(R"({"text":1})") == "/text must be a string\n");
  CHECK(faults<AnyText>("[]") == " must be an object\n");
  CHECK(faults<AnyText>("null") == " must be an object\n");
  CHECK(faults<Two>("{}", json::settings) == "");
  CHECK(faults<Two>(R"({"second":0})", json::settings) == "/first must not be above second\n");
}

TEST_CASE("events and providers may say more than we know, requests may not") {
  CHECK(faults<AnyText>(R"({"text":"a","more":1})", json::event) == "");
  CHECK(faults<AnyText>(R"({"text":"a","more":1})", json::lenient) == "");
  CHECK(faults<AnyText>(R"({"text":"a","more":1})") == "/more is not known here\n");
}

TEST_CASE("lists are counted before their elements are read") {
  CHECK(faults<Order>(R"({"id":")" + mug + R"(","lines":[],"colour":"red","gift":true,"weights":{}})") ==
        "/lines must have at least 1 element\n");
  CHECK(faults<Order>(R"({"id":")" + mug + R"(","lines":[1,2,3,4],"colour":"red","gift":true,"weights":{}})") ==
        "/lines must have at most 3 elements\n");
}

TEST_CASE("only whole numbers within 64 bits are numbers to us") {
  struct {
    const char* text;
    bool fits;
  } table[] = {
      {"0", true},
      {"-0", true},
      {"-9223372036854775808", true},
      {"9223372036854775807", true},
      {"9223372036854775808", false},
      {"-9223372036854775809", false},
      {"18446744073709551615", false},
      {"1.0", false},
      {"1e2", false},
      {"1E400", false},
      {"-1e-400", false},
      {"\"1\"", false},
      {"true", false},
      {"01", false},
      {"+1", false},
      {"0x1", false},
      {"1.", false},
      {".5", false},
      {"NaN", false},
      {"Infinity", false},
  };
  for (auto& row : table) {
    CAPTURE(row.text);
    CHECK(parse<Number>(std::string{R"({"number":)"} + row.text + "}").has_value() == row.fits);
  }
  CHECK(faults<Number>(R"({"number":)" + std::string(30'000, '9') + "}") ==
        "/number must be a whole number of at most 63 bits, written without point or exponent\n");
  CHECK(faults<Two>(R"({"first":2147483648,"second":1})") == "/first is too large\n");
}

TEST_CASE("what is not JSON is refused with its place, whatever it is") {
  for (const std::string text : {"",
                                 " ",
                                 "{",
                                 "}",
                                 "{\"text\"}",
                                 "{\"text\":}",
                                 "{\"text\":\"a\"}x",
                                 "{\"text\":\"a\"}{}",
                                 "{\"text\":\"a\",}",
                                 "{'text':'a'}",
                                 "{text:\"a\"}",
                                 "{\"text\":\"a\"/*c*/}",
                                 "\xef\xbb\xbf{\"text\":\"a\"}",
                                 "{\"text\":\"\n\"}",
                                 "{\"text\":\"\\x41\"}",
                                 "{\"text\":\"\\u12\"}",
                                 "{\"text\":\"unfinished",
                                 "nul",
                                 "tru",
                                 "{\"text\":\"a\"\0}"}) {
    CAPTURE(text);
    const auto all = faults<AnyText>(text);
    CHECK(all.starts_with(" is not JSON: "));
  }
}

TEST_CASE("text is UTF-8 and nothing else") {
  for (const std::string bytes : {"\xff", "\xc0\xaf", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80",
                                  "\xf0\x80\x80\xaf", "\\ud800", "\\udc00", "\\ud800\\u0041", "\\ud800x"}) {
    CAPTURE(bytes);
    CHECK_FALSE(parse<AnyText>("{\"text\":\"" + bytes + "\"}").has_value());
    CHECK_FALSE(parse<AnyText>("{\"text\":\"a\",\"" + bytes + "\":1}", json::event).has_value());
  }
  CHECK(parse<AnyText>("{\"text\":\"\\ud83d\\ude00\"}")->text == "😀");
  CHECK(faults<AnyText>(R"({"text":"a\u0000b"})") == " must not contain U+0000\n");
  CHECK(faults<AnyText>(R"({"text":"a","\u0000":1})", json::event) == " must not contain U+0000\n");
}

TEST_CASE("depth is bounded, in arrays and objects alike") {
  const auto nested = [](int depth, const char* open, const char* close) {
    std::string text = R"({"value":)";
    for (int i = 1; i < depth; ++i) text += open;
    text += "1";
    for (int i = 1; i < depth; ++i) text += close;
    return text + "}";
  };
  for (auto [open, close] : {std::pair{"[", "]"}, std::pair{"{\"a\":", "}"}}) {
    CHECK(parse<AnyValue>(nested(16, open, close)).has_value());
    CHECK(faults<AnyValue>(nested(17, open, close)) == " is nested deeper than 16 levels\n");
    CHECK(faults<AnyValue>(nested(100'000, open, close)) == " is nested deeper than 16 levels\n");
  }
}

TEST_CASE("a member that stands twice is refused, however deep and however many there are") {
  CHECK(faults<AnyText>(R"({"text":"a","text":"b"})") == "/text stands twice\n");
  CHECK(faults<AnyText>(R"({"text":"a","te\u0078t":"b"})") == "/text stands twice\n");
  CHECK(faults<AnyValue>(R"({"value":[{"a/b":1,"a/b":2}]})") == "/value/0/a~1b stands twice\n");
  std::string many = "{\"value\":{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":1,";
  CHECK(faults<AnyValue>(many + "\"k57\":2}}") == "/value/k57 stands twice\n");
}

TEST_CASE("however many members there are, each is looked at once") {
  // Each with each would be 10^11 comparisons here.
  std::string many = "{\"value\":{";
  for (int i = 0; i < 400'000; ++i) many += "\"k" + std::to_string(i) + "\":1,";
  many += "\"k7\":";
  CHECK(faults<AnyValue>(many + "2}}") == "/value/k7 stands twice\n");
  CHECK(parse<std::map<std::string, json::Raw>>(many.substr(9, many.size() - 15) + "}")->size() == 400'000);
  for (int i = 0; i < 200; ++i) many += "[{\"a\":1,\"a\":2}],\"k7\":";
  const auto read = parse<AnyValue>(many + "2}}");
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().faults.size() == 100);
  CHECK(read.error().faults[1].pointer == "/value/k7/0/a");
}

TEST_CASE("a request full of faults gets an answer of bounded size") {
  std::string text = "{\"text\":\"a\"";
  for (int i = 0; i < 5000; ++i) text += ",\"k" + std::to_string(i) + "\":1";
  const auto read = parse<AnyText>(text + "}");
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().faults.size() == 100);

  std::string same;
  for (int i = 0; i < 5000; ++i) same += "\"a\":1,";
  const auto below = "{\"value\":{\"" + std::string(30'000, 'x') + "\":{" + same + "\"a\":1}}}";
  const auto found = parse<AnyValue>(below);
  REQUIRE_FALSE(found.has_value());
  CHECK(found.error().faults.size() == 3);
}

TEST_CASE("what we write is JSON whatever was put in") {
  json::Writer writer;
  writer.open('[');
  writer.text(std::string{"\0\x1f\x7f\"\\/", 6});
  writer.text(
      "a\xff"
      "b\xed\xa0\x80"
      "c\xe2\x82");
  writer.text("é€😀");
  writer.integer(std::numeric_limits<std::int64_t>::min());
  writer.open('{');
  writer.close('}');
  writer.null();
  writer.close(']');
  const auto text = writer.take();
  CHECK(text ==
        "[\"\\u0000\\u001f\\u007f\\\"\\\\/\",\"a\xef\xbf\xbd"
        "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
        "c\xef\xbf\xbd\xef\xbf\xbd\",\"é€😀\","
        "-9223372036854775808,{},null]");
}

TEST_CASE("a page shows the end of the list as null") {
  CHECK(json::text(Page<std::string>{{"a"}, {}}) == R"({"data":["a"],"next_cursor":null})");
  CHECK(json::text(Page<std::string>{{}, {"x"}}) == R"({"data":[],"next_cursor":"x"})");
}

TEST_CASE("a type's shape says what its JSON may be") {
  const auto shape = json::shape_of<Order>();
  CHECK(shape.members.at("lines").max == 3);
  CHECK(shape.members.at("lines").items.at(0).members.at("quantity").max == 99);
  CHECK(shape.members.at("colour").values == std::vector<std::string>{"red", "blue"});
  CHECK(shape.required == std::vector<std::string>{"id", "lines", "colour", "gift", "weights", "extra"});
}
