#pragma once
// What callers send and see. A test compares these types with contracts/openapi/catalog.yaml.
#include "commerce/money.hpp"
#include "platform/service.hpp"
#include "services/catalog/domain.hpp"
#include "services/catalog/search.hpp"
#include "services/catalog/store.hpp"

namespace acme::catalog {

struct ListQuery {
  std::optional<Text<200>> q;
  std::vector<std::string> category, vendor, tag;
  std::map<std::string, std::vector<std::string>> option;  // option.size=L
  std::optional<Between<0, 1'000'000'000'000>> min_price, max_price;
  std::optional<bool> in_stock;
  std::optional<std::string> sort;
  std::optional<Currency> currency;
  Between<1, 100> limit{20};
  std::optional<Text<2000>> cursor;
};
BOOST_DESCRIBE_STRUCT(ListQuery, (),
                      (q, category, vendor, tag, option, min_price, max_price, in_stock, sort, currency, limit, cursor))

struct ListedProduct {
  ProductId id;
  std::string handle, title, vendor;
  Money price_from;
  json::Nullable<std::string> image;
  bool in_stock = false;
};
BOOST_DESCRIBE_STRUCT(ListedProduct, (), (id, handle, title, vendor, price_from, image, in_stock))
struct ProductList {
  std::vector<ListedProduct> data;
  std::optional<std::map<std::string, std::vector<FacetValue>>> facets;  // on the first page
  std::int64_t total = 0;
  bool total_is_lower_bound = false;
  std::optional<std::string> corrected;  // what was searched for instead, when nothing was found
  json::Nullable<std::string> next_cursor;
};
BOOST_DESCRIBE_STRUCT(ProductList, (), (data, facets, total, total_is_lower_bound, corrected, next_cursor))
Task<Result<http::Response>> list_products(Call& call, Query<ListQuery> query);

struct CurrencyQuery {
  std::optional<Currency> currency;
};
BOOST_DESCRIBE_STRUCT(CurrencyQuery, (), (currency))

struct VariantView {
  struct PriceView {
    std::string currency;
    std::int64_t amount = 0;
    std::optional<std::int64_t> compare_at_amount;
    std::optional<Sale> sale;
  };
  VariantId id;
  std::string sku, title;
  std::map<std::string, std::string> options;
  json::Nullable<Money> price, compare_at_price;
  std::optional<Money> lowest_price_30_days;  // before the reduction, of a reduced price
  std::optional<Time> sale_until;
  std::int64_t weight_grams = 0;
  bool requires_shipping = true;
  bool available = false;
  std::string barcode;
  json::Nullable<std::string> image;
  // For staff.
  std::optional<std::vector<PriceView>> prices;
  std::optional<bool> taxable;
  std::optional<std::string> tax_code;
};
BOOST_DESCRIBE_STRUCT(VariantView::PriceView, (), (currency, amount, compare_at_amount, sale))
BOOST_DESCRIBE_STRUCT(VariantView, (),
                      (id, sku, title, options, price, compare_at_price, lowest_price_30_days, sale_until, weight_grams,
                       requires_shipping, available, barcode, image, prices, taxable, tax_code))
struct OptionView {
  std::string name;
  std::vector<std::string> values;
};
BOOST_DESCRIBE_STRUCT(OptionView, (), (name, values))
struct ProductView {
  ProductId id;
  std::string handle, title, description_html, vendor, type;
  std::vector<std::string> tags;
  Status status = Status::active;
  std::vector<OptionView> options;
  std::vector<VariantView> variants;
  std::vector<Image> images;
  std::vector<Category> categories;
  json::Nullable<Money> price_from;
  bool in_stock = false;
  std::string seo_title, seo_description;
  std::int64_t version = 0;
  Time created_at{}, updated_at{};
};
BOOST_DESCRIBE_STRUCT(ProductView, (),
                      (id, handle, title, description_html, vendor, type, tags, status, options, variants, images,
                       categories, price_from, in_stock, seo_title, seo_description, version, created_at, updated_at))
Task<Result<http::Response>> show_product(Call& call, std::string id_or_handle, Query<CurrencyQuery> query);

/// What a price was and is, of each variant and currency the oldest first.
struct PriceHistory {
  struct Entry {
    VariantId variant_id;
    std::string currency;
    std::int64_t amount = 0;
    std::optional<std::int64_t> compare_at_amount;
    std::optional<Sale> sale;
    Time since{};
    std::optional<Time> until;
  };
  std::vector<Entry> data;
};
BOOST_DESCRIBE_STRUCT(PriceHistory::Entry, (), (variant_id, currency, amount, compare_at_amount, sale, since, until))
BOOST_DESCRIBE_STRUCT(PriceHistory, (), (data))
Task<Result<PriceHistory>> show_price_history(Call& call, ProductId id, Query<CurrencyQuery> query);

struct SaleInput {
  Between<0, 99'999'999'000> amount;
  std::optional<Time> from, until;  // from, and until before
};
BOOST_DESCRIBE_STRUCT(SaleInput, (), (amount, from, until))
struct PriceInput {
  Between<0, 99'999'999'000> amount;
  Currency currency;
  std::optional<Between<1, 99'999'999'000>> compare_at_amount;
  std::optional<SaleInput> sale;
};
BOOST_DESCRIBE_STRUCT(PriceInput, (), (amount, currency, compare_at_amount, sale))
struct ImageInput {
  Text<2048, 1> src;
  std::optional<Text<512>> alt;
};
BOOST_DESCRIBE_STRUCT(ImageInput, (), (src, alt))
/// One that names an `id` or `sku` of the product is changed, another is new; what is left out stays as it is.
struct VariantInput {
  std::optional<VariantId> id;
  std::optional<Text<64, 1>> sku;
  std::optional<List<Text<255, 1>, 3>> options;
  std::optional<List<PriceInput, 150>> prices;
  std::optional<Text<255>> barcode;
  std::optional<Between<0, 10'000'000>> weight_grams;
  std::optional<bool> requires_shipping, taxable;
  std::optional<Text<255>> tax_code;
  std::optional<Text<2048>> image;
};
BOOST_DESCRIBE_STRUCT(VariantInput, (),
                      (id, sku, options, prices, barcode, weight_grams, requires_shipping, taxable, tax_code, image))
struct ChangeProduct {
  std::optional<Text<255, 1>> handle, title;
  std::optional<Text<262'144>> description_html;
  std::optional<Text<255>> vendor, type;
  std::optional<List<Text<255, 1>, 250>> tags;
  std::optional<Status> status;
  std::optional<List<Text<50, 1>, 3>> options;
  std::optional<List<VariantInput, 2048, 1>> variants;  // all of them: those left out are gone
  std::optional<List<ImageInput, 250>> images;
  std::optional<Text<255>> seo_title;
  std::optional<Text<2000>> seo_description;
};
BOOST_DESCRIBE_STRUCT(ChangeProduct, (),
                      (handle, title, description_html, vendor, type, tags, status, options, variants, images,
                       seo_title, seo_description))
struct CreateProduct {
  Text<255, 1> title;
  std::optional<Text<255, 1>> handle;
  std::optional<Text<262'144>> description_html;
  std::optional<Text<255>> vendor, type;
  std::optional<List<Text<255, 1>, 250>> tags;
  std::optional<Status> status;
  std::optional<List<Text<50, 1>, 3>> options;
  List<VariantInput, 2048, 1> variants;
  std::optional<List<ImageInput, 250>> images;
  std::optional<Text<255>> seo_title;
  std::optional<Text<2000>> seo_description;
};
BOOST_DESCRIBE_STRUCT(CreateProduct, (),
                      (title, handle, description_html, vendor, type, tags, status, options, variants, images,
                       seo_title, seo_description))
Task<Result<http::Response>> create_product(Call& call, CreateProduct request);
Task<Result<ProductView>> change_product(Call& call, ProductId id, ChangeProduct request);
Task<Result<NoContent>> delete_product(Call& call, ProductId id);

/// A tree: `children` holds nodes like this one.
struct CategoryView {
  std::string path, name;
  std::int64_t products = 0;
  json::Raw children;
};
BOOST_DESCRIBE_STRUCT(CategoryView, (), (path, name, products, children))
struct CategoryTree {
  std::vector<CategoryView> data;
};
BOOST_DESCRIBE_STRUCT(CategoryTree, (), (data))
Task<Result<CategoryTree>> list_categories(Call& call);

struct SuggestQuery {
  Text<200, 1> q;
  std::optional<Currency> currency;
};
BOOST_DESCRIBE_STRUCT(SuggestQuery, (), (q, currency))
struct Suggestions {
  std::vector<Suggestion> data;
  std::optional<std::string> corrected;
};
BOOST_DESCRIBE_STRUCT(Suggestions, (), (data, corrected))
Task<Result<Suggestions>> suggest(Call& call, Query<SuggestQuery> query);

struct AuditQuery {
  std::optional<ProductId> after;
  Between<1, 1000> limit{1000};
};
BOOST_DESCRIBE_STRUCT(AuditQuery, (), (after, limit))
struct AuditView {
  std::vector<AuditedProduct> data;
  json::Nullable<ProductId> next;  // for ?after=
  std::optional<Audit> counts;     // on the first page
};
BOOST_DESCRIBE_STRUCT(AuditView, (), (data, next, counts))
Task<Result<AuditView>> audit(Call& call, Query<AuditQuery> query);

}  // namespace acme::catalog
