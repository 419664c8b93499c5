-- Matrix rooms that a ghost of a portal still has to leave: they are not the portal's any more, or never were.
create table portal_departure (
  portal int8 not null references portal on delete cascade,
  ghost text not null,
  matrix_room text not null,
  primary key (portal, matrix_room)
);

-- When the room that `making` names was last asked for without an answer: until some time later it may still come to be.
alter table portal add column making_asked_at int8;
