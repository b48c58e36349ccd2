-- One row per device, its UDI taken apart: (01) device identifier, (11) made on, (17) expires on, (10) lot, (21) serial.
-- UDI dates are YYMMDD. The century is the one that puts the making before, and the expiry after, the device's first use.
select d.row_id, d.start, d.stop, d.patient, d.code, d.description, d.udi, d.updated_at,
       substring(d.udi from '\(01\)([0-9]{14})') as device_identifier,
       substring(d.udi from '\(10\)([^(]+)')     as lot,
       substring(d.udi from '\(21\)([^(]+)')     as serial,
       (extract(year from d.start)::int / 100 - (u.made[1] > to_char(d.start, 'YY'))::int)::text
         || u.made[1] || '-' || u.made[2] || '-' || u.made[3]          as made_on,
       (extract(year from d.start)::int / 100 + (u.expires[1] < to_char(d.start, 'YY'))::int)::text
         || u.expires[1] || '-' || u.expires[2] || '-' || u.expires[3] as expires_on
from devices d
cross join lateral (select regexp_match(d.udi, '\(11\)([0-9]{2})([0-9]{2})([0-9]{2})') as made,
                           regexp_match(d.udi, '\(17\)([0-9]{2})([0-9]{2})([0-9]{2})') as expires) u
