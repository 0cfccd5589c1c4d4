#include "services/orders/api.hpp"

#include <algorithm>
#include <charconv>

#include "commerce/countries.hpp"
#include "commerce/return_url.hpp"
#include "platform/idempotency.hpp"
#include "services/orders/discounts.hpp"
#include "services/orders/events.hpp"
#include "services/orders/followers.hpp"
#include "services/orders/offers.hpp"
#include "services/orders/placement.hpp"
#include "services/orders/returns.hpp"
#include "services/orders/settings.hpp"
#include "services/orders/store.hpp"

namespace acme::orders {

static Money money(std::int64_t amount, const std::string& currency) { return {amount, currency}; }
static std::string in_words(std::int64_t amount, const std::string& currency) {
  return decimal(amount, decimals(currency).value_or(2)) + " " + currency;
}
static std::string region_code(const std::string& country, const std::optional<std::string>& text) {
  return text ? region(country, *text).value_or(*text) : "";
}

// Carts.

void check(const CartDestination& destination, const json::Node& in) {
  const std::string& country = destination.country;
  if (country.size() == 2 && !is_country(country))
    return in.member("country").fault("must be a country's ISO 3166-1 alpha-2 code, like DE");
  if (destination.region && !region(country, destination.region->value))
    in.member("region").fault("is no region of " + country);
  if (destination.postal_code && !postal_code(country, destination.postal_code->value))
    in.member("postal_code").fault("is no postal code of " + country);
}

static std::string_view code(Obstacle obstacle) { return name(obstacle); }

/// A sentence about what stands in the way.
static std::string in_words(const Hindrance& hindrance, const Quote& quote, const std::string& country) {
  switch (hindrance.obstacle) {
    case Obstacle::not_sold:
      return "is not sold here";
    case Obstacle::no_price:
      return "has no price in " + quote.currency;
    case Obstacle::not_shipped_there:
      return "we ship nothing to " + country + " in " + quote.currency;
    case Obstacle::too_heavy:
      return "too heavy for one order to " + country + ": order less at once";
    case Obstacle::too_much:
      return "the total is too large to be paid: order less at once";
    case Obstacle::quote_does_not_fit:
      return "the shipping quote is for another destination, currency or a lighter parcel: ask for the rates again";
    case Obstacle::too_little:
      return "the total of " + in_words(quote.totals.total, quote.currency) +
             " cannot be paid: the smallest amount is " + in_words(stripe_minimum(quote.currency), quote.currency);
  }
  return "";
}

/// A sentence about why a code lowers nothing.
static std::string in_words(Refusal reason) {
  switch (reason) {
    case Refusal::unknown:
      return "there is no such code";
    case Refusal::not_yet_valid:
      return "is not valid yet";
    case Refusal::expired:
      return "is no longer valid";
    case Refusal::used_up:
      return "was used as often as it may be";
    case Refusal::used_by_customer:
      return "was used by you as often as you may";
    case Refusal::other_currency:
      return "does not hold in this currency";
    case Refusal::below_minimum:
      return "needs a larger subtotal";
    case Refusal::not_combinable:
      return "cannot be combined with another code of its kind";
    case Refusal::nothing_to_lower:
      return "lowers nothing of what this costs";
  }
  return "";
}
static Problem discount_refused(const std::vector<RefusedDiscount>& refused) {
  std::string sentences, list;
  for (auto& [code, reason] : refused) {
    sentences += (sentences.empty() ? "" : " ") + code + ": " + in_words(reason) + ".";
    list += (list.empty() ? "" : ", ") + std::string{R"({"code": )"} + json::text(code) + R"(, "reason": ")" +
            std::string{name(reason)} + "\"}";
  }
  auto problem = conflict("discount_refused", sentences);
  problem.extension = R"({"discounts": [)" + list + "]}";
  return problem;
}

/// The codes as they stand for the caller; those that do not exist are refused.
struct Codes {
  std::vector<Discount> known;
  std::vector<RefusedDiscount> unknown;
};
static Task<Codes> find_codes(Call& call, std::vector<std::string> codes, std::optional<std::string> email = {}) {
  Codes found;
  if (codes.empty()) co_return found;
  found.known = co_await store::find_discounts(call.db(), codes, caller_id(call), std::move(email));
  for (auto& code : codes)
    if (std::ranges::find(found.known, code, &Discount::code) == found.known.end())
      found.unknown.push_back({code, Refusal::unknown});
  co_return found;
}

static Quote priced_for(const Call& call, const store::Cart& cart, const Codes& codes,
                        std::optional<ShippingQuote> shipping) {
  const auto country = cart.country.value_or(call.get<Settings>().country);
  const Destination to{country, region_code(country, cart.region),
                       cart.postal_code ? postal_code(country, *cart.postal_code).value_or(*cart.postal_code) : ""};
  auto priced =
      quote(call.get<Tables>(), cart.currency, cart.items, to, {call.now(), codes.known, std::move(shipping)});
  priced.refused.insert(priced.refused.end(), codes.unknown.begin(), codes.unknown.end());
  return priced;
}

static std::vector<DiscountLine> view_of(const std::vector<AppliedDiscount>& discounts, const std::string& currency) {
  std::vector<DiscountLine> lines;
  for (auto& [code, kind, amount] : discounts) lines.push_back({code, kind, money(amount, currency)});
  return lines;
}

