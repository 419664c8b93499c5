-- What people of the messenger have read and Matrix has not been told of yet: the newest message of each.
create table portal_read (
  portal int8 not null references portal on delete cascade,
  account text not null,
  message_id bytea not null,
  primary key (portal, account)
);
-- The newest message when a receipt names an event that is none.
create index portal_message_newest on portal_message (portal, created_at) where not from_matrix;
