-- Inserts, indices, joins, aggregates, text and floats; all in memory.
CREATE TABLE part(id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, weight REAL);
CREATE TABLE stock(part INTEGER, place INTEGER, count INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<12000)
  INSERT INTO part SELECT i, i*7919%97, printf('part-%05d-%x', i*31%12007, i*i), i*0.37+1.0/i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<24000)
  INSERT INTO stock SELECT i*5003%12000+1, i%13, i*i%101 FROM n;
COMMIT;
CREATE INDEX part_name ON part(name);
CREATE INDEX stock_part ON stock(part);
SELECT kind, count(*), round(sum(weight),6), min(name), max(name) FROM part GROUP BY kind ORDER BY kind;
SELECT place, sum(count), count(DISTINCT kind), round(avg(weight*count),6)
  FROM stock JOIN part ON part.id=stock.part GROUP BY place ORDER BY place;
SELECT count(*), sum(length(replace(name,'1','one'))) FROM part WHERE name LIKE '%7%f%' OR name GLOB 'part-0*a?';
UPDATE part SET weight=weight*1.01, name=upper(name) WHERE kind%3=0;
DELETE FROM stock WHERE count%10=7;
SELECT name, total(count) AS sum FROM part LEFT JOIN stock ON part.id=stock.part GROUP BY name ORDER BY sum DESC, name LIMIT 40;
SELECT hex(substr(group_concat(name), 1, 300)), round(sum(weight),6) FROM (SELECT * FROM part ORDER BY name DESC);
