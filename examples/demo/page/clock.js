// The wall clock with a fraction of a millisecond.
//
// The revocation's time comes from the authority's wall clock, so the page's must be one too; Date.now() alone counts
// whole milliseconds. The fraction comes from the page's own ticks, which stop while a machine sleeps: when the two
// disagree, the wall clock is right.

let start = performance.timeOrigin;

/** Milliseconds since 1970. */
export function wallNow() {
  const ticks = performance.now();
  const whole = Date.now();
  const ahead = start + ticks - whole;
  if (ahead < -0.5 || ahead > 1.5) start = whole + 0.5 - ticks;
  return start + ticks;
}

/** The time of day, for people. */
export function timeOfDay(wall) {
  return new Date(wall).toLocaleTimeString([], { hour12: false });
}

/** A span, for people: "3.2 ms", "1.4 s". */
export function span(ms) {
  const size = Math.abs(ms);
  if (size < 100) return `${ms.toFixed(1)} ms`;
  if (size < 10_000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}
