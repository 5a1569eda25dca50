/** Waiting as a parameter, so that a test decides when a second has passed. */
export interface Timer {
  /** Calls once, after this many milliseconds, unless cancelled first. */
  after(milliseconds: number, call: () => void): Cancel;
}
export type Cancel = () => void;

export const systemTimer: Timer = {
  after(milliseconds, call) {
    const handle = setTimeout(call, milliseconds);
    return () => clearTimeout(handle);
  },
};

export function pause(timer: Timer, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    timer.after(milliseconds, resolve);
  });
}
