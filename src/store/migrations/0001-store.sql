-- Who may do a piece of work at the moment. The fence grows with every change of hands; what a holder writes is checked
-- against it in the committing transaction. Times are the database's, in milliseconds since the epoch.
create table lease (
  name text primary key,
  owner text not null,
  fence int8 not null,
  held_until int8 not null
) with (fillfactor = 50);

create function now_ms() returns int8 language sql volatile parallel safe
  as $$ select (extract(epoch from clock_timestamp()) * 1000)::int8 $$;
