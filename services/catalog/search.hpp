#pragma once
// The port behind which products are found: PostgreSQL's full text and trigrams embedded, Elasticsearch at scale.
#include <memory>
#include <string>
#include <vector>

#include "platform/postgres/postgres.hpp"
#include "services/catalog/domain.hpp"

namespace acme::catalog {

enum class Sort { relevance, price, price_descending, newest, title };

/// Values of one dimension ("category", "vendor", "tag", "option.size"): any of them will do.
struct Filter {
  std::string dimension;
  std::vector<std::string> values;
};
struct Search {
  std::string currency;
  std::vector<std::string> words;  // as words_of() gives them
  std::vector<Filter> filters;     // each must be met
  std::optional<std::int64_t> min_price, max_price;
  std::optional<bool> in_stock;
  Sort sort = Sort::newest;  // relevance needs words
  /// The same for the same search, whatever the page: a cursor belongs to one of them.
  std::string fingerprint() const;
};

struct Hit {
  ProductId product_id;
  std::string handle, title, vendor;
  std::int64_t price_from = 0;
  std::optional<std::string> image;
  bool available = false;
  std::string key;  // its place in the sort; with the id, where the next page begins
};
BOOST_DESCRIBE_STRUCT(Hit, (), (product_id, handle, title, vendor, price_from, image, available, key))
struct Place {
  std::string key;
  ProductId id;
};

struct FacetValue {
  std::string value;
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(FacetValue, (), (value, count))
/// Exact up to 10,000 products, then a lower bound.
struct Counts {
  static constexpr std::int64_t exact = 10'000;
  std::int64_t total = 0;
  bool is_lower_bound = false;
  /// By dimension, the commonest values first (at most 50). A dimension that is filtered by counts as if it were not,
  /// so that a shopper sees what else there is to choose.
  std::map<std::string, std::vector<FacetValue>> facets;
};

struct Suggestion {
  std::string kind;  // product, category, word
  std::string text;
  std::optional<std::string> value;  // a product's handle, a category's path
};
BOOST_DESCRIBE_STRUCT(Suggestion, (), (kind, text, value))

class SearchIndex {
 public:
  virtual ~SearchIndex() = default;
  /// Makes the products findable as they stand now; those that nobody may buy are taken out. In the transaction that
  /// writes the products, whose rows are locked.
  virtual Task<> put(pg::Transaction& tx, const std::vector<Product>& products, Time now) = 0;
  virtual Task<> remove(pg::Transaction& tx, ProductId id) = 0;
  /// Looks again whether these products are in stock.
  virtual Task<> restock(pg::Transaction& tx, std::vector<ProductId> ids) = 0;
  /// Files what was put aside while products were written, so that not every search has to read it.
  virtual Task<> tidy(pg::Session& db) = 0;

  virtual Task<Counts> count(pg::Session& db, Search search) = 0;
  /// `few`: the search is known to match at most Counts::exact products.
  virtual Task<std::vector<Hit>> page(pg::Session& db, Search search, bool few, std::optional<Place> after,
                                      std::int64_t limit) = 0;
  /// The words that were probably meant; the same ones when there is nothing better.
  virtual Task<std::vector<std::string>> correct(pg::Session& db, std::vector<std::string> words) = 0;
  virtual Task<std::vector<Suggestion>> suggest(pg::Session& db, std::string currency,
                                                std::vector<std::string> words) = 0;
};

std::shared_ptr<SearchIndex> postgres_search();

}  // namespace acme::catalog