/// What a customer may be told of a stock, as the database's shown_stock: exact to ten, then rounded down.
static std::int64_t shown_stock(std::int64_t available) {
  const std::int64_t step = available <= 10 ? 1 : available <= 100 ? 10 : 100;
  return available / step * step;
}
static std::string left_in_words(std::int64_t available) {
  if (available <= 0) return "none is left";
  const auto shown = shown_stock(available);
  return (shown == available ? "only " : "only about ") + std::to_string(shown) + " are left";
}

static CartView view_of(const store::Cart& cart, const Quote& priced, const std::string& country) {
  CartView view;
  view.id = cart.id;
  view.currency = cart.currency;
  view.estimated = !cart.country || (needs_region(*cart.country) && !cart.region);
  view.updated_at = cart.updated_at;
  if (cart.country) {
    view.destination.emplace().country.value = *cart.country;
    if (cart.region) view.destination->region.emplace().value = *cart.region;
    if (cart.postal_code) view.destination->postal_code.emplace().value = *cart.postal_code;
  }
  for (std::size_t i = 0; i < cart.items.size(); ++i) {
    auto& line = view.lines.emplace_back();
    line.sku = cart.items[i].sku;
    line.quantity = cart.items[i].quantity;
    line.in_stock = cart.available[i] >= line.quantity;
    if (!line.in_stock) view.problems.push_back({"out_of_stock", left_in_words(cart.available[i]), line.sku, {}, {}});
    const auto sold = std::ranges::find(priced.lines, line.sku, &Line::sku);
    if (sold == priced.lines.end()) continue;
    line.product_id = sold->product_id;
    line.title = sold->title;
    line.unit_price = money(sold->unit_price, cart.currency);
    line.discount = money(sold->discount, cart.currency);
    line.tax = money(sold->tax, cart.currency);
    line.total = money(sold->net(), cart.currency);
    if (const auto shown = cart.shown[i]; shown && *shown != sold->unit_price)
      line.price_changed = {money(*shown, cart.currency), money(sold->unit_price, cart.currency)};
  }
  for (auto& hindrance : priced.hindrances)
    view.problems.push_back({std::string{code(hindrance.obstacle)},
                             in_words(hindrance, priced, country),
                             hindrance.wanted ? std::optional{cart.items[*hindrance.wanted].sku} : std::nullopt,
                             {},
                             {}});
  for (auto& [sku, quantity] : cart.left_out) view.left_out.push_back({sku, quantity});
  for (auto& [refused, reason] : priced.refused)
    view.problems.push_back({"discount_refused", in_words(reason), {}, refused, reason});
  view.discounts = view_of(priced.discounts, cart.currency);
  auto& totals = priced.totals;
  view.subtotal = money(totals.subtotal, cart.currency);
  view.discount_total = money(totals.discount, cart.currency);
  view.shipping_total = money(totals.shipping, cart.currency);
  view.tax_total = money(totals.tax, cart.currency);
  view.tax_included = totals.tax_included;
  view.total = money(totals.total, cart.currency);
  return view;
}

/// The cart, priced now: prices and stock change without a change of the cart.
static Task<CartView> show(Call& call, store::Cart cart) {
  Result<ShippingQuote> shipping;
  if (cart.shipping_quote) shipping = verify(*cart.shipping_quote, call.get<QuoteKey>(), call.now());
  const bool chosen = cart.shipping_quote && shipping;
  const auto codes = co_await find_codes(call, cart.codes);
  const auto priced = priced_for(call, cart, codes, chosen ? std::optional{*shipping} : std::nullopt);
  auto view = view_of(cart, priced, cart.country.value_or(call.get<Settings>().country));
  if (chosen) view.shipping_option = {shipping->carrier, shipping->service};
  if (!shipping) view.problems.push_back({"quote_expired", shipping.error().detail, {}, {}, {}});
  call.answer_header("ETag", tag_of(cart.version, view));
  co_return view;
}
static Task<Result<CartView>> show_cart(Call& call, CartId id) {
  auto cart = co_await store::find_cart(call.db(), id, caller_id(call));
  if (!cart) co_return refuse(not_found("cart", id.text()));
  co_return co_await show(call, std::move(*cart));
}

/// The cart after `change`, which gets the version that the caller wants to change; or why it cannot be changed. Begins
/// anew when another one was faster and the caller wants to change any version.
template <typename Change>
static Task<Result<CartView>> change_cart(Call& call, CartId id, Change change, std::optional<std::string> sku = {}) {
  auto version = call.if_match();
  if (!version) co_return refuse(version.error());
  if (*version == -1) version->reset();
  for (int tries = 0; tries < 100; ++tries) {
    if (auto cart = co_await change(*version)) co_return co_await show(call, std::move(*cart));
    switch (co_await store::cart_refusal(call.db(), id, caller_id(call), sku)) {
      case store::CartRefusal::no_cart:
        co_return refuse(not_found("cart", id.text()));
      case store::CartRefusal::not_sold:
        co_return refuse(not_found("SKU", sku.value()));
      case store::CartRefusal::full:
        co_return refuse(conflict("cart_full", "A cart holds a hundred different SKUs: remove one first."));
      case store::CartRefusal::stale:
        if (!*version) continue;
        co_return refuse(
            Problem{.status = 412,
                    .code = "precondition_failed",
                    .detail = "The cart has changed since you read it. Read it again, then repeat your change."});
    }
  }
  co_return refuse(overloaded("Too many change this cart at once. Try again in a moment."));
}

