-- What the homeserver did not hand over, or not in its order: a Synapse that is killed forgets what it had queued, and
-- hands over much later what it had stored and not sent.

-- Its place in the room is not known yet: it came after something may have been missed, and waits until that was looked for.
alter table appservice_event add column unplaced boolean not null default false;
create index appservice_event_unplaced on appservice_event (room) where unplaced;

-- Up to where a room's timeline was taken without a gap.
create table appservice_room (
  room text primary key,
  event_id text not null,
  heard_at int8 not null                -- ms, to the hour, so that a busy room does not move through the index
);
create index appservice_room_heard on appservice_room (heard_at, room);

-- Events that were read back. Pushed later all the same, they are repetitions.
create table appservice_read_back (
  event_id text primary key,
  read_at int8 not null
);
create index appservice_read_back_at on appservice_read_back (read_at);
