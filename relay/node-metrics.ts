/** A relay node's metrics: what the core decides is counted as it happens, what the plane counts is read when asked for. */
import type { Counter } from 'prom-client';
import type { Metrics } from '../kernel/metrics.ts';
import { connectionEnds, dropReasons, peerClasses, streamTransports } from './planes/plane.ts';
import type { ClassCounters, Plane, PlaneTotals } from './planes/plane.ts';
import type { TurnObserver } from './turn/observer.ts';

/** Counts the core's decisions. */
export function countingObserver(metrics: Metrics): TurnObserver {
  const requests = metrics.counter('turnpike_relay_stun_requests_total');
  const failures = metrics.counter('turnpike_relay_auth_failures_total');
  const allocations = metrics.counter('turnpike_relay_allocations_total');
  const limited = metrics.counter('turnpike_relay_limited_requests_total');
  return {
    onRequest: (method, result) => requests.inc({ method, result }),
    onAuthFailure: (reason) => failures.inc({ reason }),
    onLimit: (limit) => limited.inc({ limit }),
    onAllocation: (transport, result) => allocations.inc({ transport, result }),
  };
}

const directions = [
  ['client_rx', 'clientRxBytes', 'clientRxPackets'],
  ['client_tx', 'clientTxBytes', 'clientTxPackets'],
  ['peer_rx', 'peerRxBytes', 'peerRxPackets'],
  ['peer_tx', 'peerTxBytes', 'peerTxPackets'],
] as const satisfies readonly (readonly [string, keyof ClassCounters, keyof ClassCounters])[];

/** Shows the plane's totals. STUN answers have no peer: direction `client_control_tx`, peer class `none`. */
export function showPlane(plane: Pick<Plane, 'totals'>, metrics: Metrics): void {
  const shown = (read: (totals: PlaneTotals) => Iterable<Reading>) => raiser(() => read(plane.totals()));
  metrics.counter(
    'turnpike_relay_bytes_total',
    shown((totals) => [
      ...byDirection(totals, (row) => row[1]),
      [{ direction: 'client_control_tx', peer_class: 'none' }, totals.clientControlTxBytes],
    ]),
  );
  metrics.counter(
    'turnpike_relay_packets_total',
    shown((totals) => byDirection(totals, (row) => row[2])),
  );
  metrics.counter(
    'turnpike_relay_dropped_packets_total',
    shown((totals) => dropReasons.map((reason) => [{ reason }, totals.dropped[reason]])),
  );
}

/** Shows the plane's client connections over TCP and TLS. */
export function showConnections(plane: Pick<Plane, 'connections'>, metrics: Metrics): void {
  metrics.gauge('turnpike_relay_connections', (gauge) => {
    const { open } = plane.connections();
    for (const transport of streamTransports) gauge.set({ transport }, open[transport]);
  });
  metrics.counter(
    'turnpike_relay_connections_ended_total',
    raiser(() => {
      const { ended } = plane.connections();
      return streamTransports.flatMap((transport) =>
        connectionEnds.map((how): Reading => [{ transport, how }, BigInt(ended[transport][how])]),
      );
    }),
  );
}

type Reading = readonly [labels: Record<string, string>, total: bigint];

function byDirection(totals: PlaneTotals, field: (row: (typeof directions)[number]) => keyof ClassCounters): Reading[] {
  return peerClasses.flatMap((peerClass) =>
    directions.map((row): Reading => {
      return [{ direction: row[0], peer_class: peerClass }, totals.classes[peerClass][field(row)]];
    }),
  );
}

/** A Prometheus counter only takes increments: this adds what has come to each total since the last time. */
function raiser(read: () => Iterable<Reading>): (counter: Counter) => void {
  const before = new Map<string, bigint>();
  return (counter) => {
    for (const [labels, total] of read()) {
      const key = Object.values(labels).join(' ');
      counter.inc(labels, Number(total - (before.get(key) ?? 0n)));
      before.set(key, total);
    }
  };
}
