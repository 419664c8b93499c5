import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** Debian's Chromium, or the one that CHROMIUM names. */
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** Why tests in a browser are skipped here; false when they run. In CI they run, and fail when there is none. */
export function chromiumMissing(): string | false {
  if (existsSync(executablePath) || process.env.CI) return false
  return 'Chromium is not installed (apt-get install chromium)'
}

/** Without a sandbox of its own, since test machines are often containers; only pages of our own are opened. */
export function launchChromium(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...more,
    ],
  })
}
