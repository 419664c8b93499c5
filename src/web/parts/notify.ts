import { type Signal, signal } from '@preact/signals'
import type { Chats } from './chats.ts'
import type { Conversation } from './conversation.ts'
import { say } from './language.ts'

const permission: Signal<string> = signal(globalThis.Notification?.permission ?? 'unsupported')
const following = new WeakSet<Conversation>()

/**
 * Notifications of a conversation: offered once, after the first answer; by a press of a button alone. They say that there is
 * a message, not what it says: a lock screen is read by others.
 */
export function notifyOf(conversation: Conversation, chats: Chats, name: string) {
  const possible = permission.value === 'default'
  if (permission.value === 'granted' && conversation.notes.value.offered) follow(conversation, chats, name)
  return {
    possible,
    offered: possible && !conversation.notes.value.offered && conversation.answered.value,
    async accept() {
      permission.value = await Notification.requestPermission()
      await conversation.remember({ offered: true })
    },
    decline: () => conversation.remember({ offered: true }),
  }
}

function follow(conversation: Conversation, chats: Chats, name: string): void {
  if (following.has(conversation)) return
  following.add(conversation)
  chats.onMessage((room) => {
    if (room !== conversation.id || document.visibilityState === 'visible') return
    try {
      const shown = new Notification(name, { body: say('notify.message'), tag: room })
      shown.onclick = () => globalThis.focus()
    } catch {
      // Some phones let only service workers do this.
    }
  })
}
