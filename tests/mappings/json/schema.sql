create table patient (id int primary key, addr jsonb, phones json, tags jsonb, ext jsonb);
insert into patient values
    (1, '{"city": "Köln", "zip": 50667, "deep": {"er": "x"}, "lines": ["a", "b"], "ok": true}',
     '[{"kind": "phone", "no": "1"}, {"kind": "email", "no": null}, {"no": "3"}, {"kind": "fax", "no": "4"}]',
     '["red", "", "green", null]', '[{"url": "https://example.org/e", "valueDecimal": 1.50}]'),
    (2, '{"city": "  ", "zip": null}', '[]', '[]', null),
    (3, null, null, null, null),
    (4, '{"city": "tab\t\"q\" \u00e9 \ud83d\ude00"}', '[{"no": "9", "kind": "phone", "no": "10"}]', null, '[]');
