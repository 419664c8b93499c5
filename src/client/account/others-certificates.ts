import { disposition, singlePart } from '../../content/index.ts'
import { equalBytes, toHex } from '../../crypto/index.ts'
import { readCertificate } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import { addSubmission } from '../rooms/submissions.ts'
import { issuedCertificates, ownManifest, rooms } from '../state/records.ts'
import { inRoom } from '../state/room-work.ts'
import type { StorageTx } from '../types.ts'
import { certify, currentManifest } from './manifests.ts'

export const certificateType = 'application/vnd.silta.certificate+cbor'

/** Primary: gives those of the account's other devices a new certificate whose present one ends before `ends` (seconds). */
export async function renewOthers(context: Context, ends: number): Promise<void> {
  const { self } = context
  const due = await context.storage.transaction(async (tx) => {
    if (!(await ownManifest.get(tx))) return []
    const { read } = await currentManifest(context, tx)
    const issued = new Map((await issuedCertificates.list(tx)).map(({ key, value }) => [key, value.notAfter]))
    // A device from before certificates were taken down here has one of unknown age: it gets a new one, once.
    return read.devices.filter(
      ({ deviceKey }) => !equalBytes(deviceKey, self.deviceKey) && (issued.get(toHex(deviceKey)) ?? 0) <= ends,
    )
  })
  if (due.length === 0) return
  const room = await context.storage.transaction(
    async (tx) => (await rooms.list(tx)).find(({ value }) => value.kind === 'self' && value.joined)?.key,
  )
  if (!room) return
  await inRoom(context, room, async (work) => {
    for (const device of due) {
      const certificate = certify(context, self, device)
      await noteCertificate(context, work.tx, certificate)
      await addSubmission(context, work, { body: singlePart(certificateType, certificate, disposition.unspecified) })
    }
  })
  context.hooks.send?.(room)
}

/** Takes down until when another device of the account is certified. */
export async function noteCertificate(context: Pick<Context, 'crypto'>, tx: StorageTx, certificate: Uint8Array) {
  const { deviceKey, notAfter } = readCertificate(context.crypto, certificate)
  await issuedCertificates.put(tx, toHex(deviceKey), { notAfter })
}
