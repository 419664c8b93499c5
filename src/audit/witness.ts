import type { Crypto } from '../crypto/index.ts'
import {
  addCosignatures,
  type NoteVerifier,
  openTiles,
  parsePolicy,
  proveConsistency,
  type ReadFile,
  toBase64,
} from './log/index.ts'

/** A witness of the log: where it takes checkpoints (its submission prefix), and its key. */
export interface Witness {
  readonly url: string
  readonly verifier: NoteVerifier
}

/** The witnesses of a policy that can be asked. @throws LogError malformed */
export function witnessesOf(crypto: Crypto, policy: string): Witness[] {
  const { witnesses, urls } = parsePolicy(crypto, policy)
  return witnesses.flatMap((verifier) => {
    const url = urls?.get(verifier)
    return url === undefined ? [] : [{ url, verifier }]
  })
}

/** Asks witnesses to cosign checkpoints (https://c2sp.org/tlog-witness). */
export interface Witnesses {
  readonly verifiers: readonly NoteVerifier[]
  /**
   * The checkpoint with the cosignatures of all who gave theirs in time. One that does not answer, or refuses, leaves it
   * as it is; it is told of, and asked again later.
   */
  cosign(checkpoint: Uint8Array, size: number): Promise<Uint8Array>
}

/** Entries are to be in the tree within two seconds, so nobody is waited for longer than this. */
const answerMs = 1_000
/** A few lines of signatures. */
const mostAnswerBytes = 16 * 1024

export interface WitnessesOptions {
  readonly crypto: Crypto
  /** Reads the published tiles. */
  readonly read: ReadFile
  readonly witnesses: readonly Witness[]
  readonly answerMs?: number
  onFault(error: unknown): void
}

type WitnessErrorCode = 'witness-unreachable' | 'witness-refused' | 'witness-signature'

/** Why a witness has not cosigned. `witness-refused` with status 409 or 422 means that it has seen another log. */
class WitnessError extends Error {
  override readonly name = 'WitnessError'
  readonly code: WitnessErrorCode
  readonly status: number | undefined

  constructor(code: WitnessErrorCode, options: ErrorOptions & { status?: number } = {}) {
    super(`a witness has not cosigned (${code}${options.status === undefined ? '' : `, ${options.status}`})`, options)
    this.code = code
    this.status = options.status
  }
}

export function openWitnesses(options: WitnessesOptions): Witnesses {
  const { crypto, read, witnesses, onFault } = options
  /** The size that each has cosigned last, as far as is known: it says itself when it is another. */
  const seen = new Map<Witness, number>()

  const ask = async (witness: Witness, checkpoint: Uint8Array, size: number): Promise<string> => {
    for (let again = false; ; again = true) {
      const old = Math.min(seen.get(witness) ?? 0, size)
      const proof = await proveConsistency(openTiles(crypto, read, size), old)
      const lines = [`old ${old}`, ...proof.map(toBase64), '', '']
      const url = new URL('add-checkpoint', witness.url.endsWith('/') ? witness.url : `${witness.url}/`)
      const response = await fetch(url, {
        method: 'POST',
        body: Buffer.concat([Buffer.from(lines.join('\n')), checkpoint]),
        redirect: 'error',
        signal: AbortSignal.timeout(options.answerMs ?? answerMs),
      }).catch((cause) => {
        throw new WitnessError('witness-unreachable', { cause })
      })
      const text = await boundedText(response)
      if (response.status === 200) {
        seen.set(witness, size)
        return text
      }
      const size409 = response.status === 409 && /^\d{1,15}\n$/.test(text) ? Number(text) : undefined
      if (size409 === undefined || again || size409 > size)
        throw new WitnessError('witness-refused', { status: response.status })
      seen.set(witness, size409)
    }
  }

  return {
    verifiers: witnesses.map(({ verifier }) => verifier),
    async cosign(checkpoint, size) {
      const answers = await Promise.all(
        witnesses.map(async (witness) => {
          try {
            const lines = await ask(witness, checkpoint, size)
            const signed = addCosignatures(crypto, checkpoint, lines, [witness.verifier])
            if (signed.length === checkpoint.length) throw new WitnessError('witness-signature')
            return signed.subarray(checkpoint.length)
          } catch (error) {
            onFault(error)
            return new Uint8Array()
          }
        }),
      )
      return new Uint8Array(Buffer.concat([checkpoint, ...answers]))
    },
  }
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > mostAnswerBytes) throw new WitnessError('witness-signature')
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
