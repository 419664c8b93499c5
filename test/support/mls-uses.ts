import assert from 'node:assert/strict'
import type { ClientState } from 'ts-mls'
import { decodeMlsMessage } from 'ts-mls/message.js'
import { decryptSenderData } from 'ts-mls/privateMessage.js'
import type { Storage } from '../../src/client/index.ts'
import type { RoomId } from '../../src/identity/index.ts'
import { decodeState } from '../../src/mls/index.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import type { ServerFrame } from '../../src/protocol/index.ts'

/**
 * Keeps what a device is handed of a room's log, and which key each message used: whoever is in an epoch can read who
 * sent a message in it under which generation (RFC 9420 §6.3.2).
 */
export interface MlsLog {
  onFrame(frame: ServerFrame): void
  /** Keeps what opens the sender data of the epochs that the device knows now. */
  noteEpochs(storage: Storage, room: RoomId): Promise<void>
  /**
   * Epoch (by its number, and by its secret: two groups can have the same), leaf and generation of each message.
   *
   * @param missed messages of epochs that no noted device was in
   */
  uses(room: RoomId, missed?: number): Promise<string[]>
}

export function mlsLog(): MlsLog {
  const entries = new Map<string, Uint8Array>()
  const secrets = new Map<bigint, Map<string, Uint8Array>>()
  const note = (epoch: bigint, secret: Uint8Array) => {
    const known = secrets.get(epoch) ?? new Map<string, Uint8Array>()
    secrets.set(epoch, known.set(Buffer.from(secret).toString('hex').slice(0, 12), secret))
  }
  const { suite } = nodeMlsProvider()
  return {
    onFrame({ body }) {
      if (body.case !== 'deliver') return
      const { room, seq, message } = body.value
      const place = `${room} ${String(seq).padStart(12, '0')}`
      const before = entries.get(place)
      if (before) assert.deepEqual(message, before, 'an entry of the log changed')
      entries.set(place, message)
    },
    async noteEpochs(storage, room) {
      const [group, ratchets] = await storage.transaction((tx) =>
        Promise.all([tx.get('group', room), tx.get('ratchets', room)]),
      )
      assert.ok(group && ratchets)
      const state = decodeState({ group, ratchets }) as unknown as ClientState
      note(state.groupContext.epoch, state.keySchedule.senderDataSecret)
      for (const [epoch, { senderDataSecret }] of state.historicalReceiverData) note(epoch, senderDataSecret)
    },
    async uses(room, missed = 0) {
      const foreign: string[] = []
      const uses: string[] = []
      for (const [place, bytes] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
        if (!place.startsWith(`${room} `)) continue
        const message = decodeMlsMessage(bytes, 0)![0]
        if (message.wireformat !== 'mls_private_message') continue
        const { epoch } = message.privateMessage
        let use: string | undefined
        for (const [name, secret] of secrets.get(epoch) ?? []) {
          const sender = await decryptSenderData(message.privateMessage, secret, suite).catch(() => undefined)
          if (sender) use = `epoch ${epoch} (${name}) leaf ${sender.leafIndex} generation ${sender.generation}`
        }
        if (use) uses.push(use)
        else foreign.push(`${epoch}`)
      }
      assert.equal(foreign.length, missed, `messages of epochs that were not noted: ${foreign}`)
      return uses
    },
  }
}
