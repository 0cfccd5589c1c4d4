// SearchIndex on PostgreSQL. What a search costs is bounded by the functions of the migration, not by the catalogue's
// size.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "commerce/money.hpp"
#include "services/catalog/search.hpp"

namespace acme::catalog {
namespace {

using Ids = std::vector<ProductId>;
using Texts = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;

std::string joined(const Texts& list, char with) {
  std::string out;
  for (auto& text : list) {
    if (!out.empty()) out += with;
    out += text;
  }
  return out;
}
std::string words_text(std::string_view text) { return joined(words_of(text, 500), ' '); }

// The other words that a product answers to: maker, kind, tags, options, numbers.
std::string names_of(const Product& product) {
  std::set<std::string> names;
  const auto add = [&](std::string_view text) {
    for (auto& word : words_of(text, 50)) names.insert(word);
  };
  for (auto* text : {&product.vendor, &product.type, &product.category}) add(*text);
  for (auto& tag : product.tags) add(tag);
  for (auto& variant : product.variants) {
    for (auto& option : variant.options) add(option);
    add(variant.sku);
    add(variant.barcode);
  }
  std::string out;
  for (auto& name : names)
    if (out.size() < 32 * 1024) out += name + ' ';
  return out;
}

// $1–$9 the documents, one a product; $10–$12 their lowest prices; $13, $14 the categories' names.
// A product without a price in the list leaves the index.
const pg::Statement<void(Ids, Texts, Texts, Texts, std::vector<std::optional<std::string>>, Texts, Texts, Texts, Texts,
                         Ids, Texts, Numbers, Texts, Texts)>
    put_sql{"catalog.search.put", R"sql(
  WITH given AS MATERIALIZED (
    SELECT id, handle, title, vendor, image, string_to_array(terms, E'\x1f') AS terms,
           setweight(to_tsvector('catalog_stems', title_words), 'A') ||
           setweight(to_tsvector('catalog_words', title_words), 'A') ||
           setweight(to_tsvector('catalog_stems', names), 'B') ||
           setweight(to_tsvector('catalog_words', names), 'B') ||
           setweight(to_tsvector('catalog_stems', description), 'D') AS words,
           tsvector_to_array(to_tsvector('catalog_words', title_words || ' ' || plain_names)) AS spoken,
           EXISTS (SELECT FROM variants JOIN availability USING (sku)
                    WHERE variants.product_id = product.id AND level <> 'out_of_stock') AS in_stock
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                  $9::text[])
        AS product (id, handle, title, vendor, image, terms, names, description, plain_names),
           LATERAL (SELECT regexp_replace(title, '[^[:alnum:]]+', ' ', 'g') AS title_words) AS spaced
  ), prices AS (
    SELECT * FROM unnest($10::uuid[], $11::text[], $12::bigint[]) AS price (id, currency, amount)
  ), gone AS (
    DELETE FROM search
     WHERE product_id = ANY ($1) AND (product_id, currency) NOT IN (SELECT id, currency FROM prices)
    RETURNING product_id
  ), listed AS (
    INSERT INTO search (currency, product_id, handle, title, vendor, image, price_from, in_stock, terms, words)
    SELECT currency, id, handle, title, vendor, image, amount, in_stock, terms, words
      FROM given JOIN prices USING (id)
     ORDER BY currency, id
        ON CONFLICT (currency, product_id) DO UPDATE
       SET handle = EXCLUDED.handle, title = EXCLUDED.title, vendor = EXCLUDED.vendor, image = EXCLUDED.image,
           price_from = EXCLUDED.price_from, in_stock = EXCLUDED.in_stock, terms = EXCLUDED.terms,
           words = EXCLUDED.words
    RETURNING product_id
  ), spoken AS (
    INSERT INTO search_words (word)
    SELECT word
      FROM (SELECT DISTINCT unnest(spoken) COLLATE "C" AS word FROM given) AS words
     WHERE length(word) BETWEEN 2 AND 64 AND NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = words.word)
     ORDER BY word
        ON CONFLICT DO NOTHING
  ), moves AS (  -- in and out of categories; `search` is read as it was before
    SELECT path, sum(moved) AS moved
      FROM (SELECT DISTINCT id, substr(term, 10) AS path, 1 AS moved
              FROM given JOIN prices USING (id), unnest(terms) AS term
             WHERE starts_with(term, 'category:')
            UNION ALL
            SELECT DISTINCT product_id, substr(term, 10), -1
              FROM search, unnest(terms) AS term
             WHERE product_id = ANY ($1) AND starts_with(term, 'category:')) AS steps
     GROUP BY path
    HAVING sum(moved) <> 0
  )
  INSERT INTO categories (path, name, products)
  SELECT path, coalesce(name, path), moved
    FROM moves LEFT JOIN unnest($13::text[], $14::text[]) AS named (path, name) USING (path)
   ORDER BY path
      ON CONFLICT (path) DO UPDATE SET products = categories.products + EXCLUDED.products
)sql"};

