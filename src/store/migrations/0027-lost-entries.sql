-- Numbers of entries that are lost, between these two; a row for each time that the database was put back from a backup. The
-- columns of hub.room span them all.
create table hub.lost (
  room_no int8 not null,
  after_seq int8 not null,
  before_seq int8 not null,
  primary key (room_no, after_seq)
);
insert into hub.lost select no, lost_after, lost_before from hub.room where lost_after is not null;
