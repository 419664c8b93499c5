import { HubError } from '../hub/index.ts'
import { IdentityError, parseAccountAddress, parseDeviceId, parseRoomId } from '../identity/index.ts'

// Names as they come in a frame. What has not the one form of its kind goes no further: no text of somebody's choice
// reaches a statement of SQL as an id, and no id has two spellings.

/** Errors: malformed. */
export const roomOf = (text: string) => parsed(() => parseRoomId(text))
/** Errors: malformed. */
export const accountOf = (text: string) => parsed(() => parseAccountAddress(text))

/** Undefined for what cannot be a device: told like a device that nobody knows. */
export function deviceOf(text: string) {
  try {
    return parseDeviceId(text)
  } catch (error) {
    if (error instanceof IdentityError) return undefined
    throw error
  }
}

function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (cause instanceof IdentityError) throw new HubError('malformed', { cause })
    throw cause
  }
}
