-- The compliance log: entries commit with the action that they record; a sequencer gives each its place in the log.
create schema audit;

create table audit.entry (
  no int8 generated always as identity primary key,
  -- The id inside of the entry: by it a published entry is known again after a restore.
  id text not null unique,
  at int8 not null,
  body bytea not null,
  -- The index in the log; null: not in it yet. Given once, never changed.
  place int8 unique
);
create index entry_waiting on audit.entry (no) where place is null;

create table audit.log (
  origin text primary key,
  -- How many entries have a place.
  size int8 not null default 0,
  -- The newest checkpoint that was signed, and its size.
  signed_size int8,
  checkpoint bytea
);

-- The configuration that was in force at the last start, as keyed hashes: only that something changed can be seen.
create table audit.setting (
  path text primary key,
  digest bytea not null
);

-- Who a pseudonym of the log stands for. Deleting a row makes it nobody's, for good.
create schema pseudonym;

create table pseudonym.subject (
  -- Keyed hash of what it stands for.
  digest bytea primary key,
  pseudonym text not null unique,
  kind text not null check (kind in ('account', 'device', 'room')),
  sealed bytea not null
);
