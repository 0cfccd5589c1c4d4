#include "services/catalog/api.hpp"

#include <charconv>
#include <set>

#include "platform/runtime/runtime.hpp"
#include "platform/security/crypto.hpp"
#include "services/catalog/changes.hpp"
#include "services/catalog/html.hpp"
#include "services/catalog/service.hpp"

namespace acme::catalog {
namespace {

std::string currency_of(const Call& call, const std::optional<Currency>& asked) {
  return asked ? asked->code : call.get<Settings>().currency.code;
}

std::optional<Sort> sort_named(std::string_view name) {
  if (name == "relevance") return Sort::relevance;
  if (name == "price") return Sort::price;
  if (name == "-price") return Sort::price_descending;
  if (name == "newest") return Sort::newest;
  if (name == "title") return Sort::title;
  return std::nullopt;
}

Result<Search> search_of(const Call& call, const ListQuery& query) {
  Search search;
  Faults faults;
  search.currency = currency_of(call, query.currency);
  if (query.q) search.words = words_of(query.q->value);
  const auto filter = [&](std::string dimension, const std::vector<std::string>& values) {
    if (values.empty()) return;
    if (values.size() > 50) faults.push_back({"?" + dimension, "must be given at most 50 times"});
    search.filters.push_back({std::move(dimension), values});
  };
  filter("category", query.category);
  filter("vendor", query.vendor);
  filter("tag", query.tag);
  for (auto& [name, values] : query.option) filter("option." + option_key(name), values);
  if (query.option.size() > 10) faults.push_back({"?option", "must name at most 10 options"});
  for (auto& each : search.filters)
    for (auto& value : each.values)
      if (value.size() > 512) faults.push_back({"?" + each.dimension, "must have at most 512 bytes"});
  if (query.min_price) search.min_price = query.min_price->value;
  if (query.max_price) search.max_price = query.max_price->value;
  search.in_stock = query.in_stock;
  const auto sort = query.sort ? sort_named(*query.sort) : Sort::relevance;
  if (!sort) faults.push_back({"?sort", "must be one of: relevance, price, -price, newest, title"});
  // Without words nothing is more relevant than the rest.
  search.sort = sort == Sort::relevance && search.words.empty() ? Sort::newest : sort.value_or(Sort::newest);
  if (!faults.empty()) return refuse(invalid(std::move(faults)));
  return search;
}

/// Where a page begins. It belongs to one search, and carries that one's total, so that later pages need not count.
struct Cursor {
  std::string search, key;
  ProductId id;
  std::int64_t total = 0;
  bool is_lower_bound = false;
  std::vector<std::string> corrected;
};
BOOST_DESCRIBE_STRUCT(Cursor, (), (search, key, id, total, is_lower_bound, corrected))

std::optional<Cursor> parse_cursor(const std::string& text, const Search& search) {
  const auto bytes = security::parse_base64url(text);
  if (!bytes) return std::nullopt;
  auto cursor = json::parse<Cursor>(*bytes);
  if (!cursor || cursor->search != search.fingerprint()) return std::nullopt;
  if (cursor->corrected.size() > 8 || cursor->total < 0) return std::nullopt;
  for (auto& word : cursor->corrected)
    if (words_of(word) != std::vector{word}) return std::nullopt;
  const auto& key = cursor->key;
  if (search.sort == Sort::title) {
    if (key.size() > 1000 || key.find('\0') != std::string::npos) return std::nullopt;
  } else if (search.sort != Sort::newest) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (error != std::errc{} || end != key.data() + key.size()) return std::nullopt;
  }
  return std::move(*cursor);
}

Task<Counts> counted(Call& call, Search search) {
  auto& cache = call.get<Pages>().counts;
  const auto key = search.fingerprint();
  if (auto kept = cache.find(key, call.now())) co_return *kept;
  const auto generation = cache.generation();
  auto counts = std::make_shared<Counts>(co_await call.get<SearchIndex>().count(call.db(), std::move(search)));
  cache.keep(key, generation, counts, call.now());
  co_return *counts;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

http::Response answer(const std::string& json, const std::string& etag) {
  http::Response response;
  response.headers.set("Content-Type", "application/json");
  response.headers.set("ETag", etag);
  response.body = json;
  return response;
}

/// The page that is kept under the key, or one made now, and kept. Without a key it is nobody else's. Key and `make`
/// outlive the task.
template <typename Make>
Task<Result<http::Response>> kept(Call& call, Cache<Pages::Page>& cache, const std::string* key, const Make& make) {
  if (key)
    if (auto page = cache.find(*key, call.now())) co_return answer(page->json, page->etag);
  const auto generation = cache.generation();
  Result<Pages::Page> made = co_await make();
  if (!made) co_return refuse(std::move(made.error()));
  const auto page = std::make_shared<Pages::Page>(std::move(*made));
  if (key) cache.keep(*key, generation, page, call.now());
  co_return answer(page->json, page->etag);
}

Task<Result<ProductList>> searched(Call& call, const ListQuery& query) {
  auto search = search_of(call, query);
  if (!search) co_return refuse(std::move(search.error()));
  const auto fingerprint = search->fingerprint();
  auto& index = call.get<SearchIndex>();
  ProductList list;
  std::optional<Place> after;
  std::vector<std::string> corrected;
  if (query.cursor) {
    auto cursor = parse_cursor(query.cursor->value, *search);
    if (!cursor) co_return refuse(invalid("?cursor", "is not a cursor of this search; begin without one"));
    after = {cursor->key, cursor->id};
    list.total = cursor->total;
    list.total_is_lower_bound = cursor->is_lower_bound;
    corrected = std::move(cursor->corrected);
    if (!corrected.empty()) search->words = corrected;
  } else {
    auto counts = co_await counted(call, *search);
    if (counts.total == 0 && !search->words.empty()) {
      auto words = co_await index.correct(call.db(), search->words);
      if (words != search->words) {
        corrected = search->words = std::move(words);
        counts = co_await counted(call, *search);
      }
    }
    list.facets = std::move(counts.facets);
    list.total = counts.total;
    list.total_is_lower_bound = counts.is_lower_bound;
  }
  if (!corrected.empty() && list.total > 0) list.corrected = joined(corrected);

  const auto limit = query.limit.value;
  auto hits = co_await index.page(call.db(), *search, !list.total_is_lower_bound, std::move(after), limit + 1);
  const bool more = std::ssize(hits) > limit;
  if (more) hits.pop_back();
  if (more)
    list.next_cursor.value =
        security::base64url(json::text(Cursor{fingerprint, hits.back().key, hits.back().product_id, list.total,
                                              list.total_is_lower_bound, std::move(corrected)}));
  for (auto& hit : hits)
    list.data.push_back({hit.product_id,
                         std::move(hit.handle),
                         std::move(hit.title),
                         std::move(hit.vendor),
                         {hit.price_from, search->currency},
                         {std::move(hit.image)},
                         hit.available});
  co_return list;
}

}  // namespace

Task<Result<http::Response>> list_products(Call& call, Query<ListQuery> query) {
  const auto make = [&]() -> Task<Result<Pages::Page>> {
    const auto list = co_await searched(call, *query);
    if (!list) co_return refuse(list.error());
    auto json = json::text(*list);
    auto etag = '"' + fingerprint(json) + '"';
    co_return Pages::Page{std::move(json), std::move(etag)};
  };
  const auto& target = call.request().target;
  co_return co_await kept(call, call.get<Pages>().lists, target.size() <= 500 ? &target : nullptr, make);
}

namespace {

constexpr const char* write_scope = "catalog:write";

ProductView view_of(const Product& product, const std::string& currency, const std::vector<std::string>& in_stock,
                    bool staff, Time now, const std::vector<PastPrice>& history) {
  ProductView view;
  view.id = product.id;
  view.handle = product.handle;
  view.title = product.title;
  view.description_html = product.description_html;
  view.vendor = product.vendor;
  view.type = product.type;
  view.tags = product.tags;
  view.status = product.status;
  view.images = product.images;
  view.categories = categories_of(product);
  view.seo_title = product.seo_title;
  view.seo_description = product.seo_description;
  view.version = product.version;
  view.created_at = product.created_at;
  view.updated_at = product.updated_at;
  for (std::size_t i = 0; i < product.options.size(); ++i) {
    auto& option = view.options.emplace_back(OptionView{product.options[i], {}});
    for (auto& variant : product.variants)
      if (std::ranges::find(option.values, variant.options.at(i)) == option.values.end())
        option.values.push_back(variant.options[i]);
  }
  for (auto& price : prices_from(product, now))
    if (price.currency == currency) view.price_from.value = Money{price.amount, currency};
  for (auto& variant : product.variants) {
    auto& shown = view.variants.emplace_back();
    shown.id = variant.id;
    shown.sku = variant.sku;
    shown.title = variant_title(variant);
    for (std::size_t i = 0; i < product.options.size(); ++i) shown.options[product.options[i]] = variant.options[i];
    shown.weight_grams = variant.weight_grams;
    shown.requires_shipping = variant.requires_shipping;
    shown.barcode = variant.barcode;
    if (!variant.image.empty()) shown.image.value = variant.image;
    const auto known = std::ranges::find(variant.prices, currency, &Price::currency);
    if (known != variant.prices.end()) {
      const auto price = price_at(*known, now);
      shown.price.value = Money{price.amount, currency};
      if (price.compare_at) {
        shown.compare_at_price.value = Money{*price.compare_at, currency};
        std::vector<PriceSpan> own;
        for (auto& past : history)
          if (past.variant_id == variant.id) own.push_back(past.span);
        if (const auto lowest = lowest_before_reduction(own, now)) shown.lowest_price_30_days = {*lowest, currency};
      }
      if (known->sale && price.amount == known->sale->amount) shown.sale_until = known->sale->until;
    }
    shown.available = shown.price.value && std::ranges::find(in_stock, variant.sku) != in_stock.end();
    view.in_stock = view.in_stock || shown.available;
    if (!staff) continue;
    auto& prices = shown.prices.emplace();
    for (auto& each : variant.prices) prices.push_back({each.currency, each.amount, each.compare_at, each.sale});
    shown.taxable = variant.taxable;
    shown.tax_code = variant.tax_code;
  }
  return view;
}

/// The product as it is shown now.
Task<ProductView> shown(const Call& call, pg::Session& db, const Product& product, std::string currency, bool staff) {
  std::vector<std::string> skus;
  bool reduced = false;
  for (auto& variant : product.variants) {
    skus.push_back(variant.sku);
    for (auto& price : variant.prices)
      reduced = reduced || (price.currency == currency && price_at(price, call.now()).compare_at);
  }
  const auto stocked = co_await available(db, std::move(skus));
  std::vector<PastPrice> history;
  if (reduced) history = co_await price_history(db, product.id, currency);
  co_return view_of(product, currency, stocked, staff, call.now(), history);
}

/// The version and, after a point, what is shown beside it: a sale gives the answer another tag, and the version in it
/// stays good for If-Match.
std::string tag_of(const ProductView& view, const std::string& json) {
  return '"' + std::to_string(view.version) + '.' + fingerprint(json) + '"';
}

/// The version that If-Match names: "7" or "7.…"; nothing for "*". 428 without one.
Result<std::optional<std::int64_t>> expected_version(const Call& call) {
  const auto header = call.request().headers.get("If-Match");
  if (!header)
    return refuse(
        {428, "precondition_required", "Say which version you change: send the ETag that you read as If-Match."});
  if (*header == "*") return std::optional<std::int64_t>{};
  std::int64_t version = 0;
  const bool quoted = header->size() > 2 && header->front() == '"' && header->back() == '"';
  const auto [end, error] =
      std::from_chars(header->data() + (quoted ? 1 : 0), header->data() + header->size(), version);
  if (!quoted || error != std::errc{} || (*end != '"' && *end != '.'))
    return refuse({412, "precondition_failed", "If-Match names no version of this product; read it again."});
  return std::optional{version};
}
Problem stale(std::int64_t version) {
  return {412, "precondition_failed",
          "The product was changed meanwhile: it is at version " + std::to_string(version) + ". Read it again."};
}

// Off the loop, and before anything is locked: a text that is made to be tangled takes long.
template <typename Request>
Task<Faults> clean_description(Request& request) {
  if (!request.description_html) co_return Faults{};
  auto& text = request.description_html->value;
  auto clean = co_await blocking([&text] { return sanitise(text); });
  if (!clean) co_return Faults{{"/description_html", "is too tangled to be read"}};
  text = std::move(*clean);
  co_return Faults{};
}

template <typename Request>
void apply(Product& product, const Request& request) {
  const auto take = [](const auto& from, std::string& to) {
    if (from) to = from->value;
  };
  take(request.handle, product.handle);
  take(request.vendor, product.vendor);
  take(request.type, product.type);
  take(request.seo_title, product.seo_title);
  take(request.seo_description, product.seo_description);
  take(request.description_html, product.description_html);
  if (request.tags) product.tags.assign(request.tags->begin(), request.tags->end());
  if (request.status) product.status = *request.status;
  if (request.options) product.options.assign(request.options->begin(), request.options->end());
  if (request.images) {
    product.images.clear();
    for (auto& image : *request.images) product.images.push_back({image.src, image.alt ? image.alt->value : ""});
  }
}

void apply(Variant& variant, const VariantInput& input) {
  const auto take = [](const auto& from, auto& to) {
    if (from) to = *from;
  };
  take(input.sku, variant.sku);
  take(input.barcode, variant.barcode);
  take(input.tax_code, variant.tax_code);
  take(input.image, variant.image);
  take(input.weight_grams, variant.weight_grams);
  take(input.requires_shipping, variant.requires_shipping);
  take(input.taxable, variant.taxable);
  if (input.options) variant.options.assign(input.options->begin(), input.options->end());
  if (!input.prices) return;
  variant.prices.clear();
  for (auto& price : *input.prices)
    variant.prices.push_back(
        {price.currency.code, price.amount.value,
         price.compare_at_amount ? std::optional{price.compare_at_amount->value} : std::nullopt,
         price.sale.transform([](auto& sale) { return Sale{sale.amount, sale.from, sale.until}; })});
}

void apply(Call& call, Product& product, const std::vector<VariantInput>& inputs, Faults& faults) {
  std::vector<Variant> variants;
  std::set<VariantId> taken;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto known = product.variants.end();
    if (inputs[i].id)
      known = std::ranges::find(product.variants, *inputs[i].id, &Variant::id);
    else if (inputs[i].sku)
      known = std::ranges::find(product.variants, inputs[i].sku->value, &Variant::sku);
    if (inputs[i].id && known == product.variants.end())
      faults.push_back({"/variants/" + std::to_string(i) + "/id", "is no variant of this product"});
    auto& variant = variants.emplace_back(known == product.variants.end() ? Variant{} : *known);
    if (known == product.variants.end()) variant.id = call.new_id<VariantId>();
    if (!taken.insert(variant.id).second) faults.push_back({"/variants/" + std::to_string(i), "is there twice"});
    apply(variant, inputs[i]);
  }
  product.variants = std::move(variants);
}

/// Checks the rules, and that no other product has one of the SKUs.
Task<Result<void>> check(pg::Transaction& tx, const Product& product, Faults faults) {
  for (auto& fault : faults_of(product)) faults.push_back(std::move(fault));
  if (!faults.empty()) co_return refuse(invalid(std::move(faults)));
  std::vector<std::string> skus;
  for (auto& variant : product.variants) skus.push_back(variant.sku);
  for (auto& owner : co_await owners(tx, std::move(skus)))
    if (owner.product_id != product.id)
      co_return refuse(conflict("sku_taken", "The SKU " + owner.sku + " belongs to another product."));
  const auto namesake = co_await find_handle(tx, product.handle);
  if (namesake && *namesake != product.id)
    co_return refuse(conflict("handle_taken", "Another product has the handle " + product.handle + "."));
  co_return Result<void>{};
}

/// Two requests that want the same name at the same moment: the constraint decides.
std::optional<Problem> taken(const pg::Error& error) {
  if (error.state != "23505") return std::nullopt;
  if (error.constraint == "products_handle_key") return conflict("handle_taken", "Another product has this handle.");
  if (error.constraint == "variants_sku_key")
    return conflict("sku_taken", "One of the SKUs belongs to another product.");
  return std::nullopt;
}

}  // namespace

