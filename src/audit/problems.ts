import type { Context } from 'hono'

/** What the auditors' API refuses, each with its status and what a person is told. */
export const problems = {
  unauthorized: { status: 401, title: 'An auditor’s credential is needed' },
  'out-of-scope': { status: 403, title: 'This credential is not for that' },
  'credential-changed': {
    status: 403,
    title: 'This credential is not as the log tells: the operator has to revoke it and to add a new one',
  },
  'not-found': { status: 404, title: 'There is nothing of that name in this log' },
  'wrong-method': { status: 405, title: 'Only GET and HEAD are answered here' },
  'unknown-parameter': { status: 400, title: 'There is no such parameter' },
  'bad-parameter': { status: 400, title: 'A parameter cannot be read' },
  'too-much': { status: 400, title: 'That is more than is added up at once: ask for a shorter time' },
  'bad-cursor': { status: 400, title: 'This cursor belongs to another question' },
  busy: { status: 429, title: 'Too many questions at once' },
  unavailable: { status: 503, title: 'The log cannot be read at the moment' },
} as const

export type ProblemCode = keyof typeof problems

/** RFC 9457. `detail` names a parameter and what it must be, never what was in it. */
export function problem(c: Context, code: ProblemCode, detail?: string): Response {
  const { status, title } = problems[code]
  const body = { type: `urn:silta:audit:${code}`, code, status, title, ...(detail === undefined ? {} : { detail }) }
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' }
  if (code === 'unauthorized') headers['www-authenticate'] = 'Bearer realm="audit"'
  if (code === 'wrong-method') headers.allow = 'GET, HEAD'
  if (code === 'busy') headers['retry-after'] = '1'
  return c.body(JSON.stringify(body), status, headers)
}