Task<Result<Answer<CartView>>> open_cart(Call& call, NewCart request) {
  const auto currency = request.currency ? request.currency->code : call.get<Settings>().currency.code;
  const auto [id, made] =
      co_await store::open_cart(call.db(), call.new_id<CartId>(), caller_id(call), currency, call.now());
  if (made) {
    call.answer_header("Location", "/v1/carts/" + id.text());
    store::Cart cart;
    cart.id = id;
    cart.version = 1;
    cart.currency = currency;
    cart.updated_at = call.now();
    co_return Answer<CartView>{co_await show(call, std::move(cart)), 201};
  }
  auto view = co_await show_cart(call, id);
  if (!view) co_return refuse(view.error());
  if (request.currency && view->currency != currency) {
    if (!view->lines.empty())
      co_return refuse(
          conflict("cart_currency", "Your open cart is in " + view->currency + ": order or empty it first."));
    view = co_await change_cart(call, id, [&](auto version) {
      return store::put_currency(call.db(), id, caller_id(call), version, currency, call.now());
    });
    if (!view) co_return refuse(view.error());
  }
  co_return Answer<CartView>{std::move(*view), 200};
}

Task<Result<CartView>> get_cart(Call& call, CartId id) { return show_cart(call, id); }

/// What one piece costs now, in each currency.
static std::map<std::string, std::int64_t> prices_of(const Offer* offer, Time now) {
  std::map<std::string, std::int64_t> prices;
  if (offer)
    for (auto& [currency, amount] : offer->prices) prices[currency] = price_of(*offer, currency, now).value_or(amount);
  return prices;
}

Task<Result<CartView>> put_item(Call& call, CartId id, std::string sku, CartItem request) {
  const auto offer = (co_await call.get<Offers>().find(call.db(), {sku}))[0];
  const auto put = [&](std::optional<std::int64_t> version) -> Task<std::optional<store::Cart>> {
    auto cart = co_await store::put_item(call.db(), id, caller_id(call), version, sku, request.quantity,
                                         prices_of(offer.get(), call.now()), call.now());
    // The price that the buyer knows from now on, should the offer that was at hand have been an old one.
    for (std::size_t i = 0; cart && i < cart->items.size(); ++i) {
      if (cart->items[i].sku != sku || !cart->items[i].offer) continue;
      const auto price = price_of(*cart->items[i].offer, cart->currency, call.now());
      if (!price || cart->shown[i] == price) continue;
      co_await store::note_price(call.db(), id, sku, *price);
      cart->shown[i] = price;
    }
    co_return cart;
  };
  co_return co_await change_cart(call, id, put, sku);
}

Task<Result<CartView>> delete_item(Call& call, CartId id, std::string sku) {
  co_return co_await change_cart(call, id, [&](auto version) {
    return store::delete_item(call.db(), id, caller_id(call), version, sku, call.now());
  });
}

Task<Result<CartView>> put_destination(Call& call, CartId id, CartDestination request) {
  co_return co_await change_cart(call, id, [&](auto version) {
    return store::put_destination(call.db(), id, caller_id(call), version, request, call.now());
  });
}

static Task<Result<CartView>> choose_quote(Call& call, CartId id, std::optional<std::string> token) {
  co_return co_await change_cart(call, id, [&](auto version) {
    return store::put_shipping_quote(call.db(), id, caller_id(call), version, token, call.now());
  });
}

Task<Result<CartView>> put_shipping_quote(Call& call, CartId id, ChosenQuote request) {
  const std::string& token = request.shipping_quote;
  if (const auto good = verify(token, call.get<QuoteKey>(), call.now()); !good) {
    if (!co_await store::find_cart(call.db(), id, caller_id(call))) co_return refuse(not_found("cart", id.text()));
    co_return refuse(good.error());
  }
  co_return co_await choose_quote(call, id, token);
}

Task<Result<CartView>> delete_shipping_quote(Call& call, CartId id) { return choose_quote(call, id, {}); }

Task<Result<CartView>> put_discount(Call& call, CartId id, std::string code) {
  code = code_of(code);
  auto cart = co_await store::find_cart(call.db(), id, caller_id(call));
  if (!cart) co_return refuse(not_found("cart", id.text()));
  if (std::ranges::find(cart->codes, code) == cart->codes.end()) {
    cart->codes.push_back(code);
    auto refused = priced_for(call, *cart, co_await find_codes(call, cart->codes), {}).refused;
    std::erase_if(refused, [&](auto& each) { return each.code != code; });
    if (!refused.empty()) co_return refuse(discount_refused(refused));
  }
  co_return co_await change_cart(call, id, [&](auto version) {
    return store::put_discount(call.db(), id, caller_id(call), version, code, call.now());
  });
}

Task<Result<CartView>> delete_discount(Call& call, CartId id, std::string code) {
  co_return co_await change_cart(call, id, [&](auto version) {
    return store::delete_discount(call.db(), id, caller_id(call), version, code_of(code), call.now());
  });
}

