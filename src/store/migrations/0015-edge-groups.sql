-- A group is a portal too: a room of the messenger and a Matrix room, for as many accounts as there are in it. What belongs
-- to two only is null.
alter table portal alter column account drop not null;
alter table portal alter column peer drop not null;
alter table portal add column kind text not null default 'direct';
alter table portal add constraint portal_kind
  check ((kind = 'direct' and account is not null and peer is not null) or (kind = 'group' and account is null and peer is null)) not valid;

create table group_portal (
  portal int8 primary key references portal on delete cascade,
  -- Place in the messenger's log up to which entries were taken: each once, by whichever of the edge's devices reads it first.
  seq int8 not null default 0,
  state bytea not null                  -- sealed; both sides as they were last seen, and what they last agreed on
);

-- Matrix users whose devices are or were in a group.
create table group_account (
  portal int8 not null references portal on delete cascade,
  account text not null references matrix_user (account),
  primary key (portal, account)
);
create index group_account_of on group_account (account);
