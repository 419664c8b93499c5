-- State of devices that live on a server (an edge's): MLS groups, ratchets, cursors, submissions. One namespace is one
-- device. Every value is sealed; keys are room ids and random numbers. Keys compare by bytes, so that a prefix is a range.
create table device_state (
  namespace text not null,
  collection text not null,
  key text collate "C" not null,
  value bytea not null,
  primary key (namespace, collection, key)
);
