// Calls of the server's JSON routes. A refusal becomes a `Refusal` with what the server says about it.

import type { ErrorBody } from '../wire'

export class Refusal extends Error {
  readonly status: number
  readonly kind: string
  readonly detail: string | null
  readonly hint: string | null

  constructor(status: number, message: string, kind: string, detail: string | null = null, hint: string | null = null) {
    super(message)
    this.name = 'Refusal'
    this.status = status
    this.kind = kind
    this.detail = detail
    this.hint = hint
  }
}

type Method = 'GET' | 'POST' | 'DELETE'

let loggedOut: () => void = () => {}

/** What to do when the server asks for a login. */
export function onLoggedOut(action: () => void): void {
  loggedOut = action
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await call('GET', path, undefined, signal)).json() as Promise<T>
}

export async function text(path: string, signal?: AbortSignal): Promise<string> {
  return (await call('GET', path, undefined, signal)).text()
}

export async function send<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return (await call(method, path, body, signal)).json() as Promise<T>
}

export async function call(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json, */*;q=0.5' }
  // A form of another site cannot set a header: the server refuses changes without this one.
  if (method !== 'GET') headers['x-headwater'] = '1'
  if (body !== undefined) headers['content-type'] = 'application/json'
  const request = { method, headers, signal: signal ?? null, body: body === undefined ? null : JSON.stringify(body) }
  const response = await fetch(path, request).catch((error: unknown) => {
    if (isAbort(error)) throw error
    throw new Refusal(0, 'the server does not answer', 'external', null, 'It may be restarting; the page tries again.')
  })
  if (!response.ok) throw await refusal(response)
  return response
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** Whatever was thrown, as something that can be shown. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  const message = error instanceof Error ? error.message : String(error)
  return new Refusal(0, 'the answer cannot be read', 'internal', message)
}

async function refusal(response: Response): Promise<Refusal> {
  const body = (await response.json().catch(() => null)) as ErrorBody | null
  const error = body?.error
  const kind = error?.kind ?? 'internal'
  if (response.status === 401 && kind === 'unauthenticated') loggedOut()
  if (!error) return new Refusal(response.status, `the server answered with status ${response.status}`, kind)
  return new Refusal(response.status, error.message, kind, error.detail, error.hint)
}
