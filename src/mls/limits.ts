/**
 * Bounds of what is taken from the network, checked before decoding. An attacker chooses these bytes; what they cost in
 * memory and time is decided here.
 */

/** A handshake or application message: the messenger's frames are smaller, and MIMI content is at most 64 KiB. */
export const maxMessageBytes = 1024 * 1024

/** GroupInfo and Welcome carry the ratchet tree: about 700 bytes a leaf, so a thousand members and more fit. */
export const maxTreeMessageBytes = 4 * 1024 * 1024

/** A KeyPackage: two keys, a credential with certificates, two signatures. */
export const maxKeyPackageBytes = 16 * 1024

/** Nodes of a ratchet tree, so leaves ≤ 4096. A blank node is one byte on the wire and several objects in memory. */
export const maxTreeNodes = 8191

/** Proposals waiting for a commit. The hub refuses more, so that no member has to forget one that another commits. */
export const maxPendingProposals = 64

/** Proposals of one commit: adding a whole group at once has to fit. */
export const maxCommitProposals = 1024

/** Extensions in one list (GroupContext, GroupInfo, leaf). */
export const maxExtensions = 32

/** The credential of a leaf: a device certificate and an endorsement are about 500 bytes. */
export const maxIdentityBytes = 4096

/**
 * Values in one list of a leaf's capabilities. Ours have three at most, others add a few of GREASE. A leaf stays in the
 * tree, which is encoded for every commit, and the library's encoder goes one call deeper for each value: some ten
 * thousand of them end the stack of everyone who commits.
 */
export const maxCapabilities = 256

/**
 * The extensions of a leaf together; ours has none. They stay in the tree, and so in each GroupInfo: two leaves with all
 * that a message holds would make every later commit larger than anybody takes.
 */
export const maxLeafExtensionBytes = 4096

/** Past epochs whose messages can still be read. The hub puts messages and commits into one order, so one is plenty. */
export const retainedEpochs = 1

/** Keys of skipped messages kept per sender, for messages that arrive out of order. */
export const retainedGenerations = 16

/** How far a sender's ratchet may be ahead of us: what was skipped unseen, at about 20 µs a step. */
export const maxRatchetSteps = 2000

/** A message of application data, where nothing else is said: what the messenger's hub takes as one. */
export const usualMessageBytes = 64 * 1024

/** What a PrivateMessage has around what is encrypted: the group's id, which is a room's (290 bytes at most), and 65 more. */
export const messageFrameBytes = 512

/**
 * Plaintext is padded so that its framing reaches the next of these sizes, in bytes: what the hub sees of a length is the
 * bucket. The last bucket is not here: it is the largest that still fits into a message.
 */
export const paddingBuckets = [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768] as const
