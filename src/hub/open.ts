import type { Audit } from '../audit/index.ts'
import type { Bus } from '../bus/index.ts'
import type { Crypto, KeyPair } from '../crypto/index.ts'
import type { DeviceId, ProviderTrust } from '../identity/index.ts'
import type { MlsProvider } from '../mls/public.ts'
import { type Database, isStoreError } from '../store/index.ts'
import { createAccount, type TokenClaims } from './accounts/create.ts'
import { findDevice } from './accounts/devices.ts'
import { getManifest, putManifest } from './accounts/manifests.ts'
import { openCleaning } from './cleaning.ts'
import { answerConsent, readConsents, requestConsent } from './consent.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'
import { awaitAnswer } from './guests/answers.ts'
import { createGuestRoom, type GuestCreation } from './guests/create.ts'
import { openEndings } from './guests/end.ts'
import { type ChatEnding, extendChat, readEndings } from './guests/ending.ts'
import { enterInvite } from './guests/enter.ts'
import {
  answerGuest,
  extendInvite,
  listInvites,
  openInvite,
  putInvite,
  revokeInvite,
  waitingGuests,
} from './guests/invites.ts'
import type { HubMetrics } from './instruments.ts'
import { claimKeyPackages, countKeyPackages, publishKeyPackages } from './key-packages.ts'
import { completeLink, openLink } from './links.ts'
import { acceptForeign, checkForeignLookUp, findByHandle } from './look-ups.ts'
import { acknowledge, lookForNews, readRoom, readWelcomes, roomsWithNews } from './mailbox.ts'
import { block, getPreferences, type PreferenceChange, putPreferences } from './preferences.ts'
import { report } from './reports.ts'
import { submitCommit } from './rooms/commits.ts'
import { createRoom, type RoomCreation } from './rooms/create.ts'
import { sendEphemeral } from './rooms/ephemeral.ts'
import { submitMessages } from './rooms/messages.ts'
import type { Accepted } from './rooms/rows.ts'
import { answerRoom, getGroupInfo, leaveRoom, listRooms, readStandings } from './rooms/standing.ts'
import type { CommitSubmission, MessageSubmission, MessagesSubmission } from './rooms/submissions.ts'
import { defaultHubSettings, type HubSettings } from './settings.ts'
import type { HubStep } from './steps.ts'
import { listen, type News, wake } from './wake-ups.ts'

export interface HubOptions {
  database: Database
  bus: Bus
  crypto: Crypto
  mls: MlsProvider
  /** The provider's domain. */
  provider: string
  /** Endorses accounts, and proposes removals as external sender of every room. */
  providerKeyPair: KeyPair
  /** 32 bytes, kept for as long as the accounts: under it the subjects of tokens are hidden. */
  subjectKey: Uint8Array
  /** The networks that somebody can be reachable over; any when not given. */
  networks?: readonly string[]
  /** Milliseconds since the epoch. */
  clock?: () => number
  settings?: Partial<HubSettings>
  metrics?: HubMetrics
  /** Told of each fault of ours, for a log: of the error only kind and place may be shown. `where` is one of few words. */
  onFault?: (error: unknown, where: string) => void
  /** The compliance log; without it nothing is taken down. */
  audit?: Audit
  /** Called between what must survive a kill; for crash tests. */
  steps?: (step: HubStep) => void | Promise<void>
}

/** How often a transaction that met another one is begun anew. */
const mostAttempts = 3

export type Hub = ReturnType<typeof openHub>

/**
 * The hub of one provider. Every operation rejects with HubError and with nothing else: a fault of the database is
 * `unavailable`.
 */
