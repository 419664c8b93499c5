-- Who waits at a rendezvous, and until when it lasts at most: one that was left ends sooner. Null: as `expires_at`.
alter table hub.link add column holder bytea;
alter table hub.link add column ends_at int8;
