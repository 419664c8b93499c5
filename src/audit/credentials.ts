import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Crypto, toBase64Url, toHex, utf8 } from '../crypto/index.ts'
import { randomId } from './ids.ts'

/**
 * What a credential is good for: the log itself, checkpoint and tiles, which is all entries; asking it; or taking part when
 * a person's pseudonym is told, which is nothing for an auditor from outside.
 */
export const scopes = ['log', 'query', 'resolve'] as const
export type Scope = (typeof scopes)[number]
/** Those of an auditor, unless it is said otherwise. */
export const usualScopes: readonly Scope[] = ['log', 'query']

/** Who may read the log, and until when. The credential itself is kept nowhere. */
export interface Auditor {
  readonly id: string
  /** The usual ones, when it does not say. */
  readonly scopes?: readonly Scope[]
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
  {
    forMs,
    scopes: granted = usualScopes,
    now = Date.now(),
  }: { forMs: number; scopes?: readonly Scope[]; now?: number },
): { auditor: Auditor; credential: string } {
  const credential = `silta_auditor_${toBase64Url(crypto.randomBytes(32))}`
  const id = randomId(crypto, 6)
  const auditor = {
    ...{ id, scopes: granted, credentialHash: hashOf(crypto, credential) },
    ...{ addedAt: now, notAfter: now + forMs },
  }
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

export interface Credentials {
  /** Whose the credential is and what it is good for; undefined when it is none, or none any more. */
  holderOf(credential: string): Holder | undefined
  /** Whether somebody's credential counts at this moment and is good for that. @param id as `Holder` has it */
  mayNow(id: string, scope: Scope): boolean
}

export interface Holder {
  readonly id: string
  readonly scopes: readonly Scope[]
  /** It stands in the file otherwise than it was admitted, and is good for nothing. */
  readonly changed?: boolean
}

/** What the log tells of somebody who stands in the file: nothing, the same, or something else. */
export type Admitted = 'no' | 'yes' | 'changed'

const nobody: readonly Auditor[] = []

/** Gives the auditors in the file as it is now, the same list as long as it does not change. */
export function watchAuditors(file: string): () => readonly Auditor[] {
  let read: { of: string; auditors: Auditor[] } | undefined
  return () => {
    const stat = statSync(file, { throwIfNoEntry: false })
    if (!stat) return nobody
    const of = `${stat.ino} ${stat.mtimeMs} ${stat.size}`
    if (read?.of !== of) read = { of, auditors: readAuditors(file) }
    return read.auditors
  }
}

export interface CredentialsOptions {
  /** Those in the file, as it is now: what changes there counts from the next question on. */
  auditors(): readonly Auditor[]
  /** Whether the log tells of this auditor as it stands there. */
  admitted(auditor: Auditor): Admitted
  /** Milliseconds since the epoch. */
  readonly clock?: (() => number) | undefined
}

/** Knows the credentials of those who were admitted. */
export function openCredentials(
  crypto: Crypto,
  { auditors, admitted, clock = Date.now }: CredentialsOptions,
): Credentials {
  return {
    holderOf(credential) {
      if (!credentialForm.test(credential)) return undefined
      // By hash: how long the comparison takes tells nothing about the credential.
      const hash = hashOf(crypto, credential)
      const known = auditors().find(({ credentialHash, notAfter }) => credentialHash === hash && clock() < notAfter)
      const state = known && admitted(known)
      if (!known || state === 'no') return undefined
      return state === 'changed'
        ? { id: known.id, scopes: [], changed: true }
        : { id: known.id, scopes: known.scopes ?? usualScopes }
    },
    mayNow: (id, scope) =>
      auditors().some(
        (each) =>
          each.id === id &&
          clock() < each.notAfter &&
          (each.scopes ?? usualScopes).includes(scope) &&
          admitted(each) === 'yes',
      ),
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
