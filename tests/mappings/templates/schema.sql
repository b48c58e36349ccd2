create table t (id int primary key, a text, b text, n numeric, j jsonb, flag boolean, len text);
insert into t values
    (1, 'A', 'b', 1.50, '{"x": ["p", "q"], "y": "z", "on": true, "count": 3}', true, '51'), (2, null, 'b', 2, null, false, null),
    (3, '<a & "b">', null, null, '{"x": []}', null, 'l'), (4, '  x ', 'B', 10, '{"y": "<i>", "on": false, "count": 0}', true, '7');
