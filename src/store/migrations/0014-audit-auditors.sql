-- Auditors whose admission is in the log. Their credentials are in a file beside the database.
create table audit.auditor (
  id text primary key
);
