/** An Ed25519 key pair: a public key of 32 bytes and the 32-byte seed it is derived from (RFC 8032 §5.1.5). */
export interface KeyPair {
  publicKey: Uint8Array
  privateKey: Uint8Array
}

/**
 * Synchronous primitives. Arguments of a wrong length are a fault of the caller and throw CryptoError 'bad-argument',
 * except in `verify`, whose key and signature come from the network: there they make the answer false.
 */
export interface Crypto {
  /** n bytes from the system's generator, 0 ≤ n ≤ 65536. */
  randomBytes(n: number): Uint8Array
  /** SHA-256 (FIPS 180-4) over the parts one after another, as if they were one string of bytes; 32 bytes. */
  sha256(...parts: Uint8Array[]): Uint8Array
  /** HMAC-SHA-256 (RFC 2104), 32 bytes. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array
  /** HKDF-SHA-256, extract and expand (RFC 5869); length in bytes, 1 to 8160. A text info is taken as UTF-8. */
  hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: string | Uint8Array, length: number): Uint8Array
  generateKeyPair(): KeyPair
  publicKeyOf(privateKey: Uint8Array): Uint8Array
  /** Pure Ed25519 (RFC 8032 §5.1.6), 64 bytes. */
  sign(privateKey: Uint8Array, data: Uint8Array): Uint8Array
  /**
   * Pure Ed25519 by the cofactorless equation, refusing public keys of small order and encodings that are not
   * canonical. RFC 8032 leaves room where libraries differ; were members of one group to differ on a signature made to
   * measure, the group would split. So both implementations give the same answer to every input.
   */
  verify(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean
  /** AES-256-GCM: a random nonce of 12 bytes, the ciphertext, a tag of 16 bytes. The key has 32 bytes. */
  seal(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Uint8Array
  /** Reverses `seal`; throws CryptoError 'cannot-open' for a wrong key, other associated data or changed bytes. */
  open(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array
}
