// The catalogue every shop is given, ours too (app/bench/journey.cpp): deterministic, N products of one variant.
const A = ['Alder', 'Birch', 'Cedar', 'Dune', 'Ember', 'Fjord', 'Granite', 'Harbor', 'Iris', 'Juniper'];
const B = ['lamp', 'chair', 'kettle', 'jacket', 'speaker', 'backpack', 'notebook', 'bottle', 'watch', 'camera'];
const C = ['steel', 'oak', 'linen', 'glass', 'leather', 'cotton', 'copper', 'slate', 'wool', 'bamboo'];
const CATEGORY = ['Home', 'Kitchen', 'Outdoor', 'Office', 'Electronics'];
exports.catalog = n => Array.from({ length: n }, (_, i) => {
  const a = A[i % 10], b = B[Math.floor(i / 10) % 10], c = C[Math.floor(i / 100) % 10];
  const k = String(i).padStart(5, '0');
  return {
    title: `${a} ${c} ${b} ${k}`,
    slug: `p-${k}`,
    sku: `SKU-${k}`,
    description: `The ${a} ${b} in ${c}. Made to be used every day, easy to clean, and covered by a two-year guarantee. ` +
      `It ships in recycled packaging and can be returned within thirty days. Model ${k}, batch ${i % 37}.`,
    price: 500 + (i * 137) % 20000,   // minor units
    stock: i === 1 ? 50 : 1000000,    // product 1 is the one the oversell test sells
    category: CATEGORY[Math.floor(i / 10) % 5],
    material: c,
  };
});
// What is searched for: any kind but that of product 1, of which there are few.
exports.term = () => B[1 + Math.floor(Math.random() * (B.length - 1))];
