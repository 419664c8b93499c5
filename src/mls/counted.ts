import type { MlsProvider } from './suite.ts'

/** What a message, a commit or a join cost beside hashing. */
export type MlsOperation = 'sign' | 'verify' | 'hpke-seal' | 'hpke-open' | 'aead-seal' | 'aead-open'

/** A provider that tells of each operation with a key. */
export function counted(provider: MlsProvider, count: (operation: MlsOperation) => void): MlsProvider {
  const telling =
    <Given extends readonly unknown[], Result>(operation: MlsOperation, work: (...given: Given) => Result) =>
    (...given: Given): Result => {
      count(operation)
      return work(...given)
    }
  const { signature, hpke } = provider.suite
  return {
    ...provider,
    suite: {
      ...provider.suite,
      signature: {
        ...signature,
        sign: telling('sign', signature.sign),
        verify: telling('verify', signature.verify),
      },
      hpke: {
        ...hpke,
        seal: telling('hpke-seal', hpke.seal),
        open: telling('hpke-open', hpke.open),
        encryptAead: telling('aead-seal', hpke.encryptAead),
        decryptAead: telling('aead-open', hpke.decryptAead),
      },
    },
  }
}
