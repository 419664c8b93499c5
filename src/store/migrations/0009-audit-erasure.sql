-- Who a pseudonym of the log stands for: found by a keyed hash, sealed under a key for each subject that is not in the
-- database. The first form of this table held the pseudonym in the open, and a backup of it could not be made to forget.
drop table pseudonym.subject;

create table pseudonym.subject (
  -- Keyed hash of what it stands for.
  digest bytea primary key,
  kind text not null check (kind in ('account', 'device', 'room')),
  -- Of a device: the digest of its account, with which it is erased.
  owner bytea,
  -- The pseudonym.
  sealed bytea not null
);
create index subject_owner on pseudonym.subject (owner) where owner is not null;

-- Which file of keys belongs to the table, and how many keys in it were destroyed. One row.
create table pseudonym.keys (
  id text primary key,
  destroyed int8 not null default 0
);

-- Erasures that were begun and not finished, by the digest of the account.
create table pseudonym.erasure (
  digest bytea primary key,
  -- The random id in the entries of intent and outcome.
  id text not null unique
);
