// The time of `12 s ago`: one timer for the page.

class Clock {
  now = $state(Date.now())

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now()
    }, 1_000)
  }
}

export const clock = new Clock()
