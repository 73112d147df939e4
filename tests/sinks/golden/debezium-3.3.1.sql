-- Debezium 3.3.1.Final, defaults but skipped.operations=none; PostgreSQL 15, pgoutput; before the connector starts:
create type mood as enum ('calm', 'loud');
create table kinds (id integer primary key, small smallint, big bigint, price numeric(12,2), free numeric, half real, whole double precision,
 word text, code varchar(8), pad char(4), flag boolean, bytes bytea, day date, at timestamp, at_ms timestamp(3), zoned timestamptz,
 clock time, zoned_clock timetz, span interval, doc json, docb jsonb, ident uuid, numbers integer[], words text[], prices numeric(6,2)[],
 feeling mood, address inet, count_needed integer not null, note_needed text not null, day_needed date not null, price_needed numeric(12,2) not null, with_default integer not null default 7, long text);
alter table kinds alter long set storage external;
create table pairs (a integer, b text, n integer not null, note text, primary key (a, b));
insert into kinds values (1, -32768, 9223372036854775807, 1234567890.12, 3.14159, 1.5, 2.718281828459045, 'naïve "quoted" 日本', 'v1', 'ab', true, '\xdeadbeef00', '2024-02-29',
 '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789012+02', '12:34:56.789012', '12:34:56.789012+02', '1 year 2 mons 3 days 04:05:06.789',
 '{"a":  1, "b": [true, null]}', '{"a":  1, "b": [true, null]}', '123e4567-e89b-12d3-a456-426614174000', '{1,NULL,3}', '{a,NULL,"c d"}', '{1.50,-2.25}', 'calm', '192.168.0.1/24', 5, 'needed', '2024-01-01', -0.01, default, repeat('x', 3000));
insert into kinds (id, count_needed, note_needed, day_needed, price_needed) values (2, 0, '', '1970-01-01', 0);
insert into pairs values (1,'x',10,'snap'),(2,'y',20,null);
