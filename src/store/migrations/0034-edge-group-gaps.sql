-- A device that came in anew behind something that it has not read was in the group from this place on before that.
alter table group_account add column missed_from int8;
create index group_account_missed on group_account (portal) where missed_from is not null;

-- Messages may be missing in a group, and that is still to be told there: its database was put back.
alter table group_portal add column gap boolean not null default false;

-- Messages of a group that a device could not read. Another may: it is told where none can.
create table group_unread (
  portal int8 not null references portal on delete cascade,
  place int8 not null,
  account text not null references matrix_user (account),
  primary key (portal, place, account)
);
create index group_unread_of on group_unread (account);
