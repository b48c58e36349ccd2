create table people (
    id int primary key, family text, given text[], born date, sex text, race text, email text, spoken text[],
    ids jsonb, home json, kind char(4), died timestamp, seen timestamptz);
create table numbers (person int, n int, system text, value text, since date);
create table relatives (id int primary key, person int, n int, role text);
create table phones (relative int, n int, value text);
create table panels (
    id uuid primary key, person int, code text, at timestamptz, until timestamptz, state text, value numeric, unit text,
    answer text, checked boolean);
create table results (panel uuid, n int, code text, value numeric, answer text);

-- Every value meets every other, blanks and NULLs among them.
insert into people
select n,
    (array['Ng', 'Öz', 'O''Neil', null, ' '])[1 + n % 5],
    (array['{Ann,Bo}', '{}', '{Cy}', null, '{NULL," ",Di}'])[1 + n % 5]::text[],
    date '1950-01-31' + n * 700,
    (array['F', 'M', 'X', null, ''])[1 + n % 5],
    (array['white', 'asian', 'other', null])[1 + n % 4],
    (array['a@x.org', ' b@x.org ', null])[1 + n % 3],
    (array['{de}', '{de,en}', '{" fr ",NULL}', '{}', null])[1 + n % 5]::text[],
    (array['[{"sys": "urn:a", "val": "1"}, {"sys": "urn:b", "val": 2}]', '[]', '{"sys": "urn:a", "val": "9"}',
        '[{"sys": "urn:a"}, {"val": "1"}, {"sys": "urn:b", "val": "1"}]', null])[1 + n % 5]::jsonb,
    (array['{"city": "Ulm", "use": "home"}', '{"city": "Rom", "use": "work"}', '{"use": " "}', null])[1 + n % 4]::json,
    (array['in', 'out', null, 'in'])[1 + n % 4],
    case when n % 7 = 0 then timestamp '2020-01-01' + n * interval '31 hours' end,
    case n % 6 when 0 then null when 1 then 'infinity' else timestamptz '2021-01-01Z' + n * interval '31 hours' end
from generate_series(1, 24) n;
insert into numbers
select p, n, (array['tel', 'fax', 'zz', null])[1 + (p + n) % 4], (array['1', '2', null, ' 3'])[1 + (p * n) % 4],
    case when n = 2 then date '2020-01-01' + p end
from generate_series(1, 24) p, generate_series(1, 3) n where p % 3 > 0 or n = 1;
insert into relatives select p * 10 + n, p, n, (array['M', 'F', null])[1 + (p + n) % 3]
from generate_series(1, 24) p, generate_series(1, 2) n where p % 4 > 0;
insert into phones select r.id, m, (array['7', '8', null])[1 + (r.id + m) % 3]
from relatives r, generate_series(1, 2) m where r.id % 3 > 0;
insert into panels
select md5(n::text)::uuid, 1 + n % 24, (array['8480-6', '85354-9', ' 8480-6', null, 'zz'])[1 + n % 5],
    timestamptz '2022-02-28Z' + n * interval '17 hours',
    case when n % 3 = 0 then timestamptz '2022-03-03Z' + n * interval '17 hours' end,
    (array['F', 'A', 'C', null, 'q'])[1 + n % 5], (array[1.0, 5.4, null, 140, 'NaN'])[1 + n % 5],
    (array['mg', 'mmHg', null])[1 + n % 3], (array['yes', 'no', null, 'Äh, ja'])[1 + n % 4],
    (array[true, false, null])[1 + n % 3]
from generate_series(1, 40) n;
insert into results
select p.id, n, (array['8480-6', '8462-4', null])[1 + (n + length(p.code)) % 3],
    (array[120, 80, null, 5.4])[1 + (n * ascii(p.id::text)) % 4], (array['yes', 'no', null])[1 + n % 3]
from panels p, generate_series(1, 3) n where p.unit is not null;
create table vocabularies (id int primary key, name text);
create table terms (id int primary key, vocabulary int, n int, code text);
create table words (term int, n int, language text, word text);
insert into vocabularies select n, 'V' || n from generate_series(1, 8) n;
insert into terms select v * 10 + n, v, n, 'c' || n from generate_series(1, 8) v, generate_series(1, 3) n where v % 4 > 0;
insert into words
select t.id, m, (array['de', 'en', null])[1 + (t.id + m) % 3], (array['Wort', 'word', null])[1 + (t.id * m) % 3]
from terms t, generate_series(1, 2) m where t.id % 5 > 1;
