-- Which products' rows do not stand together in the file is known before the first of them is read: nothing is taken away
-- from a product of which only a part is seen. The defaults are for the program before this one.
ALTER TABLE import_products ADD COLUMN met boolean NOT NULL DEFAULT true;
ALTER TABLE import_products ADD COLUMN apart boolean NOT NULL DEFAULT false;
