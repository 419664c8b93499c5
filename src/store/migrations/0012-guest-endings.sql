-- A guest's chat is looked at not only when it ends, but also when both sides are to be warned of that, and it can be kept
-- open without a word.
alter table hub.guest rename column ends_at to look_at;
-- When one of the two last asked for it to be kept open.
alter table hub.guest add column kept_at int8 not null default 0;
