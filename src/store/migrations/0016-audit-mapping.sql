-- Requests to be told the pseudonym of an account, which a second person has to agree to. Of the account there is the digest
-- alone, under which it stands in pseudonym.subject.
create table pseudonym.mapping (
  digest bytea primary key,
  -- The random id in the entries.
  id text not null unique,
  -- The id of the credential of whoever has asked.
  asked_by text not null,
  at int8 not null
);
