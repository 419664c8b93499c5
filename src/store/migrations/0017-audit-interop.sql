-- Requests of other providers to be interoperable, which have to be met within three months (DMA Article 7(5)).
create table audit.interop (
  -- The random id in the entries.
  id text primary key,
  -- The domain of whoever has asked.
  provider text not null,
  received int8 not null,
  due int8 not null,
  -- Null: open.
  outcome text,
  answered int8
);
