// When to work: what a click changed is shown first, what follows from it is done after.

/** Runs `act` once the browser has drawn what changed until now. A page nobody sees draws nothing: there it runs at once. */
export function afterPaint(act: () => void): void {
  if (document.visibilityState === 'hidden') act()
  else requestAnimationFrame(() => setTimeout(act))
}
