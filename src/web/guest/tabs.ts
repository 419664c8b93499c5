/** How long another tab may take to let go of a chat before it is tried all the same, ms. */
const patience = 2_000

/**
 * One chat is in one tab at a time, since its keys must not be used twice. `letGo` is called when another tab asks for it.
 */
export function inOneTab(invite: string, letGo: () => Promise<void>) {
  const channel = new BroadcastChannel(`silta guest ${invite}`)
  let released: (() => void) | undefined
  channel.onmessage = ({ data }) => {
    if (data === 'ask') void letGo().then(() => channel.postMessage('released'))
    if (data === 'released') released?.()
  }
  return {
    ask: () =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, patience)
        released = () => {
          clearTimeout(timer)
          resolve()
        }
        channel.postMessage('ask')
      }),
  }
}
