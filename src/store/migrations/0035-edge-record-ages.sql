-- When a record of an Olm machine was last written, and where it ages also when it was last read, ms and to the day: sessions
-- that nobody uses any more are dropped. Those that are there count from now on; a default that is computed for each row would
-- rewrite the table.
do $$ begin
  execute format('alter table ghost_crypto add column used_at int8 not null default %s', now_ms());
end $$;
