import { createHash } from 'node:crypto'

/** Preparing pays from the second use on; one-off texts (migrations, checks) are not worth a place on the server. */
const hotAfter = 3
/** Prepared statements stay on every connection of the server until it closes, so a program that builds texts must not fill it. */
const mostNames = 500

/**
 * Names the texts that are used again and again, so that the server parses and plans each once per connection. A name is
 * the hash of its text: two texts can never meet under one name.
 */
export function statementNames(): (text: string) => string | undefined {
  const names = new Map<string, string>()
  let uses = new Map<string, number>()
  return (text) => {
    const name = names.get(text)
    if (name !== undefined || names.size >= mostNames) return name
    const count = (uses.get(text) ?? 0) + 1
    if (count > hotAfter) {
      uses.delete(text)
      names.set(text, createHash('sha256').update(text).digest('base64url').slice(0, 22))
    } else {
      if (uses.size > 4 * mostNames) uses = new Map()
      uses.set(text, count)
    }
    return names.get(text)
  }
}
