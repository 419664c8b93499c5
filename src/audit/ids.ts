import { type Crypto, toBase64Url } from '../crypto/index.ts'

/**
 * A random id that people write on a command line: none begins with a dash, which would make it an option there.
 *
 * @param bytes how many of randomness it has, less a twentieth of a bit
 */
export function randomId({ randomBytes }: Pick<Crypto, 'randomBytes'>, bytes: number): string {
  for (;;) {
    const id = toBase64Url(randomBytes(bytes))
    if (!id.startsWith('-')) return id
  }
}