Task<Result<http::Response>> show_product(Call& call, std::string id_or_handle, Query<CurrencyQuery> query) {
  const bool staff = call.staff_for(write_scope);
  const auto currency = currency_of(call, query->currency);
  const auto make = [&]() -> Task<Result<Pages::Page>> {
    auto id = ProductId::parse(id_or_handle);
    if (!id) id = co_await find_handle(call.db(), id_or_handle);
    if (!id) co_return refuse(not_found("product", id_or_handle));
    auto found = co_await load(call.db(), std::vector<ProductId>(1, *id));
    // Drafts are staff's alone.
    if (found.empty() || (found[0].status != Status::active && !staff))
      co_return refuse(not_found("product", id_or_handle));
    const auto view = co_await shown(call, call.db(), found[0], currency, staff);
    auto json = json::text(view);
    auto etag = tag_of(view, json);
    co_return Pages::Page{std::move(json), std::move(etag)};
  };
  const auto key = currency + ' ' + id_or_handle;
  co_return co_await kept(call, call.get<Pages>().products, staff ? nullptr : &key, make);
}

Task<Result<http::Response>> create_product(Call& call, CreateProduct request) {
  const auto unclean = co_await clean_description(request);
  Result<http::Response> response;
  try {
    response = co_await call.once([&](pg::Transaction& tx) -> Task<Result<http::Response>> {
      Product product;
      Faults faults = unclean;
      product.id = call.new_id<ProductId>();
      product.title = request.title;
      apply(product, request);
      if (product.handle.empty()) product.handle = slug(product.title);
      if (product.handle.empty()) product.handle = product.id.text().substr(4);
      product.variants.clear();
      apply(call, product, request.variants.value, faults);
      normalise(product);
      product.version = 1;
      product.created_at = product.updated_at = call.now();
      if (auto good = co_await check(tx, product, std::move(faults)); !good) co_return refuse(std::move(good.error()));
      std::vector<Product> products(1, product);
      co_await store(call, tx, std::move(products));
      const auto view = co_await shown(call, tx, product, currency_of(call, std::nullopt), true);
      auto created = render(view);
      created.status = 201;
      created.headers.set("ETag", tag_of(view, created.body));
      created.headers.set("Location", "/v1/products/" + product.id.text());
      co_return created;
    });
  } catch (const pg::Error& error) {
    auto problem = taken(error);
    if (!problem) throw;
    co_return refuse(std::move(*problem));
  }
  call.get<Pages>().clear();
  co_return response;
}

