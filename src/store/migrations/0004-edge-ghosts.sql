-- A messenger account as seen on Matrix. `ready` once the homeserver has its device, keys and cross-signing signatures.
create table ghost (
  mxid text primary key,
  account text not null unique,
  device_id text not null,
  store_key bytea not null,             -- sealed; key of the Olm machine's own store
  ready boolean not null default false,
  since text,                           -- position of the last /sync
  synced_at int8 not null default 0,
  pushed int4 not null default 0,       -- to-device messages pushed since; their rows wait at the homeserver for a /sync
  lists_seen int8 not null default 0    -- device_change up to here is known to the machine
);
create index ghost_pushed on ghost (synced_at) where pushed > 0;

-- Working set of the Olm machines: one row for each IndexedDB record, sealed.
create table ghost_crypto_schema (
  mxid text not null,
  database text not null,
  schema jsonb not null,
  primary key (mxid, database)
);
create table ghost_crypto (
  mxid text not null,
  database text not null,
  store text not null,
  key text not null,
  value bytea not null,
  primary key (mxid, database, store, key)
);

-- What the homeserver pushed for a ghost's machine and the machine has not taken yet. Sealed.
create table ghost_inbox (
  id int8 generated always as identity primary key,
  mxid text not null,
  body bytea not null
);
create index ghost_inbox_of on ghost_inbox (mxid, id);

-- The last change of each user's devices. One row a user, not one for each ghost that may care.
create sequence device_change_position;
create table device_change (
  user_digest text primary key,
  position int8 not null,
  mxid bytea not null                   -- sealed
);
create index device_change_from on device_change (position);

-- Transactions of the homeserver, and their events until the portal has taken them. Bodies are sealed.
create table appservice_transaction (
  id text primary key,
  digest text not null,                 -- over the event ids: tells a repetition from a homeserver that counts anew
  received_at int8 not null
);
create table appservice_event (
  id int8 generated always as identity primary key,
  room text not null,
  body bytea not null,
  received_at int8 not null
);
create index appservice_event_of on appservice_event (room, id);
