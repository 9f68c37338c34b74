CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT NOT NULL);
INSERT INTO customers VALUES
  (1, 'Ada', 'Leeds'), (2, 'Bela', 'York'), (3, 'Chen', 'Leeds'), (4, 'Dora', 'Hull');

CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL);
INSERT INTO products VALUES
  (1, 'lamp', 2450), (2, 'chair', 4990), (3, 'table', 12900), (4, 'rug', 3300);

CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer INTEGER NOT NULL REFERENCES customers (id),
  product INTEGER NOT NULL REFERENCES products (id),
  pieces INTEGER NOT NULL,
  day TEXT NOT NULL
);
INSERT INTO orders VALUES
  (1, 1, 2, 4, '2024-01-05'), (2, 1, 3, 1, '2024-01-05'), (3, 2, 1, 2, '2024-02-11'),
  (4, 3, 4, 1, '2024-02-20'), (5, 3, 2, 2, '2024-03-02'), (6, 2, 4, 3, '2024-03-09');
