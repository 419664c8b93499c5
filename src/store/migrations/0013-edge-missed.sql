-- Events that the homeserver pushed to nobody and that were read from the timeline later. Such an event belongs right
-- behind the one that led to it, before all that was pushed after that one.
alter table appservice_event add column behind int8;
drop index appservice_event_of;
create index appservice_event_of on appservice_event (room, coalesce(behind, id), id);
