-- Until when people were waited for: the Matrix user, who had not come in, or the messenger's, who had not consented. The
-- largest whole number of JavaScript (2^53 - 1) for as long as the Matrix user has not come in.
alter table portal add column held_until int8 not null default 0;
create index portal_held on portal (id) where held_until = 9007199254740991;
-- Portals whose Matrix user has written before the messenger's user has consented.
create index portal_unanswered on portal (matrix_room)
  where kind = 'direct' and matrix_room is not null and state <> 'ended' and (room is null or state = 'wanted');
