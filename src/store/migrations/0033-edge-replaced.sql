-- Matrix rooms of groups that were replaced by newer ones on Matrix: the group goes on in a room of its own, and what comes
-- out of these is no group besides it.
create table portal_replaced (
  matrix_room text primary key,
  portal int8 not null references portal on delete cascade
);
create index portal_replaced_of on portal_replaced (portal);

-- Out of a group's room several go: the bot, and a ghost for each member of the messenger.
alter table portal_departure drop constraint portal_departure_pkey, add primary key (portal, matrix_room, ghost);
