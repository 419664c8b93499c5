import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Crypto, toBase64Url, toHex, utf8 } from '../crypto/index.ts'

/** Who may read the log, and until when. The credential itself is kept nowhere. */
export interface Auditor {
  readonly id: string
  /** SHA-256 of the credential, in hexadecimal: it is random, so nothing slower is needed. */
  readonly credentialHash: string
  /** Milliseconds since the epoch. */
  readonly addedAt: number
  readonly notAfter: number
}

/** An auditor's credential is 32 random bytes; longer texts are not looked at. */
const credentialForm = /^silta_auditor_[A-Za-z0-9_-]{43}$/

/** The auditors in a file; none when there is no file. */
export function readAuditors(file: string): Auditor[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { auditors: Auditor[] }).auditors
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Adds an auditor. The running service takes it from the file. @returns the credential, which is shown once */
export function addAuditor(
  crypto: Crypto,
  file: string,
  { forMs, now = Date.now() }: { forMs: number; now?: number },
): { auditor: Auditor; credential: string } {
  const credential = `silta_auditor_${toBase64Url(crypto.randomBytes(32))}`
  const id = toBase64Url(crypto.randomBytes(6))
  const auditor = { id, credentialHash: hashOf(crypto, credential), addedAt: now, notAfter: now + forMs }
  writeAuditors(file, [...readAuditors(file), auditor])
  return { auditor, credential }
}

/** Ends an auditor's access. @returns whether there was one of that id */
export function revokeAuditor(file: string, id: string): boolean {
  const auditors = readAuditors(file)
  const left = auditors.filter((auditor) => auditor.id !== id)
  if (left.length < auditors.length) writeAuditors(file, left)
  return left.length < auditors.length
}

/** Says whether a credential is one of the file's; what changes there counts from the next question on. */
export function openCredentials(crypto: Crypto, file: string, clock: () => number = Date.now) {
  let read: { of: string; auditors: Auditor[] } | undefined
  const current = (): Auditor[] => {
    const stat = statSync(file, { throwIfNoEntry: false })
    if (!stat) return []
    const of = `${stat.ino} ${stat.mtimeMs} ${stat.size}`
    if (read?.of !== of) read = { of, auditors: readAuditors(file) }
    return read.auditors
  }
  return {
    accepts(credential: string): boolean {
      if (!credentialForm.test(credential)) return false
      // By hash: how long the comparison takes tells nothing about the credential.
      const hash = hashOf(crypto, credential)
      return current().some(({ credentialHash, notAfter }) => credentialHash === hash && clock() < notAfter)
    },
  }
}

function hashOf(crypto: Crypto, credential: string): string {
  return toHex(crypto.sha256(utf8(credential)))
}

function writeAuditors(file: string, auditors: readonly Auditor[]): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.new`
  const descriptor = openSync(beside, 'w', 0o600)
  try {
    writeSync(descriptor, `${JSON.stringify({ auditors }, undefined, 2)}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(beside, file)
}
