/** An extension of a GroupContext, GroupInfo or leaf, by its number in the IANA registry or a private one of ours. */
export interface Extension {
  type: number
  data: Uint8Array
}

/** An external pre-shared key (RFC 9420 §8.4): the id travels in the clear, the secret never. */
export interface Psk {
  id: Uint8Array
  secret: Uint8Array
}

/** What a leaf says of its owner. */
export interface LeafClaim {
  /** The identity of a basic credential; empty for any other kind, which nobody should accept. */
  identity: Uint8Array
  signatureKey: Uint8Array
}

/** A leaf in its place: `index` counts leaves from the left, from 0. */
export interface LeafView extends LeafClaim {
  index: number
}

/**
 * Decides whether a leaf belongs to whom it says. Called for every leaf of a tree that is joined and for every leaf that
 * is added or changed; throws to refuse. ts-mls' own default accepts everyone.
 */
export type AuthenticateLeaf = (leaf: LeafClaim) => void | Promise<void>

export type SenderView =
  | { type: 'member'; index: number }
  /** An external sender, by its place in the external_senders extension: the hub. */
  | { type: 'external'; index: number }
  /** Someone who proposes or commits their own joining. */
  | { type: 'new-member' }

export type ProposalView =
  | { type: 'add'; leaf: LeafClaim }
  | { type: 'update'; index: number; leaf: LeafClaim }
  | { type: 'remove'; index: number }
  | { type: 'psk'; id: Uint8Array }
  | { type: 'extensions'; extensions: Extension[] }
  | { type: 'reinit' }
  | { type: 'external-init' }

/** What a commit did to the members. An added or changed leaf is given as it is now, a removed one as it was. */
export interface CommitView {
  sender: SenderView
  /** The leaf of the committer after the commit; for an external commit the new leaf. */
  committer: LeafView
  aad: Uint8Array
  added: LeafView[]
  removed: LeafView[]
  updated: LeafView[]
  /** `by`: the leaf that made it; absent for the hub's, and for those of a new member's own commit. */
  proposals: (ProposalView & { by?: number })[]
  external: boolean
}
