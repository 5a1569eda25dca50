/** /: the overview, and with #call=ID one call. */
import { poll, readAlerts, readCall, readCalls, readMonth, readSetup } from './api.ts';
import { showCall, showNoCall } from './call-view.ts';
import { liveBytes, showAlerts, showCalls, showMonth } from './calls-view.ts';
import { element, elementOf, show, toggle } from './dom.ts';
import { DASH } from './format.ts';
import { drawMeter } from './meters.ts';
import { relayedIn } from './month.ts';

const REFRESH_MS = 5_000;
const MONTH_MS = 15_000;

let stop: () => void = () => undefined;

/** Shows what the address names, and keeps it fresh. */
function route(): void {
  stop();
  const call = new URLSearchParams(location.hash.slice(1)).get('call');
  toggle('overview', call === null);
  toggle('call', call !== null);
  document.title = `${call ?? 'Overview'} · Turnpike`;
  stop = call === null ? followCalls() : followCall(call);
}

function followCalls(): () => void {
  let relayed: bigint | undefined;
  const month = async () => {
    const statement = await readMonth(new Date());
    relayed = relayedIn(statement);
    showMonth(statement);
  };
  const stopCalls = poll(
    REFRESH_MS,
    async () => {
      const { calls } = await readCalls();
      // read later than the month, running calls would seem to have carried more than all of it
      if (relayed !== undefined && liveBytes(calls) > relayed) await month().catch(() => undefined);
      showCalls(calls, new Date());
    },
    callsFailed,
  );
  const stopMonth = poll(MONTH_MS, month, (sentence) =>
    show('month-note', `The statement cannot be read: ${sentence}`),
  );
  const stopAlerts = poll(
    MONTH_MS,
    async () => showAlerts((await readAlerts()).alerts, new Date()),
    () => undefined, // what was known stays; the calls say that the service does not answer
  );
  return () => {
    stopCalls();
    stopAlerts();
    stopMonth();
  };
}

/** What was read before stays on the page; only the message says that it is old. */
function callsFailed(sentence: string): void {
  const message = element('calls-message');
  message.hidden = false;
  message.className = 'note error';
  if (element('calls-now').textContent === DASH) show('calls-note', 'Not known yet');
  message.textContent = `The calls cannot be read: ${sentence} Trying again every ${REFRESH_MS / 1000} s.`;
}

function followCall(call: string): () => void {
  scrollTo(0, 0);
  showNoCall(call, 'Reading the call…');
  return poll(
    REFRESH_MS,
    async () => {
      const detail = await readCall(call);
      if (detail === null) showNoCall(call, 'Nothing is known of this call: not yet, or no longer.');
      else showCall(detail);
    },
    (sentence) => show('call-sentence', `The call cannot be read: ${sentence}`),
  );
}

function newcomer(keyId: string): void {
  const url = `${location.origin}/v1/turn/keys/${keyId}/credentials/generate-ice-servers`;
  show(
    'curl-line',
    `curl -sX POST ${url} \\\n  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '{"ttl":3600,"call":"first","participant":"ada"}'`,
  );
  show(
    'sdk-lines',
    `<script src="${location.origin}/turnpike.js"></script>\n<script>\n  const pc = new RTCPeerConnection({ iceServers });\n  turnpike.observe(pc, reporting);\n</script>`,
  );
}

drawMeter(elementOf('month-meter', SVGElement), null, 'Share of the free tier used');
newcomer('$KEY_ID');
readSetup()
  .then(({ keyId, turnUrls }) => {
    show('where', turnUrls.join(' '));
    return newcomer(keyId);
  })
  .catch(() => undefined); // the placeholders say it too
window.addEventListener('hashchange', route);
route();
