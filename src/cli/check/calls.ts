/** One answer of a server, or why there was none. */
export type Answer =
  | {
      readonly status: number
      readonly body: Record<string, unknown>
      readonly date: Date | undefined
    }
  | { readonly failed: 'name' | 'refused' | 'tls' | 'timeout' | 'not-json' | 'other'; readonly detail: string }

export type Call = (
  method: string,
  path: string,
  body?: object,
  query?: Readonly<Record<string, string>>,
) => Promise<Answer>

/** Federated keys and room joins take longer, but nothing that is asked here. */
const timeoutMs = 10_000
const largestAnswer = 1024 * 1024

/** Asks a server; never throws. */
export function caller(baseUrl: string, token: string | undefined, send: typeof fetch): Call {
  const base = baseUrl.replace(/\/+$/, '')
  return async (method, path, body, query = {}) => {
    const search = new URLSearchParams(query).toString()
    try {
      const response = await send(`${base}${path}${search ? `?${search}` : ''}`, {
        method,
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body ? { 'content-type': 'application/json' } : {}),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      const date = new Date(response.headers.get('date') ?? Number.NaN)
      const parsed = parse(await readAtMost(response, largestAnswer))
      if (!parsed) return { failed: 'not-json', detail: `status ${response.status}` }
      return {
        status: response.status,
        body: parsed,
        date: Number.isNaN(date.getTime()) ? undefined : date,
      }
    } catch (error) {
      return { failed: kindOf(error), detail: codeOf(error) }
    }
  }
}

async function readAtMost(response: Response, limit: number): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    if (text.length > limit) throw new Error('the answer is too long')
  }
  return text
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): string {
  const { code, cause, name } = error as {
    code?: unknown
    cause?: { code?: unknown; message?: unknown }
    name?: unknown
  }
  return String(cause?.code ?? cause?.message ?? (typeof code === 'string' ? code : name))
}

function kindOf(error: unknown): 'name' | 'refused' | 'tls' | 'timeout' | 'other' {
  const code = codeOf(error)
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'name'
  if (code === 'ECONNREFUSED') return 'refused'
  if (code === 'TimeoutError' || /TIMEOUT|ETIMEDOUT/.test(code)) return 'timeout'
  if (/CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO/.test(code)) return 'tls'
  return 'other'
}
