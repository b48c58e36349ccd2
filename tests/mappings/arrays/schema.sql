create table patient (id int primary key, given text[], nums int[], days date[], empties text[], grid text[][]);
insert into patient values
    (1, '{Ana,María}', '{3,1,2}', '{2026-01-02,2025-01-01}', '{}', '{{a,b},{c,d}}'),
    (2, '{null,"",B," "}', null, '{null}', '{null," "}', '{}'),
    (3, null, '{}', '{}', null, null),
    (4, '{"say \"hi\"","a,b","{}","back\\slash"}', '[5:6]={7,8}', null, null, '{{x}}');
