-- The public keys that signed the log at the last start: where they change, that is an entry.
alter table audit.log add column keys text[];
