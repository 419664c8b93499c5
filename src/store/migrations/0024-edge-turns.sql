-- Which part of a group's log each of the edge's devices reads. Null: it is not in the group (any more), or has not said so yet.
alter table group_account add column since_seq int8;
-- Up to where it has read ahead of those who were in the group before it.
alter table group_account add column read_seq int8;
create index group_account_ahead on group_account (portal) where read_seq is not null;

-- What was read ahead, until its place's turn comes: as it will stand in portal_outbox.
create table portal_ahead (
  id int8 generated always as identity primary key,
  portal int8 not null references portal on delete cascade,
  place int8 not null,
  kind text not null,
  message_id bytea,
  body bytea not null,                  -- sealed
  created_at int8 not null
);
create index portal_ahead_of on portal_ahead (portal, place, id);

-- How often something of a group changed that may need work, and up to which of these changes all was done.
alter table group_portal add column changes int8 not null default 1, add column worked int8 not null default 0;
create index group_portal_unfinished on group_portal (portal) where worked < changes;

-- Portals of two that are in the middle of something.
create index portal_unfinished on portal (id) where kind = 'direct' and (
  (state <> 'ended' and (room is null or matrix_room is null or not user_in))
  or (state = 'open' and peer_name is not null and shown_name is null));
create index portal_to_leave on portal (id) where state = 'ended' and matrix_room is not null;
