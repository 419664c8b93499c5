-- What entries of the compliance log are looked for by. It follows from the entries alone: deleted, it is filled anew.
create table audit.facet (
  place int8 primary key,
  at int8 not null,
  -- The latest `at` of all entries up to this one. It never falls, so that a time is found by it.
  latest int8 not null,
  type text not null,
  provider text,
  outcome text not null
);
create index facet_latest on audit.facet (latest, place);
create index facet_type on audit.facet (type, place);
create index facet_provider on audit.facet (provider, place) where provider is not null;
create index facet_outcome on audit.facet (outcome, place);

-- The pseudonyms that an entry is about.
create table audit.facet_subject (
  pseudonym text not null,
  place int8 not null,
  primary key (pseudonym, place)
);

-- One row: entries below `next` are in the tables above; the latest `at` among them; and by how much, at most, an entry
-- is older than one that stands before it, milliseconds.
create table audit.facet_state (
  one bool primary key default true check (one),
  next int8 not null default 0,
  latest int8 not null default 0,
  late_ms int8 not null default 0
);
