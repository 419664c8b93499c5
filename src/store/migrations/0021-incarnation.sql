-- How often this database was put back from a backup, and when it went on. What others have seen of the time between the
-- backup and then is not here any more.
create table incarnation (
  no int8 primary key,
  began_at int8 not null
);

-- Entries with numbers between these two are lost. The earliest loss and the latest begin, when there were several.
alter table hub.room add column lost_after int8, add column lost_before int8;

-- Ghosts whose device was made before have keys that were used since the backup: they get new devices.
alter table ghost add column incarnation int8 not null default 0;
-- Sealed: the cross-signing keys of a ghost that is getting a new device.
alter table ghost add column identity bytea;
