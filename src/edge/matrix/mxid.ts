/**
 * A Matrix id in the form in which it is compared, or undefined when it is none: `@`, a localpart of the historical
 * grammar (printable ASCII without `:`), a server name, 255 bytes at most (Matrix specification, appendix "User
 * identifiers"). Servers whose names differ in case only are different servers there.
 */
export function parseMxid(text: string): string | undefined {
  const [, localpart, server] =
    /^@([\x21-\x39\x3b-\x7e]{1,253}):([A-Za-z0-9.-]{1,230}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?)$/.exec(
      text,
    ) ?? []
  if (localpart === undefined || server === undefined || text.length > 255) return undefined
  return text
}