Task<Result<ProductView>> change_product(Call& call, ProductId id, ChangeProduct request) {
  auto expected = expected_version(call);
  if (!expected) co_return refuse(std::move(expected.error()));
  const auto unclean = co_await clean_description(request);
  Result<ProductView> changed;
  try {
    changed = co_await call.database().transaction(
        [&](pg::Transaction& tx) -> Task<Result<ProductView>> {
          tx.traceparent = call.traceparent();
          auto found = co_await lock(tx, std::vector<ProductId>(1, id));
          if (found.empty()) co_return refuse(not_found("product", id.text()));
          const Product& before = found[0];
          if (*expected && **expected != before.version) co_return refuse(stale(before.version));
          Product product = before;
          Faults faults = unclean;
          if (request.title) product.title = request.title->value;
          apply(product, request);
          if (request.variants) apply(call, product, request.variants->value, faults);
          normalise(product);
          if (auto good = co_await check(tx, product, std::move(faults)); !good)
            co_return refuse(std::move(good.error()));
          if (product != before) {
            ++product.version;
            product.updated_at = call.now();
            std::vector<Product> products(1, product);
            co_await store(call, tx, std::move(products));
          }
          co_return co_await shown(call, tx, product, currency_of(call, std::nullopt), true);
        },
        call.deadline());
  } catch (const pg::Error& error) {
    auto problem = taken(error);
    if (!problem) throw;
    co_return refuse(std::move(*problem));
  }
  call.get<Pages>().clear();
  if (changed) call.answer_header("ETag", tag_of(*changed, json::text(*changed)));
  co_return changed;
}