const pg::Statement<void(Ids)> restock_sql{"catalog.search.restock", R"sql(
  UPDATE search SET in_stock = stock.left_over
    FROM (SELECT product_id, EXISTS (SELECT FROM variants JOIN availability USING (sku)
                                      WHERE variants.product_id = listed.product_id AND level <> 'out_of_stock') AS left_over
            FROM unnest($1::uuid[]) AS listed (product_id)) AS stock
   WHERE search.product_id = stock.product_id AND in_stock <> stock.left_over
)sql"};

// New entries wait in a list beside the index. It may grow to 4 MB, is read whole by each search, and makes the planner
// avoid the index: after an import of 1000 products each search took twice as long.
const pg::Statement<void()> tidy_sql{"catalog.search.tidy", R"sql(
  SELECT FROM unnest('{search_by_words, search_by_terms, search_words_alike}'::regclass[]) AS index
   WHERE gin_clean_pending_list(index) > 0
)sql"};

struct TermCount {
  std::string dimension, value;
  std::int64_t products = 0;
};
BOOST_DESCRIBE_STRUCT(TermCount, (), (dimension, value, products))
using MaybeNumber = std::optional<std::int64_t>;
const pg::Statement<TermCount(std::string, Texts, json::Raw, MaybeNumber, MaybeNumber, std::optional<bool>, Numbers,
                              std::optional<std::string>)>
    count_sql{"catalog.search.count", R"sql(
  SELECT dimension, value, products FROM search_counts_v1($1, $2, $3, $4, $5, $6, $7, $8)
)sql"};

const pg::Statement<Hit(std::string, Texts, json::Raw, MaybeNumber, MaybeNumber, std::optional<bool>, std::string, bool,
                        std::string, std::optional<ProductId>, std::int64_t)>
    page_sql{"catalog.search.page", R"sql(
  SELECT product_id, handle, title, vendor, price_from, image, available, key
    FROM search_page_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
)sql"};

struct Word {
  std::string plain;
  bool known = false;
  std::vector<std::string> alike;
};
BOOST_DESCRIBE_STRUCT(Word, (), (plain, known, alike))
// The last word may be unfinished. Alike is what shares trigrams, or begins with the same letter: a swap of letters in
// a short word leaves no trigram whole.
const pg::Statement<Word(Texts)> alike_sql{"catalog.search.alike", R"sql(
  SELECT plain,
         EXISTS (SELECT FROM search_words
                  WHERE word = plain
                     OR (number = cardinality($1) AND word > plain AND word < plain || chr(1114111))) AS known,
         ARRAY(SELECT word FROM search_words WHERE word % plain
               UNION
               (SELECT word FROM search_words
                 WHERE word >= left(plain, 1) AND word < left(plain, 1) || chr(1114111)
                   AND length(word) BETWEEN length(plain) - 2 AND length(plain) + 2
                 LIMIT 5000)
               ORDER BY 1) AS alike
    FROM unnest($1) WITH ORDINALITY AS given (word_given, number),
         LATERAL (SELECT lower(unaccent(word_given)) COLLATE "C" AS plain) AS form
   ORDER BY number
)sql"};

const pg::Statement<Suggestion(std::string, Texts)> suggest_sql{"catalog.search.suggest", R"sql(
  SELECT kind, suggestion AS text, value FROM search_suggest_v1($1, $2)
)sql"};

json::Raw groups_of(const std::vector<Filter>& filters) {
  std::vector<Texts> groups;
  for (auto& filter : filters) {
    auto& group = groups.emplace_back();
    for (auto& value : filter.values) group.push_back(filter.dimension + ':' + value);
  }
  return {json::text(groups)};
}

std::string sort_name(Sort sort) {
  switch (sort) {
    case Sort::relevance:
      return "relevance";
    case Sort::price:
      return "price";
    case Sort::price_descending:
      return "-price";
    case Sort::newest:
      return "newest";
    case Sort::title:
      return "title";
  }
  return "newest";
}

