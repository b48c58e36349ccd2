create table t (id int primary key, n numeric, n2 numeric(8, 2), f4 real, f8 double precision, i2 smallint, i8 bigint, code bigint);
insert into t values
    (1, 81.50, 1, 0.1, 0.1, 32767, 2147483647, 12345678901234567),
    (2, 0.000, 0, 1e10, 1e21, -32768, -2147483648, 99999999999999999),
    (3, 1e-10, -0.50, 3.4e38, 1.7976931348623157e308, 0, 0, 9223372036854775807),
    (4, 10000000000000000000000000000000000000000.00, 999999.99, 1e-45, 5e-324, 1, 1, 0),
    (5, -0, null, '-0', '-0', null, null, null),
    (6, 100, null, 16777216, 123456789012345680, null, null, -1),
    (7, 1, null, null, null, null, 2147483648, null);
