import {
  DecryptionErrorCode,
  DecryptionSettings,
  MegolmDecryptionError,
  RoomId,
  ShieldColor,
  ShieldStateCode,
  TrustRequirement,
} from '@matrix-org/matrix-sdk-crypto-wasm'
import type { Context } from './context.ts'
import { follow, queryKeys, takeInbox } from './encrypt.ts'
import { GhostError } from './errors.ts'
import type { Loaded } from './ghost.ts'
import type { DecryptResult, Shield } from './types.ts'

/** Sessions remembered as asked for; one forgotten costs one query more. */
const askedLimit = 1000

const colors = { [ShieldColor.Red]: 'red', [ShieldColor.Grey]: 'grey', [ShieldColor.None]: 'none' } as const

export async function decryptEvent(
  context: Context,
  ghost: Loaded,
  room: string,
  event: Record<string, unknown>,
): Promise<DecryptResult> {
  const { sender, content } = event
  const sessionId = sessionOf(content)
  if (typeof sender !== 'string' || sessionId === undefined) return { failed: 'malformed' }
  // A key that another process has taken is looked for when it is missing.
  await takeInbox(context, ghost, 'quick')
  await follow(context, ghost, [sender])
  let result = await attempt(ghost, room, event, sessionId)
  if ('missingKey' in result) {
    // Noted first and looked at after: a key that comes in between is found, and not counted as asked for in vain.
    const inboxReadAt = await readInboxReadAt(context, ghost)
    await takeInbox(context, ghost)
    result = await attempt(ghost, room, event, sessionId)
    if ('missingKey' in result) return { ...result, inboxReadAt }
  }
  if (!('content' in result) || !isStranger(result.shield) || ghost.asked.has(sessionId)) return result
  // The device may be so new that its list has not come: asked once for each session.
  if (ghost.asked.size >= askedLimit) ghost.asked.clear()
  ghost.asked.add(sessionId)
  await queryKeys(context, ghost, [sender])
  const again = await attempt(ghost, room, event, sessionId)
  return 'missingKey' in again ? result : again
}

async function readInboxReadAt({ database }: Context, { mxid }: Loaded): Promise<number> {
  const rows = await database.query<{ synced_at: number }>('select synced_at from ghost where mxid = $1', [mxid])
  return rows[0]?.synced_at ?? 0
}

type Attempt =
  | Exclude<DecryptResult, { readonly missingKey: true }>
  | { readonly missingKey: true; readonly sessionId: string }

function sessionOf(content: unknown): string | undefined {
  if (typeof content !== 'object' || content === null) return undefined
  const { algorithm, ciphertext, session_id: sessionId } = content as Record<string, unknown>
  const whole = algorithm === 'm.megolm.v1.aes-sha2' && typeof ciphertext === 'string'
  return whole && typeof sessionId === 'string' ? sessionId : undefined
}

const isStranger = ({ code }: Shield) => code === 'UnknownDevice' || code === 'UnsignedDevice'

async function attempt(
  ghost: Loaded,
  room: string,
  event: Record<string, unknown>,
  sessionId: string,
): Promise<Attempt> {
  try {
    // Untrusted: how far the device is trusted is told by the shield, and is not a reason to lose the message.
    const settings = new DecryptionSettings(TrustRequirement.Untrusted)
    const decrypted = await ghost.machine.call((olm) =>
      olm.decryptRoomEvent(JSON.stringify(event), new RoomId(room), settings),
    )
    const state = decrypted.shieldState(false)
    // Attack: a homeserver, or a member, that puts a session of its own under another's name.
    if (state.code === ShieldStateCode.MismatchedSender) return { failed: 'mismatched-sender' }
    const { type, content } = JSON.parse(decrypted.event)
    if (typeof type !== 'string' || typeof content !== 'object' || content === null) return { failed: 'malformed' }
    const device = decrypted.senderDevice?.toString()
    const code = state.code === undefined ? undefined : ShieldStateCode[state.code]
    return {
      type,
      content,
      sender: decrypted.sender.toString(),
      ...(device === undefined ? {} : { senderDevice: device }),
      shield: { color: colors[state.color], ...(code === undefined ? {} : { code }) },
    }
  } catch (error) {
    if (error instanceof MegolmDecryptionError) return refusal(error, sessionId)
    if (error instanceof GhostError) throw error
    // Rust cannot make anything of the event itself; it never will.
    return { failed: 'malformed' }
  }
}

function refusal(error: MegolmDecryptionError, sessionId: string): Attempt {
  switch (error.code) {
    case DecryptionErrorCode.MissingRoomKey:
      // Without an Olm session the key may still come once there is one; any other reason is the sender's will.
      if (error.withheldCode !== undefined && error.withheldCode !== 'm.no_olm') return { failed: 'withheld' }
      return { missingKey: true, sessionId }
    case DecryptionErrorCode.UnknownMessageIndex:
      return { failed: 'unknown-index' }
    case DecryptionErrorCode.MismatchedSender:
    case DecryptionErrorCode.MismatchedIdentityKeys:
      return { failed: 'mismatched-sender' }
    default:
      return { failed: 'undecryptable' }
  }
}
