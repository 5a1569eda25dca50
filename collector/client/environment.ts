/** Everything the SDK asks of the browser, passed in, so that a test moves time and answers requests by hand. */
export interface Environment {
  /** Unix milliseconds that never step: the wall clock read once, then carried by the monotonic one. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** A fresh connection id: 22 characters of base64url. */
  newId(): string;
  /** Runs `task` once after `milliseconds`; the answer cancels it. */
  after(milliseconds: number, task: () => void): () => void;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Compresses a body with gzip; undefined where the browser cannot. */
  readonly gzip: ((text: string) => Promise<ArrayBuffer>) | undefined;
  /** Hands a text/plain body to the browser, which sends it after the page has gone; false when it is too large. */
  beacon(url: string, body: string): boolean;
  /** Whether fetch outlives the page on request. */
  readonly keepalive: boolean;
  /** Whether a request with JSON and a Bearer header would need a preflight. */
  crossOrigin(url: string): boolean;
  readonly page: PageSignals | undefined;
  /** `devicechange` comes from here. */
  readonly devices: EventTarget | undefined;
  /** Tells the CPU's state (Compute Pressure: nominal, fair, serious, critical) whenever it changes; nothing where there is none. */
  watchPressure(told: (state: string) => void, signal: AbortSignal): void;
}

export interface PageSignals {
  readonly window: EventTarget;
  readonly document: EventTarget;
  hidden(): boolean;
}

const ID_BYTES = 16;

export function browserEnvironment(): Environment {
  const epoch = Date.now() - performance.now();
  return {
    now: () => epoch + performance.now(),
    random: () => Math.random(),
    newId,
    after(milliseconds, task) {
      const timer = setTimeout(task, milliseconds);
      return () => clearTimeout(timer);
    },
    fetch: (url, init) => fetch(url, init),
    gzip: typeof CompressionStream === 'function' ? gzip : undefined,
    beacon(url, body) {
      if (typeof navigator.sendBeacon !== 'function') return false;
      return navigator.sendBeacon(url, new Blob([body], { type: 'text/plain' }));
    },
    keepalive: 'keepalive' in Request.prototype,
    crossOrigin: (url) => new URL(url, location.href).origin !== location.origin,
    page:
      typeof document === 'undefined'
        ? undefined
        : { window, document, hidden: () => document.visibilityState === 'hidden' },
    devices: navigator.mediaDevices, // undefined on insecure pages, whatever its type says
    watchPressure,
  };
}

async function gzip(text: string): Promise<ArrayBuffer> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

/** https://www.w3.org/TR/compute-pressure/; TypeScript does not know it yet. */
interface PressureObserver {
  observe(source: 'cpu', options: { sampleInterval: number }): Promise<void>;
  disconnect(): void;
}
declare const PressureObserver:
  (new (told: (records: readonly { readonly state: string }[]) => void) => PressureObserver) | undefined;

const PRESSURE_INTERVAL_MS = 2_000;

function watchPressure(told: (state: string) => void, signal: AbortSignal): void {
  if (typeof PressureObserver !== 'function') return;
  const observer = new PressureObserver((records) => {
    const last = records.at(-1);
    if (last !== undefined) told(last.state);
  });
  // a page's policy may refuse it
  observer.observe('cpu', { sampleInterval: PRESSURE_INTERVAL_MS }).catch(() => undefined);
  signal.addEventListener('abort', () => observer.disconnect());
}

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
