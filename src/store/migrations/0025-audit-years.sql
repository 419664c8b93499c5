-- The compliance log by years: each has a log of its own. Places of entries count through all of them.
alter table audit.log
  -- The place of its first entry.
  add column first int8 not null default 0,
  -- Its last entry has its place: nothing is added any more.
  add column closed bool not null default false;
