/**
 * What became of a page's requests for camera, microphone and screen, and that its devices changed, out of the calls that
 * recorders note. They are of the page and of none of its connections. Labels of devices are not read.
 */
import type { ReportEvent } from '../contract.ts';
import { isObject, stringOf } from './formats/format.ts';
import type { Said } from './formats/format.ts';
import { Recent } from './recent.ts';

/** Requests without an answer that are remembered. */
const MAX_REMEMBERED = 50;

const CALL = /^(?:navigator\.)?(?:mediaDevices\.)?get(User|Display)Media(OnSuccess|OnFailure)?$/;
const DEVICES_CHANGED = /^(?:navigator\.)?(?:mediaDevices\.)?ondevicechange$/;

/** One thing that a recorder noted. */
export interface MediaCall {
  /** As rtcstats calls it: `navigator.mediaDevices.getUserMediaOnFailure`. */
  readonly method: string;
  /** Constraints of a request; of a failure the error, or a text that begins with its name. */
  readonly value: unknown;
  readonly page: string;
  /** Which request it answers; where nothing says it, the last one. */
  readonly request?: string | undefined;
  /** Unix milliseconds. */
  readonly t: number;
}

interface Request {
  readonly t: number;
  readonly detail: { readonly audio: boolean; readonly video: boolean };
}

export class MediaRequests {
  readonly #asked = new Recent<Request>(MAX_REMEMBERED);

  static concerns(method: string): boolean {
    return CALL.test(method) || DEVICES_CHANGED.test(method);
  }

  *read(call: MediaCall, at: string): Generator<Said> {
    const { method, t } = call;
    const event = DEVICES_CHANGED.test(method) ? { type: 'device', value: 'changed' } : this.#answer(call);
    if (event !== undefined) yield { origin: { connection: '' }, at, event: { t, ...event } };
  }

  /** The event of an answer; a request is remembered until then. */
  #answer({ method, value, page, request, t }: MediaCall): Omit<ReportEvent, 't'> | undefined {
    const [, what = '', outcome] = CALL.exec(method) ?? [];
    const key = JSON.stringify([page, what, request ?? '']);
    if (outcome === undefined) {
      const constraints = isObject(value) ? value : {};
      const detail = { audio: wants(constraints['audio']), video: wants(constraints['video']) };
      this.#asked.set(key, { t, detail });
      return undefined;
    }
    const asked = this.#asked.get(key);
    this.#asked.delete(key);
    const ms =
      asked === undefined ? {} : { ms: Math.max(0, Math.round(t) - Math.round(asked.t)), detail: asked.detail };
    const type = what === 'User' ? 'get_user_media' : 'get_display_media';
    return { type, value: outcome === 'OnSuccess' ? 'granted' : errorName(value), ...ms };
  }
}

/** Chrome's page writes constraints as text, which is empty where there are none. */
function wants(constraint: unknown): boolean {
  return constraint !== undefined && constraint !== false && constraint !== null;
}

/** `NotAllowedError`, of itself, of `NotAllowedError: Permission denied`, or of an object that has it. */
function errorName(value: unknown): string {
  const text = isObject(value) ? (stringOf(value['name']) ?? stringOf(value['error'])) : stringOf(value);
  return /^[A-Za-z]\w{0,63}/.exec(text ?? '')?.[0] ?? 'unknown';
}
