// Who looks at the page, and what they may do.

import * as api from './api/endpoints'
import { onLoggedOut, refusalOf, type Refusal } from './api/request'
import type { Login, Session } from './wire'

class CurrentSession {
  value = $state.raw<Session | null>(null)
  error = $state.raw<Refusal | null>(null)
  readonly needsLogin = $derived(this.value !== null && this.value.role === null)
  readonly canAct = $derived(
    this.value !== null && !this.value.read_only && (this.value.role === 'editor' || this.value.role === 'admin'),
  )

  constructor() {
    onLoggedOut(() => {
      if (this.value) this.value = { ...this.value, user: null, role: null }
    })
  }

  async load(): Promise<void> {
    try {
      this.value = await api.session()
      this.error = null
    } catch (error) {
      this.error = refusalOf(error)
    }
  }

  async login(body: Login): Promise<void> {
    this.value = await api.login(body)
  }

  async logout(): Promise<void> {
    this.value = await api.logout()
  }
}

export const session = new CurrentSession()
