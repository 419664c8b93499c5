/** What a page may do. The camera only where a code is scanned. */
export interface PageKind {
  readonly path: string
  readonly camera: boolean
  /** Only where anybody may make an account. */
  readonly trial: boolean
}

/** The pages there are, by the name under which they are built. */
export const pageKinds: Readonly<Record<string, PageKind>> = {
  guest: { path: '/g/', camera: false, trial: false },
  app: { path: '/app', camera: true, trial: true },
  audit: { path: '/audit', camera: false, trial: false },
}

/**
 * Everything is forbidden that is not named. Scripts run by the hash of what was built alone, and no text becomes markup
 * (Trusted Types without any policy). 'self' in connect-src is also this host's WebSocket (CSP3 §6.7.2.8).
 */
export function contentSecurityPolicy(scripts: readonly string[]): string {
  return [
    "default-src 'none'",
    `script-src ${scripts.length === 0 ? "'none'" : scripts.map((hash) => `'${hash}'`).join(' ')}`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
}

/** Names that browsers know by now; others would be a warning in the console of each. */
const closed = [
  ...['accelerometer', 'autoplay', 'browsing-topics', 'clipboard-read', 'display-capture', 'encrypted-media'],
  ...['fullscreen', 'geolocation', 'gyroscope', 'hid', 'idle-detection', 'keyboard-map', 'magnetometer', 'microphone'],
  ...['midi', 'payment', 'picture-in-picture', 'publickey-credentials-get', 'screen-wake-lock', 'serial', 'usb'],
  ...['xr-spatial-tracking'],
]

function permissionsPolicy(camera: boolean): string {
  return [`camera=${camera ? '(self)' : '()'}`, ...closed.map((name) => `${name}=()`)].join(', ')
}

/** Of everything that is served here. */
export const commonHeaders: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'x-robots-tag': 'noindex, nofollow, noarchive',
}

/** Of a page. `no-store`: the path of the guest's page names a link, and no cache is to keep it. */
export function pageHeaders(policy: string, { camera }: PageKind): Record<string, string> {
  return {
    ...commonHeaders,
    'content-security-policy': policy,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'origin-agent-cluster': '?1',
    'permissions-policy': permissionsPolicy(camera),
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
  }
}

/** Of what a page loads: its name is its content, so it never changes. */
export const assetHeaders: Readonly<Record<string, string>> = {
  ...commonHeaders,
  'cache-control': 'public, max-age=31536000, immutable',
}
