/** Every input format. The first that recognises the beginning of an input reads it. */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Format } from './formats/format.ts';
import { native } from './formats/native.ts';
import { observertc } from './formats/observertc.ts';
import { peermetrics } from './formats/peermetrics.ts';
import { rtcstats } from './formats/rtcstats.ts';
import { rtcstatsLegacy } from './formats/rtcstats-legacy.ts';
import { webrtcInternals } from './formats/webrtc-internals.ts';

export const formats: readonly Format[] = [native, webrtcInternals, observertc, peermetrics, rtcstats, rtcstatsLegacy];

/** Throws TP_COLLECTOR_FORMAT for the beginning of something else. */
export function formatOf(first: unknown): Format {
  const format = formats.find((candidate) => candidate.recognises(first));
  if (format === undefined) throw new TurnpikeError('TP_COLLECTOR_FORMAT');
  return format;
}