// Orders.

Problem bad_cursor() { return invalid("?cursor", "is no cursor of this list: take next_cursor from its last page"); }

static bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/// One @ with something on both sides, and nothing that means something in a mail's header. Whether it is somebody's,
/// only a mail tells.
static bool is_email(std::string_view text) {
  const auto at = text.find('@');
  if (at == 0 || at == std::string_view::npos || at > 64 || at + 1 == text.size()) return false;
  if (text.find('@', at + 1) != std::string_view::npos) return false;
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' || byte == 0x7f || std::string_view{R"(()<>,;:"[]\)"}.contains(c);
  });
}
/// BCP 47, by form: two or three letters, then subtags of two to eight characters.
static bool is_language_tag(std::string_view text) {
  bool first = true;
  for (std::size_t from = 0; from <= text.size(); first = false) {
    const auto end = std::min(text.find('-', from), text.size());
    const auto tag = text.substr(from, end - from);
    if (tag.size() < 2 || tag.size() > (first ? 3 : 8) || !std::ranges::all_of(tag, is_alphanumeric)) return false;
    from = end + 1;
  }
  return true;
}
static bool is_payment_method(std::string_view text) {
  return text.starts_with("pm_") && text.size() > 3 &&
         std::ranges::all_of(text.substr(3), [](char c) { return c == '_' || is_alphanumeric(c); });
}

