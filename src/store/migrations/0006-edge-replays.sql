-- Which Megolm message an event from Matrix was: SHA-256 of session and index. A second event with the same is a replay.
alter table portal_message add column origin bytea;
create unique index portal_message_origin on portal_message (portal, origin);
