/** LiveKit's side of a webhook, as livekit/protocol has it: the event as protobuf's JSON, and the token that goes with it. */
import { createHash, createHmac } from 'node:crypto';

export const API_KEY = 'APIzNgRw2jL5Kd9';
export const API_SECRET = 'a-secret-that-is-LiveKits-own-of-some-length';

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT under HS256; `header` is what it says of itself. */
export function signed(claims: object, secret = API_SECRET, header: object = { alg: 'HS256', typ: 'JWT' }): string {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

export const hashOf = (body: string) => createHash('sha256').update(body).digest('base64');

/** The Authorization that LiveKit sends beside a body at a moment (Unix milliseconds): good for five minutes. */
export function authorization(body: string, now: number, change: object = {}, secret = API_SECRET): string {
  const seconds = Math.floor(now / 1000);
  return signed({ iss: API_KEY, nbf: seconds, exp: seconds + 300, sha256: hashOf(body), ...change }, secret);
}

let events = 0;

export interface Said {
  readonly event: string;
  readonly room: string;
  readonly identity?: string;
  readonly sid?: string;
  /** Unix seconds. */
  readonly at: number;
  readonly joinedAt?: number;
  readonly track?: string;
  readonly id?: string;
}

/** int64 as text, nothing that is empty, and what Turnpike has no use for. */
export function webhook({ at, event, id, identity, joinedAt, room, sid, track }: Said): string {
  events += 1;
  const participant = {
    sid: sid ?? `PA_${identity}`,
    identity,
    state: event === 'participant_left' ? 'DISCONNECTED' : 'ACTIVE',
    ...(joinedAt === undefined ? {} : { joinedAt: String(joinedAt) }),
    name: 'A name for people',
    metadata: '{"phone":"+4930123456"}',
    ...(event === 'participant_left' ? { disconnectReason: 'CLIENT_INITIATED' } : {}),
  };
  return JSON.stringify({
    event,
    room: {
      sid: `RM_${room}`,
      name: room,
      emptyTimeout: 300,
      creationTime: String(at - 10),
      turnPassword: 'not for us',
      enabledCodecs: [{ mime: 'audio/opus' }],
    },
    ...(identity === undefined ? {} : { participant }),
    ...(track === undefined ? {} : { track: { sid: `TR_${track}`, type: track, source: 'CAMERA' } }),
    id: id ?? `EV_${events}`,
    createdAt: String(at),
  });
}
