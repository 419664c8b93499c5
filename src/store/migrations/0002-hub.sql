-- The hub: accounts, devices, rooms and their logs of ciphertext. Times are int8 milliseconds since the epoch, taken from
-- the hub's clock. No foreign keys between the hot tables: each insert into a log would lock and look up rows that the
-- same transaction has read already.
create schema hub;

-- ---- accounts and devices

create table hub.account (
  address text primary key,
  account_key bytea not null,
  kind text not null check (kind in ('person', 'business', 'guest', 'edge')),
  operator text,
  network text,
  endorsement bytea not null,
  endorsed_until int8 not null,
  -- The newest manifest; 0 until there is one.
  manifest_number int8 not null default 0,
  manifest_hash bytea,
  manifest_until int8 not null default 0,
  first_contact text not null default 'anyone' check (first_contact in ('anyone', 'consent', 'nobody')),
  created_at int8 not null
);

-- The messenger's own name for an account, as an HMAC: who reads this table learns no subject.
create table hub.subject (
  subject bytea primary key,
  account text not null
);

create table hub.device (
  device_id text primary key,
  account text not null,
  device_key bytea not null,
  kind text not null check (kind in ('primary', 'companion', 'guest', 'edge')),
  certificate bytea not null,
  linked_at int8 not null,
  unlinked_at int8
);
create index device_account on hub.device (account);

-- The newest few of each account; what is in force in a room lies with the room.
create table hub.manifest (
  account text not null,
  number int8 not null,
  hash bytea not null,
  document bytea not null,
  primary key (account, number)
);

create table hub.key_package (
  no int8 generated always as identity primary key,
  device_id text not null,
  reference bytea not null,
  body bytea not null,
  not_after int8 not null,
  last_resort boolean not null,
  unique (device_id, reference)
);
create index key_package_supply on hub.key_package (device_id, last_resort, no);

create table hub.handle (
  handle text primary key,
  account text not null unique
);

-- A new device waits here for what the primary hands it, sealed under the secret of its code.
create table hub.link (
  rendezvous bytea primary key,
  payload bytea,
  expires_at int8 not null
);
create index link_expiry on hub.link (expires_at);

-- ---- who may write to whom

create table hub.reachability (
  account text not null,
  network text not null,
  primary key (account, network)
);

create table hub.block (
  owner text not null,
  blocked text not null,
  primary key (owner, blocked)
);

-- What `owner` has said about `peer` writing to them.
create table hub.consent (
  owner text not null,
  peer text not null,
  state text not null check (state in ('requested', 'granted', 'denied')),
  at int8 not null,
  primary key (owner, peer)
);
create index consent_waiting on hub.consent (owner, at) where state = 'requested';
create index consent_answered on hub.consent (peer, at) where state <> 'requested';

-- How many strangers an account has approached in an hour (the hour's number since the epoch).
create table hub.approach (
  account text not null,
  hour int8 not null,
  strangers int4 not null,
  primary key (account, hour)
);
create index approach_hour on hub.approach (hour);

-- ---- rooms

-- What changes with every entry is kept in a narrow row of its own.
create table hub.room (
  no int8 generated always as identity primary key,
  id text not null unique,
  kind text not null check (kind in ('direct', 'group', 'guest', 'self')),
  owner text not null,
  epoch int8 not null,
  next_seq int8 not null,
  -- The time of the newest entry: times never run backwards in a log.
  last_at int8 not null,
  -- Whether an account behind an edge is in it: only then opt-ins are looked at.
  has_edge boolean not null
) with (fillfactor = 50);

-- The group as seen without secrets, and the GroupInfo by which a device joins. `version` counts changes, those by
-- proposals too.
create table hub.room_group (
  room_no int8 primary key,
  version int8 not null,
  public_group bytea not null,
  group_info bytea not null,
  -- The manifests in force (src/identity/roster.ts).
  roster bytea not null,
  -- The commit that made the epoch.
  seq int8 not null,
  at int8 not null
);

-- The claim of two accounts to their one direct room, first < second; of one account to its self room, first = second.
create table hub.direct_pair (
  first text not null,
  second text not null,
  room_no int8 not null,
  primary key (first, second)
);

create table hub.member (
  room_no int8 not null,
  account text not null,
  standing text not null check (standing in ('requested', 'accepted', 'declined', 'left')),
  -- Messages that others may still send while the standing is `requested`.
  allowance int4 not null,
  inviter text not null,
  primary key (room_no, account)
) with (fillfactor = 80);
create index member_account on hub.member (account, room_no);

create table hub.log (
  room_no int8 not null,
  seq int8 not null,
  kind int2 not null, -- 1 message, 2 commit, 3 proposal
  at int8 not null,
  device_id text, -- null: the hub
  body bytea not null,
  manifest bytea,
  primary key (room_no, seq)
);
-- Ciphertext does not compress.
alter table hub.log alter column body set storage external;
create index log_age on hub.log (at);

create table hub.submission (
  room_no int8 not null,
  device_id text not null,
  key bytea not null,
  seq int8 not null,
  at int8 not null,
  primary key (room_no, device_id, key)
);
create index submission_age on hub.submission (at);

-- A device's place in a room and in its log. A removed device keeps it, without a leaf, until it has the commit that
-- removed it. `acked` stands in no index, so that an acknowledgement rewrites none.
create table hub.mailbox (
  device_id text not null,
  room_no int8 not null,
  account text not null,
  leaf int4,
  acked int8 not null,
  until_seq int8,
  primary key (device_id, room_no)
) with (fillfactor = 60);
create index mailbox_room on hub.mailbox (room_no, account);

create table hub.welcome (
  no int8 generated always as identity primary key,
  device_id text not null,
  room_no int8 not null,
  seq int8 not null,
  inviter text not null
);
create index welcome_device on hub.welcome (device_id, no);
create index welcome_commit on hub.welcome (room_no, seq);

-- One for all devices that a commit has added.
create table hub.welcome_body (
  room_no int8 not null,
  seq int8 not null,
  at int8 not null,
  welcome bytea not null,
  manifests bytea not null,
  primary key (room_no, seq)
);
alter table hub.welcome_body alter column welcome set storage external;
create index welcome_age on hub.welcome_body (at);

-- Leaves that must go before anything else is said in the room. The proposal is made per epoch; null: not yet.
create table hub.removal (
  room_no int8 not null,
  device_id text not null,
  account text not null,
  leaf int4 not null,
  -- The manifest that dropped the device; 0 when the account left the room.
  manifest_number int8 not null,
  proposal bytea,
  primary key (room_no, device_id)
);
create index removal_unproposed on hub.removal (room_no) where proposal is null;
