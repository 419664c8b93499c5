/**
 * Asking the log over HTTP: the tables that entries are found by, the query API below /audit/v1, and its contract. It reads
 * what is in the tree and signed, and nothing else, so that whatever it answers can be proven.
 */
export { readFilter } from './filter.ts'
export { find as findEntries, statement as findStatement } from './find.ts'
export { type Indexer, openIndexer } from './indexer.ts'
export { openApiDocument } from './openapi.ts'
export { queryRoutes } from './routes.ts'