class PostgresSearch : public SearchIndex {
 public:
  Task<> put(pg::Transaction& tx, const std::vector<Product>& products, Time now) override {
    if (products.empty()) co_return;
    Ids ids, price_ids;
    Texts handles, titles, vendors, terms, names, descriptions, plain_names, currencies;
    std::vector<std::optional<std::string>> images;
    Numbers amounts;
    std::map<std::string, std::string> categories;
    for (auto& product : products) {
      ids.push_back(product.id);
      handles.push_back(product.handle);
      titles.push_back(product.title);
      vendors.push_back(product.vendor);
      images.push_back(product.images.empty() ? std::nullopt : std::optional{product.images.front().src});
      terms.push_back(joined(terms_of(product), '\x1f'));
      names.push_back(names_of(product));
      descriptions.push_back(product.description_html);
      plain_names.push_back(words_text(product.vendor + ' ' + product.type + ' ' + joined(product.tags, ' ')));
      for (auto& [path, name] : categories_of(product)) categories.try_emplace(path, name);
      if (product.status != Status::active) continue;
      for (auto& price : prices_from(product, now)) {
        price_ids.push_back(product.id);
        currencies.push_back(price.currency);
        amounts.push_back(price.amount);
      }
    }
    Texts paths, path_names;
    for (auto& [path, name] : categories) {
      paths.push_back(path);
      path_names.push_back(name);
    }
    co_await tx.run(put_sql, std::move(ids), std::move(handles), std::move(titles), std::move(vendors),
                    std::move(images), std::move(terms), std::move(names), std::move(descriptions),
                    std::move(plain_names), std::move(price_ids), std::move(currencies), std::move(amounts),
                    std::move(paths), std::move(path_names));
  }

  Task<> remove(pg::Transaction& tx, ProductId id) override {
    Product gone;
    gone.id = id;
    std::vector<Product> products{std::move(gone)};
    co_await put(tx, products, {});
  }

  Task<> restock(pg::Transaction& tx, std::vector<ProductId> ids) override {
    co_await tx.run(restock_sql, std::move(ids));
  }

  Task<> tidy(pg::Session& db) override { co_await db.run(tidy_sql); }

  Task<Counts> count(pg::Session& db, Search search) override {
    Counts counts;
    add(counts, co_await counted(db, search, std::nullopt), search.currency);
    if (counts.total > Counts::exact) {
      counts.total = Counts::exact;
      counts.is_lower_bound = true;
    }
    // A dimension that is filtered by, once more without its filter.
    for (std::size_t i = 0; i < search.filters.size(); ++i) {
      auto open = search;
      open.filters.erase(open.filters.begin() + static_cast<std::ptrdiff_t>(i));
      co_await recount(db, counts, std::move(open), search.filters[i].dimension);
    }
    if (search.min_price || search.max_price) {
      auto open = search;
      open.min_price = open.max_price = std::nullopt;
      co_await recount(db, counts, std::move(open), "price");
    }
    co_return counts;
  }

  Task<std::vector<Hit>> page(pg::Session& db, Search search, bool few, std::optional<Place> after,
                              std::int64_t limit) override {
    return db.all(page_sql, search.currency, search.words, groups_of(search.filters), search.min_price,
                  search.max_price, search.in_stock, sort_name(search.sort), few, after ? after->key : "",
                  after ? std::optional{after->id} : std::nullopt, limit);
  }

  Task<std::vector<std::string>> correct(pg::Session& db, std::vector<std::string> words) override {
    const auto found = co_await db.all(alike_sql, words);
    for (std::size_t i = 0; i < words.size() && i < found.size(); ++i)
      if (!found[i].known) words[i] = closest(found[i].plain, found[i].alike).value_or(words[i]);
    co_return words;
  }

  Task<std::vector<Suggestion>> suggest(pg::Session& db, std::string currency,
                                        std::vector<std::string> words) override {
    return db.all(suggest_sql, std::move(currency), std::move(words));
  }

 private:
  static Task<std::vector<TermCount>> counted(pg::Session& db, const Search& search,
                                              std::optional<std::string> dimension) {
    return db.all(count_sql, search.currency, search.words, groups_of(search.filters), search.min_price,
                  search.max_price, search.in_stock, price_edges(decimals(search.currency).value_or(2)), dimension);
  }
  static Task<> recount(pg::Session& db, Counts& counts, Search open, std::string dimension) {
    Counts fresh;
    add(fresh, co_await counted(db, open, dimension), open.currency);
    counts.facets[dimension] = std::move(fresh.facets[dimension]);
  }
  static void add(Counts& to, const std::vector<TermCount>& rows, const std::string& currency) {
    const auto edges = price_edges(decimals(currency).value_or(2));
    for (auto& row : rows) {
      if (row.dimension.empty()) {
        to.total = row.products;
      } else if (row.dimension == "price") {
        std::size_t bucket = 0;
        std::from_chars(row.value.data(), row.value.data() + row.value.size(), bucket);
        to.facets["price"].push_back({price_bucket(edges, bucket), row.products});
      } else {
        to.facets[row.dimension].push_back({row.value, row.products});
      }
    }
  }
};

}  // namespace

std::string Search::fingerprint() const {
  std::string text = currency + '\n' + joined(words, ' ') + '\n' + sort_name(sort) + '\n' + groups_of(filters).text;
  for (auto& bound : {min_price, max_price}) text += '\n' + (bound ? std::to_string(*bound) : "");
  text += in_stock ? *in_stock ? "\nyes" : "\nno" : "\n";
  return catalog::fingerprint(text);
}

std::shared_ptr<SearchIndex> postgres_search() { return std::make_shared<PostgresSearch>(); }

}  // namespace acme::catalog