Task<Result<PriceHistory>> show_price_history(Call& call, ProductId id, Query<CurrencyQuery> query) {
  const auto found = co_await load(call.db(), std::vector<ProductId>(1, id));
  if (found.empty()) co_return refuse(not_found("product", id.text()));
  PriceHistory history;
  for (auto& [variant, span] :
       co_await price_history(call.db(), id, query->currency.transform([](auto& currency) { return currency.code; })))
    history.data.push_back({variant, span.price.currency, span.price.amount, span.price.compare_at, span.price.sale,
                            span.since, span.until});
  co_return history;
}

Task<Result<NoContent>> delete_product(Call& call, ProductId id) {
  auto expected = expected_version(call);
  if (!expected) co_return refuse(std::move(expected.error()));
  auto deleted = co_await call.database().transaction(
      [&](pg::Transaction& tx) -> Task<Result<NoContent>> {
        tx.traceparent = call.traceparent();
        auto found = co_await lock(tx, std::vector<ProductId>(1, id));
        if (found.empty()) co_return refuse(not_found("product", id.text()));
        if (*expected && **expected != found[0].version) co_return refuse(stale(found[0].version));
        co_await remove(call, tx, std::move(found[0]));
        co_return NoContent{};
      },
      call.deadline());
  call.get<Pages>().clear();
  co_return deleted;
}

