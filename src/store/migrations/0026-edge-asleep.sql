-- The device of a Matrix user, by which the provider knows it while it is closed.
alter table matrix_user add column device text;
create index matrix_user_device on matrix_user (device);
-- When a closed device is to be opened again, whatever happens; 0 while it is open, so that one whose process died is.
alter table matrix_user add column due_at int8 not null default 0;
create index matrix_user_due on matrix_user (due_at);
