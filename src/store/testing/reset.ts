import type { Queryable } from '../database.ts'

const ours = `nspname not in ('pg_catalog', 'information_schema') and nspname not like 'pg\\_%'`

/** The tables, functions and schemas that migrations made, to be told apart from what a test makes. */
export async function tablesOf(database: Queryable): Promise<ReadonlySet<string>> {
  const rows = await database.query<{ name: string }>(
    `select quote_ident(nspname) || '.' || quote_ident(relname) as name
       from pg_class join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'p') and ${ours}`,
  )
  return new Set(rows.map((row) => row.name))
}

/**
 * Makes a database that was used as good as new, which takes milliseconds where making one takes seconds: drops the tables
 * that are not `migrated`, empties the others, and begins every sequence anew.
 */
export async function reset(database: Queryable, migrated: ReadonlySet<string>): Promise<void> {
  for (const table of await tablesOf(database))
    if (!migrated.has(table)) await database.query(`drop table ${table} cascade`)
  await database.query(`do $$
    declare one record; filled boolean;
    begin
      for one in select nspname, relname from pg_class join pg_namespace n on n.oid = relnamespace
        where relkind = 'r' and relname <> 'schema_migration' and ${ours}
      loop
        execute format('select exists (select 1 from %I.%I)', one.nspname, one.relname) into filled;
        if filled then execute format('truncate %I.%I cascade', one.nspname, one.relname); end if;
      end loop;
      for one in select schemaname, sequencename from pg_sequences where last_value is not null
      loop
        execute format('alter sequence %I.%I restart', one.schemaname, one.sequencename);
      end loop;
    end $$`)
}
