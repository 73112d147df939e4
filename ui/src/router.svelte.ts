// The page's address: its path decides what is shown, its query holds what was chosen.

class Router {
  path = $state(location.pathname)
  query = $state.raw(new URLSearchParams(location.search))

  constructor() {
    addEventListener('popstate', () => this.#read())
  }

  /** Goes to another page. */
  go(address: string): void {
    history.pushState(null, '', address)
    this.#read()
    scrollTo(0, 0)
  }

  /** Changes what was chosen on this page; `step` makes the back button undo it. */
  choose(query: URLSearchParams, step = true): void {
    const text = query.toString()
    const address = this.path + (text ? `?${text}` : '')
    if (step) history.pushState(null, '', address)
    else history.replaceState(null, '', address)
    this.#read()
  }

  #read(): void {
    this.path = location.pathname
    this.query = new URLSearchParams(location.search)
  }
}

export const router = new Router()

/** Lets plain links of this page change it in place; everything else is the browser's. */
export function followLinks(node: HTMLElement): { destroy(): void } {
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = (event.target as Element).closest('a')
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return
    if (link.pathname.startsWith('/api/')) return
    event.preventDefault()
    router.go(link.pathname + link.search)
  }
  node.addEventListener('click', follow)
  return { destroy: () => node.removeEventListener('click', follow) }
}
