import { join } from 'node:path'
import { root } from '../support/command.ts'

/** Where everything lies that `npm start` makes; SILTA_DEV_DATA puts it elsewhere, for tests. */
export function dataFolder(...below: string[]): string {
  return join(process.env.SILTA_DEV_DATA ?? join(root, 'data'), ...below)
}