export function openHub(options: HubOptions) {
  const { provider, providerKeyPair } = options
  const trust: ProviderTrust = {
    providerKeys: (domain) => (domain === provider ? [providerKeyPair.publicKey] : []),
  }
  const background = new Set<Promise<void>>()
  const ctx: HubContext = {
    ...options,
    trust,
    clock: options.clock ?? Date.now,
    settings: { ...defaultHubSettings, ...options.settings },
    metrics: options.metrics ?? { count: () => undefined },
    audit: options.audit ?? { append: async () => undefined },
    fault(error, where) {
      ctx.metrics.count('faults', { in: where })
      options.onFault?.(error, where)
    },
    later(work) {
      const running = work()
        .catch((error: unknown) => ctx.fault(error, 'later'))
        .finally(() => background.delete(running))
      background.add(running)
    },
  }
  const cleaning = openCleaning(ctx)
  const endings = openEndings(ctx, async () => options.steps?.('hub.guest.ended'))
  /** What is in the log and has not been answered. */
  const accepted = async <T extends Accepted | Accepted[]>(answer: Promise<T>): Promise<T> => {
    const given = await answer
    await options.steps?.('hub.accepted')
    return given
  }
  /** The step after an operation. */
  const then =
    <A extends unknown[], R>(step: HubStep, operation: (ctx: HubContext, ...args: A) => Promise<R>) =>
    async (_: HubContext, ...args: A): Promise<R> => {
      const result = await operation(ctx, ...args)
      await options.steps?.(step)
      return result
    }
  const guarded =
    <A extends unknown[], R>(operation: (ctx: HubContext, ...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      for (let attempt = 1; ; attempt++)
        try {
          return await operation(ctx, ...args)
        } catch (cause) {
          // Two transactions that stood in each other's way: nothing was stored, and once more will do.
          if (isStoreError(cause, 'busy') && attempt < mostAttempts) continue
          throw asHubError(ctx, cause)
        }
    }

  /** What a guest has no use for is refused before it is looked at. */
  const notForGuests =
    <A extends unknown[], R>(operation: (ctx: HubContext, asker: Asker, ...args: A) => Promise<R>) =>
    async (asker: Asker, ...args: A): Promise<R> => {
      if (asker.accountKind === 'guest') throw new HubError('not-allowed')
      return guarded(operation)(asker, ...args)
    }

  return {
    provider,
    providerKey: providerKeyPair.publicKey,
    settings: ctx.settings,

    createAccount: guarded((_, token: TokenClaims, accountKey: Uint8Array) => createAccount(ctx, token, accountKey)),
    putManifest: guarded(putManifest),
    getManifest: guarded(getManifest),
    findDevice: guarded(findDevice),

    openLink: guarded(openLink),
    completeLink: guarded(completeLink),

    findByHandle: notForGuests(findByHandle),
    checkForeignLookUp: notForGuests(checkForeignLookUp),
    acceptForeign: notForGuests(acceptForeign),

    publishKeyPackages: notForGuests(publishKeyPackages),
    claimKeyPackages: notForGuests(claimKeyPackages),
    countKeyPackages: guarded((_, device: DeviceId) => countKeyPackages(ctx, ctx.database, device)),

    createRoom: guarded((_, asker: Asker, creation: RoomCreation) => accepted(createRoom(ctx, asker, creation))),
    submitCommit: guarded((_, asker: Asker, submission: CommitSubmission) =>
      accepted(submitCommit(ctx, asker, submission)),
    ),
    submitMessage: guarded(async (_, asker: Asker, { room, ...message }: MessageSubmission) => {
      const [place] = await accepted(submitMessages(ctx, asker, { room, messages: [message] }))
      return place!
    }),
    submitMessages: guarded((_, asker: Asker, submission: MessagesSubmission) =>
      accepted(submitMessages(ctx, asker, submission)),
    ),
    sendEphemeral: guarded(sendEphemeral),
    getGroupInfo: guarded(getGroupInfo),
    listRooms: guarded(listRooms),
    leaveRoom: guarded(leaveRoom),
    answerRoom: guarded(answerRoom),
    readStandings: guarded(readStandings),

    roomsWithNews: guarded(roomsWithNews),
    lookForNews: guarded(lookForNews),
    readRoom: guarded(readRoom),
    readWelcomes: guarded(readWelcomes),
    acknowledge: guarded(
      async (
        _,
        device: DeviceId,
        cursors: readonly { room: string; seq: number }[],
        welcomes: readonly number[],
      ): Promise<void> => cleaning.note(await acknowledge(ctx, device, cursors, welcomes)),
    ),

    getPreferences: guarded(getPreferences),
    putPreferences: notForGuests((_, asker, change: PreferenceChange) => putPreferences(ctx, asker, change)),
    block: guarded(then('hub.guest.blocked', block)),
    report: guarded(report),
    requestConsent: notForGuests(requestConsent),
    answerConsent: notForGuests(answerConsent),
    readConsents: guarded(readConsents),

    putInvite: guarded(putInvite),
    listInvites: notForGuests(listInvites),
    revokeInvite: notForGuests(then('hub.guest.revoked', revokeInvite)),
    answerGuest: notForGuests(answerGuest),
    extendInvite: notForGuests(extendInvite),
    extendChat: guarded(async (_, asker: Asker, room: string): Promise<ChatEnding> => {
      const { ending, lookAt } = await extendChat(ctx, asker, room)
      endings.plan(lookAt)
      return ending
    }),
    readEndings: guarded(readEndings),
    waitingGuests: guarded(waitingGuests),
    /** Calls `onAnswer` when somebody who waits to be let in has an answer. Returns a function that ends it. */
    awaitAnswer: (invite: string, accountKey: Uint8Array, onAnswer: () => void) =>
      awaitAnswer(ctx, invite, accountKey, onAnswer),
    openInvite: guarded(openInvite),
    enterInvite: guarded(then('hub.guest.entered', enterInvite)),
    createGuestRoom: guarded(async (_, guest: GuestCreation) => {
      const { accepted: answer, lookAt } = await createGuestRoom(ctx, guest)
      endings.plan(lookAt)
      return accepted(Promise.resolve(answer))
    }),

    /** Calls `onNews` for what concerns a device from now on. Returns a function that ends it. */
    listen: (device: DeviceId, onNews: (news: News[]) => void) => listen(ctx.bus, device, onNews),
    /** Tells the device's other channels that this one, named `by`, has taken its place. */
    takeOver: (device: DeviceId, by: string) => wake(ctx.bus, device, { kind: 'taken-over', by }),

    /** Deletes what is past its time, now; runs by itself from time to time. */
    clean: guarded(async () => {
      await endings.look()
      await cleaning.clean()
    }),
    /** Stops cleaning and waits for what runs in the background. The database stays open: it is the caller's. */
    async close(): Promise<void> {
      await endings.close()
      await cleaning.close()
      await Promise.all(background)
    },
  }
}

function asHubError(ctx: HubContext, cause: unknown): HubError {
  if (cause instanceof HubError) return cause
  ctx.fault(cause, isStoreError(cause) ? `store-${cause.code}` : 'hub')
  return new HubError('unavailable', { cause })
}
