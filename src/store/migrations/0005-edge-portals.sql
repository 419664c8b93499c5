-- Random keys of this edge, sealed: what its look-up columns are keyed with.
create table edge_key (
  name text primary key,
  value bytea not null
);

-- A Matrix user who talks to the messenger: an account of kind edge, with one device (table device_state).
create table matrix_user (
  lookup bytea primary key,             -- HMAC-SHA256 of the Matrix id
  mxid bytea not null,                  -- sealed
  account text unique,                  -- null until the messenger has the account
  profile bytea,                        -- sealed; what the messenger was last told of the user
  created_at int8 not null
);

-- A conversation of a Matrix user with a messenger account, as a messenger room and a Matrix room. Either may be missing
-- while it is being opened.
create table portal (
  id int8 generated always as identity primary key,
  account text not null references matrix_user (account),
  peer text not null,
  room text unique,
  ghost text,
  matrix_room text unique,
  state text not null check (state in ('wanted', 'requested', 'offered', 'open', 'ended')),
  -- The Matrix user is in the room, or invited to it.
  user_in boolean not null default false,
  peer_name bytea,                      -- sealed; what the account said of itself
  asked_as bytea,                       -- sealed; the handle under which the Matrix user asked for it
  shown_name bytea,                     -- sealed; what the ghost is called in the Matrix room
  posture bytea,                        -- sealed; what the Matrix room was last told
  ended_because text,
  -- Marks the Matrix room that is being made, so that one whose making was not noticed is found again.
  making text,
  changed_at int8 not null,
  unique (account, peer)
);
create index portal_of_ghost on portal (ghost);

-- What is to be sent into a portal's Matrix room, in this order. `body` is sealed until it is encrypted for the room.
create table portal_outbox (
  id int8 generated always as identity primary key,
  portal int8 not null references portal on delete cascade,
  kind text not null,
  message_id bytea,                     -- of the messenger's message that this carries
  body bytea not null,                  -- sealed
  sealed_event bytea,                   -- sealed; the event as it is PUT, once made
  first_put_at int8,                    -- when it was first given to the homeserver
  created_at int8 not null,
  unique (portal, message_id)
);
create index portal_outbox_of on portal_outbox (portal, id);

-- Which message of the messenger is which event on Matrix.
create table portal_message (
  portal int8 not null references portal on delete cascade,
  message_id bytea not null,
  event_id text not null,
  from_matrix boolean not null,
  -- The messenger's sender was told that it is delivered.
  reported boolean not null default false,
  created_at int8 not null,
  primary key (portal, message_id),
  unique (portal, event_id)
);
create index portal_message_unreported on portal_message (portal) where not reported and not from_matrix;

-- What a Matrix user was told once in a portal: losses that come with every message of a kind.
create table portal_told (
  portal int8 not null references portal on delete cascade,
  what text not null,
  primary key (portal, what)
);

-- Events from Matrix whose key was waited for in vain. A placeholder went out; the text takes its place when the key comes.
create table portal_late_event (
  portal int8 not null references portal on delete cascade,
  event_id text not null,
  message_id bytea not null,            -- the placeholder's
  event bytea not null,                 -- sealed
  created_at int8 not null,
  primary key (portal, event_id)
);

-- Rooms in which the bot talks with somebody.
create table bot_room (
  matrix_room text primary key
);
