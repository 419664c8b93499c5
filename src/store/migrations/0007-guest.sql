-- Guests: links that were given out, who asks to come in by one, and the chats that began. Times are int8 milliseconds.

-- What `pin` and `shown` were made of, the link's secret, is never here.
create table hub.invite (
  id text primary key,
  host text not null,
  pin bytea,
  pin_tries int4 not null,
  approval boolean not null,
  single_use boolean not null,
  expires_at int8 not null,
  idle_ms int8 not null,
  shown bytea not null,
  uses int4 not null default 0,
  created_at int8 not null,
  revoked_at int8
);
create index invite_host on hub.invite (host, created_at);
create index invite_end on hub.invite (coalesce(revoked_at, expires_at));

-- Somebody with the link and the right PIN, who is not in yet.
create table hub.guest_entry (
  invite text not null,
  account_key bytea not null,
  address text not null unique,
  endorsement bytea not null,
  introduction bytea not null,
  state text not null check (state in ('waiting', 'ready', 'denied')),
  -- How often KeyPackages of the host were handed out for it.
  claims int4 not null default 0,
  at int8 not null,
  primary key (invite, account_key)
);
create index guest_entry_age on hub.guest_entry (at);

-- A chat: one guest account, one device, one room. An ended one is kept for a while, to tell its browser why.
create table hub.guest (
  account text primary key,
  device_id text not null unique,
  room_no int8 not null unique,
  invite text not null,
  host text not null,
  idle_ms int8 not null,
  -- When to look: the chat ends `idle_ms` after the newest entry of its room, which may be later than this.
  ends_at int8 not null,
  ended text check (ended in ('idle', 'revoked', 'blocked', 'left')),
  ended_at int8
);
create index guest_due on hub.guest (ends_at) where ended is null;
create index guest_invite on hub.guest (invite);
create index guest_host on hub.guest (host) where ended is null;
create index guest_ended on hub.guest (ended_at) where ended is not null;