static std::string children_of(const std::vector<CategoryCount>& all, const std::string& parent) {
  std::vector<CategoryView> children;
  for (auto& each : all)
    if (each.path.size() > parent.size() && each.path.starts_with(parent) && each.path[parent.size()] == '/' &&
        each.path.find('/', parent.size() + 1) == std::string::npos)
      children.push_back({each.path, each.name, each.products, {children_of(all, each.path)}});
  return json::text(children);
}

Task<Result<CategoryTree>> list_categories(Call& call) {
  const auto all = co_await categories(call.db());
  // Paths to what is right below them: one pass, the tree is as large as its text.
  std::map<std::string, std::vector<CategoryCount>> below;
  for (auto& each : all) below[each.path.substr(0, each.path.find('/'))].push_back(each);
  CategoryTree tree;
  for (auto& each : all)
    if (each.path.find('/') == std::string::npos)
      tree.data.push_back({each.path, each.name, each.products, {children_of(below[each.path], each.path)}});
  co_return tree;
}

Task<Result<Suggestions>> suggest(Call& call, Query<SuggestQuery> query) {
  if (query->q.value.empty()) co_return refuse(invalid("?q", "is required"));
  Suggestions out;
  auto words = words_of(query->q.value);
  if (words.empty()) co_return out;
  const auto currency = currency_of(call, query->currency);
  auto& index = call.get<SearchIndex>();
  out.data = co_await index.suggest(call.db(), currency, words);
  if (!out.data.empty()) co_return out;
  auto corrected = co_await index.correct(call.db(), words);
  if (corrected == words) co_return out;
  out.corrected = joined(corrected);
  out.data = co_await index.suggest(call.db(), currency, std::move(corrected));
  co_return out;
}

Task<Result<AuditView>> audit(Call& call, Query<AuditQuery> query) {
  AuditView out;
  out.data = co_await audited_products(call.db(), query->after.value_or(ProductId{}), query->limit);
  if (std::ssize(out.data) >= query->limit.value) out.next.value = out.data.back().product_id;
  if (!query->after) out.counts = co_await count(call.db());
  co_return out;
}

}  // namespace acme::catalog
