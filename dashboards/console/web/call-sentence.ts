/** One call in words, above its plots. Pure. */
import type { CallDetail, CallSummary } from '../../../collector/contract.ts';
import {
  formatBytes,
  formatDuration,
  formatModel,
  formatMos,
  formatMs,
  formatRatio,
  formatSeconds,
  plural,
} from './format.ts';
import { mosStep, stepWords } from './quality.ts';

export function callSentence(call: CallDetail): string {
  return [whatItIs(call), howItSounds(call), howItTravels(call), whatItMoved(call)]
    .filter((part) => part !== '')
    .join(' ');
}

export function durationOf({ startedAt, lastSeenAt }: CallSummary): number {
  return Date.parse(lastSeenAt) - Date.parse(startedAt);
}

function whatItIs(call: CallDetail): string {
  const people = plural(call.participants, 'participant');
  const lasted = formatDuration(durationOf(call));
  const what = call.live ? `Live for ${lasted}, ${people}` : `Lasted ${lasted}, ${people}`;
  const relayed = call.connections.findLast(({ localCandidateType }) => localCandidateType !== null);
  if (relayed === undefined)
    return call.connected === 0 && call.failed > 0 ? `${what}; no connection came about.` : `${what}.`;
  const over = relayed.relayProtocol === null ? '' : ` over ${relayed.relayProtocol.toUpperCase()}`;
  // a peer-reflexive candidate may lie behind the relay as well
  return relayed.localCandidateType === 'relay' || relayed.relayProtocol !== null
    ? `${what}, through the relay${over}.`
    : `${what}, without a relay.`;
}

function howItSounds({ mos, mosP5, mosModel }: CallSummary): string {
  if (mos === null) return 'How it sounded was not measured.';
  const low = mosP5 === null ? '' : `; 5 % of the time below ${formatMos(mosP5)}`;
  return `It sounds ${stepWords[mosStep(mos)].toLowerCase()}: median MOS ${formatMos(mos)} by ${formatModel(mosModel)}${low}.`;
}

function howItTravels({ lossRatio, jitterMs, rttMs, timeToFirstFrameMs, failed, connected }: CallSummary): string {
  const measures = [
    ...(lossRatio === null ? [] : [`loss ${formatRatio(lossRatio)}`]),
    ...(jitterMs === null ? [] : [`jitter ${formatMs(jitterMs)}`]),
    ...(rttMs === null ? [] : [`round trip ${formatMs(rttMs)}`]),
    ...(timeToFirstFrameMs === null ? [] : [`first picture after ${formatSeconds(timeToFirstFrameMs)}`]),
  ].join(', ');
  const sentence = measures === '' ? '' : `${measures.charAt(0).toUpperCase()}${measures.slice(1)}.`;
  const faults = failed === 0 ? '' : ` ${failed} of ${plural(connected + failed, 'connection')} failed.`;
  return `${sentence}${faults}`.trim();
}

function whatItMoved({ relayedBytes, sfuBytes }: CallSummary): string {
  const parts = [
    ...(relayedBytes === '0' ? [] : [`the relay sent ${formatBytes(relayedBytes)}`]),
    ...(sfuBytes === '0' ? [] : [`SFUs sent ${formatBytes(sfuBytes)}`]),
  ].join(', ');
  return parts === '' ? '' : `${parts.charAt(0).toUpperCase()}${parts.slice(1)} to its participants.`;
}