void check(const PlaceOrder& order, const json::Node& in) {
  if (order.cart_id.has_value() == order.items.has_value())
    in.fault("name either cart_id or items: what is to be ordered");
  if (order.items)
    for (std::size_t i = 0; i < order.items->value.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (order.items->value[i].sku == order.items->value[j].sku) {
          in.member("items").at(i).member("sku").fault("is named twice: sum the quantities");
          break;
        }
  if (!order.email.value.empty() && !is_email(order.email.value)) in.member("email").fault("must be an e-mail address");
  if (order.locale && !is_language_tag(order.locale->value))
    in.member("locale").fault("must be a language tag like en or de-DE");
  if (order.payment_method && !is_payment_method(order.payment_method->value))
    in.member("payment_method").fault("must be the id of a payment method, pm_…");
  if (order.expected_total) {
    if (!decimals(order.expected_total->currency))
      in.member("expected_total").member("currency").fault("must be the code of a currency, like EUR");
    else if (order.currency && order.currency->code != order.expected_total->currency)
      in.member("expected_total").member("currency").fault("must be the order's currency, " + order.currency->code);
  }
}

static OrderView view_of(const store::Order& order, const std::vector<Line>& lines, Address shipping,
                         std::optional<Address> billing) {
  OrderView view;
  const auto& currency = order.currency;
  view.id = order.id;
  view.number = std::to_string(order.number);
  view.status = order.status;
  view.reason = order.reason;
  view.customer_id = order.customer_id;
  view.guest = order.guest;
  view.currency = currency;
  for (auto& line : lines)
    view.lines.push_back({line.line, line.sku, line.product_id, line.title, line.quantity,
                          money(line.unit_price, currency), money(line.discount, currency), money(line.tax, currency),
                          money(line.net(), currency), line.weight_grams});
  if (order.discounts)
    view.discounts =
        view_of(json::parse<std::vector<AppliedDiscount>>(order.discounts->text, json::event).value(), currency);
  view.subtotal = money(order.totals.subtotal, currency);
  view.discount_total = money(order.totals.discount, currency);
  view.shipping_total = money(order.totals.shipping, currency);
  view.tax_total = money(order.totals.tax, currency);
  view.tax_included = order.totals.tax_included;
  view.total = money(order.totals.total, currency);
  view.email = order.email;
  view.locale = order.locale;
  view.shipping_address = std::move(shipping);
  view.billing_address = std::move(billing);
  if (order.shipping_option)
    view.shipping_option = json::parse<ShippingOption>(order.shipping_option->text, json::event).value();
  view.payment = {order.payment_status, order.payment_failure};
  view.timeline.push_back({order.placed_at, "order.created", "pending", {}});
  view.placed_at = order.placed_at;
  view.updated_at = order.updated_at;
  return view;
}

static Task<std::vector<OrderView>> views_of(pg::Session& db, std::vector<store::Order> orders) {
  std::vector<OrderId> ids, moved;  // to an order in its first version nothing has happened yet
  for (auto& order : orders) {
    ids.push_back(order.id);
    if (order.version > 1) moved.push_back(order.id);
  }
  const auto lines = co_await store::find_lines(db, ids);
  std::vector<store::ShipmentOf> shipments;
  std::vector<store::EntryOf> timeline;
  if (!moved.empty()) {
    shipments = co_await store::find_shipments(db, moved);
    timeline = co_await store::find_timeline(db, moved);
  }
  std::vector<OrderId> sent;  // nothing comes back of the others
  for (auto& order : orders)
    if (order.status == Status::shipped || order.status == Status::delivered) sent.push_back(order.id);
  std::vector<ReturnView> returns;
  if (!sent.empty()) returns = co_await returns_of(db, sent);
  const auto address = [](const json::Raw& text) { return json::parse<Address>(text.text, json::lenient).value(); };
  std::vector<OrderView> views;
  for (auto& order : orders) {
    std::vector<Line> own;
    for (auto& line : lines)
      if (line.order_id == order.id) own.push_back(line.line);
    auto& view = views.emplace_back(
        view_of(order, own, address(order.shipping_address), order.billing_address.transform(address)));
    for (auto& shipment : shipments)
      if (shipment.order_id == order.id) view.shipments.push_back(shipment.shipment);
    for (auto& each : returns)
      if (each.order_id == order.id) view.returns.push_back(each);
    for (auto& entry : timeline)
      if (entry.order_id == order.id) view.timeline.push_back(entry.entry);
  }
  co_return views;
}

/// What is to be ordered, as it stands now.
struct Basket {
  std::vector<Wanted> wanted;
  std::string currency;
  std::optional<std::int64_t> cart_version;
  Codes codes;
  std::optional<std::string> shipping_quote;  // signed
};
static Task<Result<Basket>> basket_of(Call& call, const PlaceOrder& request) {
  Basket basket;
  std::vector<std::string> codes;
  if (request.cart_id) {
    auto cart = co_await store::find_cart(call.db(), *request.cart_id, caller_id(call));
    if (!cart) co_return refuse(not_found("cart", request.cart_id->text()));
    if (cart->items.empty()) co_return refuse(invalid("/cart_id", "this cart is empty"));
    basket = {std::move(cart->items), cart->currency, cart->version, {}, std::move(cart->shipping_quote)};
    codes = std::move(cart->codes);
    if (request.currency && request.currency->code != basket.currency)
      co_return refuse(invalid("/currency", "the cart is in " + basket.currency));
  } else {
    std::vector<std::string> skus;
    for (auto& item : *request.items) skus.push_back(item.sku);
    const auto offers = co_await call.get<Offers>().find(call.db(), skus);
    for (std::size_t i = 0; i < skus.size(); ++i)
      basket.wanted.push_back({skus[i], request.items->value[i].quantity, offers[i]});
    basket.currency = request.currency ? request.currency->code : call.get<Settings>().currency.code;
  }
  if (request.expected_total && request.expected_total->currency != basket.currency)
    co_return refuse(invalid("/expected_total/currency", "must be the order's currency, " + basket.currency));
  if (request.discount_codes)
    for (auto& text : *request.discount_codes)
      if (const auto code = code_of(text.value); std::ranges::find(codes, code) == codes.end()) codes.push_back(code);
  basket.codes = co_await find_codes(call, std::move(codes), request.email.value);
  if (request.shipping_quote) basket.shipping_quote = request.shipping_quote->value;
  co_return basket;
}

static Problem problem_of(const Quote& priced, const Basket& basket, const PlaceOrder& request) {
  Faults faults;
  const bool cart = request.cart_id.has_value();
  for (auto& hindrance : priced.hindrances) {
    const auto words = in_words(hindrance, priced, request.shipping_address.country);
    if (hindrance.wanted)
      faults.push_back(cart ? Fault{"/cart_id", basket.wanted[*hindrance.wanted].sku + " " + words}
                            : Fault{"/items/" + std::to_string(*hindrance.wanted) + "/sku", words});
    else if (hindrance.obstacle == Obstacle::quote_does_not_fit)
      faults.push_back({request.shipping_quote || !cart ? "/shipping_quote" : "/cart_id", words});
    else if (hindrance.obstacle == Obstacle::not_shipped_there)
      faults.push_back({"/shipping_address/country", words});
    else
      faults.push_back({cart ? "/cart_id" : "/items", words});
  }
  auto problem = invalid(std::move(faults));
  if (priced.hindrances.size() == 1 && priced.hindrances[0].obstacle == Obstacle::too_little)
    problem.code = "amount_too_small";
  return problem;
}

static Problem price_changed(const Quote& priced) {
  auto problem = conflict("price_changed", "The total is now " + in_words(priced.totals.total, priced.currency) +
                                               ". Look at it, then order with this total.");
  problem.extension = R"({"total": )" + json::text(money(priced.totals.total, priced.currency)) + "}";
  return problem;
}

struct Short {
  std::string sku;
  std::int64_t available = 0;
};
BOOST_DESCRIBE_STRUCT(Short, (), (sku, available))

static Problem out_of_stock(const store::Placed& answer) {
  auto problem = conflict("out_of_stock", "There is not enough left of what you ordered.");
  auto items = json::parse<std::vector<Short>>(answer.obstacles.value_or(json::Raw{"[]"}).text, json::event).value();
  for (auto& item : items) item.available = shown_stock(item.available);
  problem.extension = R"({"items": )" + json::text(items) + "}";
  return problem;
}

static Problem key_mismatch() {
  return {.status = 422,
          .code = "idempotency_mismatch",
          .detail = "This Idempotency-Key was sent with another request. A new wish needs a new key."};
}

using Fields = std::vector<std::vector<std::string>>;
static http::Response replay(int status, const json::Raw& headers, std::string body) {
  http::Response response{status, {}, std::move(body), {}};
  for (auto& field : json::parse<Fields>(headers.text, json::event).value())
    response.headers.set(field.at(0), field.at(1));
  response.headers.set("Idempotent-Replayed", "true");
  return response;
}

/// A hundred order numbers at a time, for whoever places orders in this process.
static Task<std::int64_t> order_number(Call& call) {
  auto& numbers = call.get<OrderNumbers>();
  if (const auto number = numbers.take()) co_return *number;
  const auto first = co_await store::lease_numbers(call.db());
  co_return numbers.lease(first);
}

static Task<store::Draft> draft_of(Call& call, const PlaceOrder& request, const Basket& basket, const Quote& priced,
                                   const std::optional<ShippingQuote>& shipping) {
  store::Order order;
  order.id = call.new_id<OrderId>();
  order.number = co_await order_number(call);
  order.customer_id = caller_id(call);
  order.guest = call.caller().guest();
  order.currency = priced.currency;
  order.totals = priced.totals;
  if (!priced.discounts.empty()) order.discounts = json::Raw{json::text(priced.discounts)};
  if (shipping) order.shipping_option = json::Raw{json::text(ShippingOption{shipping->carrier, shipping->service})};
  order.email = request.email;
  order.locale = request.locale ? request.locale->value : call.get<Settings>().locale;
  order.placed_at = order.updated_at = call.now();
  const auto view = view_of(order, priced.lines, request.shipping_address, request.billing_address);

  store::Draft draft;
  draft.key = call.idempotency_key();
  draft.hash = call.request_hash();
  draft.id = order.id;
  draft.number = order.number;
  draft.customer_id = order.customer_id;
  draft.guest = order.guest;
  draft.cart_id = request.cart_id;
  draft.cart_version = basket.cart_version;
  draft.currency = order.currency;
  draft.lines = priced.lines;
  for (auto& wanted : basket.wanted) draft.offer_versions.push_back(wanted.offer->version);
  draft.totals = order.totals;
  draft.discounts = priced.discounts;
  for (auto& applied : priced.discounts)
    draft.discount_versions.push_back(std::ranges::find(basket.codes.known, applied.code, &Discount::code)->version);
  draft.email = order.email;
  draft.locale = order.locale;
  draft.shipping_address = json::text(request.shipping_address);
  if (request.billing_address) draft.billing_address = json::text(*request.billing_address);
  draft.shipping_option = order.shipping_option.transform([](auto& raw) { return raw.text; });
  draft.placed_at = order.placed_at;
  draft.traceparent = call.traceparent();
  draft.body = json::text(view);
  draft.headers = json::text(
      Fields{{"Content-Type", "application/json"}, {"ETag", "\"1\""}, {"Location", "/v1/orders/" + order.id.text()}});

  OrderEvent event;
  event.order_id = order.id;
  event.number = view.number;
  event.customer_id = order.customer_id;
  event.guest = order.guest;
  event.currency = order.currency;
  event.totals = order.totals;
  event.lines = priced.lines;
  event.discounts = order.discounts;
  event.shipping_option = order.shipping_option;
  event.placed_at = order.placed_at;
  event.email = order.email;
  event.locale = order.locale;
  event.shipping_address = json::Raw{draft.shipping_address};
  if (draft.billing_address) event.billing_address = json::Raw{*draft.billing_address};
  if (request.payment_method) event.payment_method = request.payment_method->value;
  if (request.return_url) event.return_url = request.return_url->value;
  draft.event = json::text(event);
  co_return draft;
}

/// The order's turn did not come in time. Because its key is with a request of another process that still runs?
static Task<Result<http::Response>> too_late(Call& call) {
  const auto look = [&](pg::Transaction& tx) -> Task<Result<http::Response>> {
    const idempotency::Key key{"orders.place", call.idempotency_key(), call.request_hash()};
    if (auto answer = co_await idempotency::claim(tx, key, in(Duration{100}))) co_return std::move(*answer);
    co_return refuse(overloaded("Too many order at once. Try again in a moment."));
  };
  co_return co_await call.database().transaction(look, call.deadline());
}

static Task<Result<http::Response>> try_to_place(Call& call, const PlaceOrder& request) {
  if (request.return_url && !leads_to(request.return_url->value, call.get<Settings>().return_origins))
    co_return refuse(invalid("/return_url", "must lead to this shop"));
  const auto& address = request.shipping_address;
  const Destination destination{
      address.country, region_code(address.country, address.region.transform([](auto& text) { return text.value; })),
      address.postal_code};
  // Prices come from a cache, and a cart may change meanwhile: the function asserts both, and we look once more.
  for (std::optional<std::int64_t> looked_at;;) {
    auto basket = co_await basket_of(call, request);
    if (!basket) co_return refuse(basket.error());
    std::optional<ShippingQuote> shipping;
    if (basket->shipping_quote) {
      auto good = verify(*basket->shipping_quote, call.get<QuoteKey>(), call.now());
      if (!good) co_return refuse(std::move(good.error()));
      shipping = std::move(*good);
    }
    Quote priced = quote(call.get<Tables>(), basket->currency, basket->wanted, destination,
                         {call.now(), basket->codes.known, shipping});
    priced.refused.insert(priced.refused.end(), basket->codes.unknown.begin(), basket->codes.unknown.end());
    if (!priced.refused.empty()) co_return refuse(discount_refused(priced.refused));
    if (!priced.hindrances.empty()) co_return refuse(problem_of(priced, *basket, request));
    if (request.expected_total && request.expected_total->amount != priced.totals.total)
      co_return refuse(price_changed(priced));

    auto draft = co_await draft_of(call, request, *basket, priced, shipping);
    http::Response response{201, {}, draft.body, {}};
    for (auto& field : json::parse<Fields>(draft.headers, json::event).value())
      response.headers.set(field.at(0), field.at(1));
    // A moment is left to say that it did not come to it: longer than a batch that has left waits for a lock.
    const auto answer =
        co_await call.get<Placement>().place(call.database(), std::move(draft), call.deadline() - Duration{1'000});
    switch (answer.outcome) {
      case store::Outcome::placed:
        co_return response;
      case store::Outcome::replayed:
        co_return replay(answer.answer_status.value(), answer.answer_headers.value(), answer.answer_body.value());
      case store::Outcome::mismatch:
        co_return refuse(key_mismatch());
      case store::Outcome::late:
        co_return co_await too_late(call);
      case store::Outcome::conflict: {
        auto problem = conflict("idempotency_conflict",
                                "A request with this Idempotency-Key is still running. Repeat yours in a moment.");
        problem.retry_after = 1;
        co_return refuse(std::move(problem));
      }
      case store::Outcome::out_of_stock:
        co_return refuse(out_of_stock(answer));
      case store::Outcome::discount_spent:
        co_return refuse(discount_refused(
            json::parse<std::vector<RefusedDiscount>>(answer.obstacles.value().text, json::event).value()));
      case store::Outcome::offer_changed:
      case store::Outcome::cart_changed:
      case store::Outcome::discount_changed:
      case store::Outcome::again:
        break;
    }
    if (looked_at == priced.totals.total)
      co_return refuse(overloaded("What is ordered changes just now. Try again in a moment."));
    if (looked_at) co_return refuse(price_changed(priced));
    looked_at = priced.totals.total;
    std::vector<std::string> skus;
    for (auto& wanted : basket->wanted) skus.push_back(wanted.sku);
    call.get<Offers>().forget(skus);
  }
}

Task<Result<http::Response>> place_order(Call& call, PlaceOrder request) {
  request.shipping_address = normalised(std::move(request.shipping_address));
  if (request.billing_address) request.billing_address = normalised(std::move(*request.billing_address));
  auto answer = co_await try_to_place(call, request);
  if (answer) co_return answer;
  // Refused as things are now: the cart is gone, the price is another one. But was this very request answered before?
  const auto earlier = co_await store::find_answer(call.db(), call.idempotency_key());
  if (!earlier) co_return answer;
  if (earlier->hash != call.request_hash()) co_return refuse(key_mismatch());
  co_return replay(earlier->status, earlier->headers, earlier->body);
}

Task<Result<Page<OrderView>>> list_orders(Call& call, Query<OrderQuery> query) {
  std::optional<OrderId> before;
  if (query->cursor) {
    before = OrderId::parse(*query->cursor);
    if (!before) co_return refuse(bad_cursor());
  }
  auto orders =
      co_await store::list_orders(call.db(), scope(call, "orders:read"), before, query->status, query->limit + 1);
  Page<OrderView> page;
  if (std::ssize(orders) > query->limit) {
    orders.pop_back();
    page.next_cursor.value = orders.back().id.text();
  }
  page.data = co_await views_of(call.db(), std::move(orders));
  co_return page;
}

Task<Result<OrderView>> get_order(Call& call, OrderId id) {
  auto order = co_await store::find_order(call.db(), id, scope(call, "orders:read"));
  if (!order) co_return refuse(not_found("order", id.text()));
  call.etag(order->version);
  auto views = co_await views_of(call.db(), {*order});
  co_return std::move(views.front());
}

Task<Result<http::Response>> cancel_order(Call& call, OrderId id, CancelOrder request) {
  const auto work = [&](pg::Transaction& tx) -> Task<Result<Answer<OrderView>>> {
    auto order = co_await store::lock_order(tx, id, scope(call, "orders:write"));
    if (!order) co_return refuse(not_found("order", id.text()));
    const auto asked = next(order->state(), News::cancel_asked);
    if (asked != order->state()) {
      std::vector<Line> lines;
      for (auto& [order_id, line, taken] : co_await store::find_lines(tx, {id})) {
        if (taken)
          co_return refuse(
              conflict("cannot_cancel", "A part of this order, " + line.title + ", is handed over or removed."));
        lines.push_back(line);
      }
      order->status = status_of(asked);
      order->reason = name(request.reason);
      order->cancel_version = order->version + 1;
      store::Changes changes{tx};
      changes.save(*order, call.now());
      note_cancelling(changes, *order, call.now(), order->reason);
      announce(changes, *order, std::move(lines));
      changes.write();
      call.get<Followers>().wake(id);
    } else if (order->status != Status::cancelling && order->status != Status::cancelled) {
      co_return refuse(conflict("cannot_cancel", "This order is on its way or has arrived: it cannot be cancelled."));
    }
    auto views = co_await views_of(tx, {*order});
    co_return accepted(std::move(views.front()));
  };
  co_return co_await call.once(work);
}

// Server-sent events (WHATWG HTML §9.2): `id` is the order's version, `data` the order as GET shows it.

struct Following {
  pg::Database* database;
  OrderId id;
  Scope whose;
  std::int64_t seen = 0;
  Deadline ends{};
  Duration poll{};
  std::shared_ptr<Signal> changed;
};

static Task<> follow(Following order, http::BodyWriter& to) {
  auto spoke = std::chrono::steady_clock::now();
  // The wake comes from within the transaction that changes the order: from then on a few looks, ever further apart.
  Duration pause = order.poll;
  for (Duration left;
       (left = std::chrono::ceil<Duration>(order.ends - std::chrono::steady_clock::now())).count() > 0;) {
    auto& db = order.database->session();
    const auto version = co_await store::order_version(db, order.id, order.whose);
    if (!version) co_return;
    if (*version > order.seen) {
      const auto now = co_await store::find_order(db, order.id, order.whose);
      if (!now) co_return;
      const auto views = co_await views_of(db, {*now});
      co_await to.write("id: " + std::to_string(now->version) + "\nevent: order\ndata: " + json::text(views.front()) +
                        "\n\n");
      order.seen = now->version;
      pause = order.poll;
      spoke = std::chrono::steady_clock::now();
    } else if (std::chrono::steady_clock::now() - spoke > std::chrono::seconds{15}) {
      co_await to.write(": still here\n\n");  // or a proxy believes that nobody is
      spoke = std::chrono::steady_clock::now();
    }
    pause = co_await order.changed->wait(std::min(pause, left)) ? Duration{1} : std::min(pause * 2, order.poll);
  }
}

Task<Result<http::Response>> follow_order(Call& call, OrderId id) {
  const auto& settings = call.get<Settings>();
  const auto whose = scope(call, "orders:read");
  if (!co_await store::order_version(call.db(), id, whose)) co_return refuse(not_found("order", id.text()));
  auto changed =
      call.get<Followers>().follow(id, call.caller().subject, settings.live_followers, settings.live_followers_each);
  if (!changed) co_return refuse(std::move(changed.error()));
  // As long as the token holds, ten minutes at most: a browser comes back by itself, with the last id.
  const auto token = std::chrono::floor<Duration>(call.caller().expires - call.now());
  Following following{&call.database(),
                      id,
                      whose,
                      0,
                      in(std::clamp(token, Duration{0}, Duration{600'000})),
                      Duration{settings.live_poll_ms},
                      std::move(*changed)};
  if (const auto last = call.request().headers.get("Last-Event-ID"))
    std::from_chars(last->data(), last->data() + last->size(), following.seen);
  http::Response response;
  response.headers = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}};
  response.stream = [following](http::BodyWriter& to) { return follow(following, to); };
  co_return response;
}

// The audit.

Task<Result<OfferAudit>> audit_offers(Call& call, Query<OfferQuery> query) {
  constexpr std::int64_t page = 1000;
  OfferAudit out;
  out.data = co_await store::audited_offers(call.db(), query->after.value_or(ProductId{}), page);
  if (std::ssize(out.data) == page) out.next.value = out.data.back().product_id;
  co_return out;
}

Task<Result<Audit>> audit(Call& call, Query<AuditQuery> query) {
  Audit audit;
  constexpr std::int64_t page = 1000;
  const auto orders = co_await store::orders_after(call.db(), query->after.value_or(OrderId{}), page);
  std::vector<OrderId> ids, cancelled;
  for (auto& order : orders) {
    ids.push_back(order.id);
    if (order.status == Status::cancelled) cancelled.push_back(order.id);
  }
  if (std::ssize(orders) == page) audit.next_after.value = ids.back();
  std::map<OrderId, Time> cancelled_at;
  for (auto& [order, entry] : co_await store::find_timeline(call.db(), std::move(cancelled)))
    if (entry.event == "order.cancelled") cancelled_at[order] = entry.at;
  const auto lines = co_await store::find_lines(call.db(), ids);
  auto line = lines.begin();
  for (auto& order : orders) {
    auto& audited = audit.data.emplace_back(AuditedOrder{order.id,
                                                         std::to_string(order.number),
                                                         order.status,
                                                         order.payment_status,
                                                         order.currency,
                                                         order.totals.total,
                                                         order.reason,
                                                         order.refunds_due,
                                                         order.returns,
                                                         order.placed_at,
                                                         order.updated_at,
                                                         {},
                                                         order.delivered_at,
                                                         {}});
    if (const auto at = cancelled_at.find(order.id); at != cancelled_at.end()) audited.cancelled_at = at->second;
    for (; line != lines.end() && line->order_id == order.id; ++line)
      if (line->line.requires_shipping) audited.lines.push_back({line->line.line, line->line.sku, line->line.quantity});
  }
  if (query->after) co_return audit;
  // Sums over all that ever was: not on the loop's connection, where others' short reads would wait.
  co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        for (auto& [status, count] : co_await store::count_orders(tx)) audit.orders[status] = count;
        const auto sum = co_await store::sum_stock(tx);
        audit.skus = sum.skus;
        audit.pieces = sum.pieces;
        audit.stock_faults = co_await store::stock_faults(tx);
        audit.discount_faults = co_await store::discount_faults(tx);
      },
      call.deadline());
  co_return audit;
}

}  // namespace acme::orders
