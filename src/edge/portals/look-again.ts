import type { PortalContext } from './context.ts'

/** For what failed: a commit whose answer was lost is done and has woken nobody, so the portal looks what it has to do. */
export const lookAgain =
  (context: PortalContext, portal: number) =>
  (error: unknown): never => {
    context.wake(portal)
    throw error
  }
