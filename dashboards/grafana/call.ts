/** One call: four numbers, every stream over time, and what happened when. */
import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { qualityScales } from '../quality-steps.ts';
import { bars, grid, plot, stat } from './panels.ts';
import { callQueries } from './queries.ts';
import { appVariable, callVariable, datasourceVariable } from './variables.ts';

export const CALL_UID = 'turnpike-call';

const SOURCE = '${__field.labels.source}';

export function callDashboard(): Dashboard {
  const dashboard = new DashboardBuilder('Turnpike: Call')
    .uid(CALL_UID)
    .description('One call: every stream, every connection, every event.')
    .tags(['turnpike'])
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('10s')
    .tooltip(DashboardCursorSync.Crosshair)
    .readonly()
    .withVariable(datasourceVariable())
    .withVariable(appVariable())
    .withVariable(callVariable())
    .link(
      new DashboardLinkBuilder('Turnpike')
        .type(DashboardLinkType.Dashboards)
        .tags(['turnpike'])
        .asDropdown(false)
        .keepTime(true)
        .includeVars(true),
    );
  addNumbers(dashboard);
  addStreams(dashboard);
  addVideo(dashboard);
  addTransport(dashboard);
  return dashboard.build();
}

function addNumbers(dashboard: DashboardBuilder): void {
  dashboard
    .withPanel(
      stat(callQueries.mosNow, {
        title: 'MOS p50 and p5',
        description: 'Median and 5th percentile of the call’s inbound audio intervals, for each model on its own.',
        unit: 'none',
        decimals: 2,
        scale: qualityScales.mos,
        width: 8,
      }),
    )
    .withPanel(
      stat(callQueries.loss, {
        title: 'Packet loss',
        description: 'Lost share of all packets that the participants were sent.',
        unit: 'percentunit',
        decimals: 2,
        scale: qualityScales.lossRatio,
        width: 5,
      }),
    )
    .withPanel(
      stat(callQueries.timeToFirstFrame, {
        title: 'Slowest first frame',
        description: 'Longest wait of a participant for the first decoded frame of video.',
        unit: 'ms',
        scale: qualityScales.firstFrameMs,
        width: 5,
      }),
    )
    .withPanel(
      stat(callQueries.relayedTotal, {
        title: 'Relayed',
        description: 'Bytes that the relays sent to this call’s clients in the range.',
        unit: 'decbytes',
        decimals: 2,
        width: 6,
      }),
    );
}

function addStreams(dashboard: DashboardBuilder): void {
  dashboard
    .withPanel(
      plot(callQueries.mos, {
        title: 'MOS',
        description: 'Each inbound audio stream, under the model that scored it.',
        unit: 'none',
        decimals: 2,
        min: 1,
        scale: qualityScales.mos,
        legend: `${SOURCE} (\${__field.labels.model})`,
        width: 12,
      }).max(4.5),
    )
    .withPanel(
      plot(callQueries.lossByStream, {
        title: 'Packet loss',
        description: 'Lost share of the packets of each inbound stream.',
        unit: 'percentunit',
        scale: qualityScales.lossRatio,
        legend: SOURCE,
        width: 12,
      }),
    )
    .withPanel(
      plot(callQueries.jitter, {
        title: 'Jitter',
        description: 'Interarrival jitter (RFC 3550) of each inbound stream.',
        unit: 'ms',
        scale: qualityScales.jitterMs,
        legend: SOURCE,
        width: 12,
      }),
    )
    .withPanel(
      plot(callQueries.bitrate, {
        title: 'Bitrate',
        description: 'Payload of each stream, received or sent, without RTP headers.',
        unit: 'bps',
        legend: SOURCE,
        width: 12,
      }),
    );
}

function addVideo(dashboard: DashboardBuilder): void {
  dashboard
    .withPanel(
      plot(callQueries.frameRate, {
        title: 'Frame rate',
        description: 'Frames decoded or encoded each second, by stream.',
        unit: 'fps',
        legend: SOURCE,
        width: 12,
      }),
    )
    .withPanel(
      bars(callQueries.freezes, {
        title: 'Freezes',
        description: 'Freezes that began in each interval, by inbound video stream.',
        unit: 'none',
        legend: SOURCE,
        width: 12,
      }),
    );
}

function addTransport(dashboard: DashboardBuilder): void {
  dashboard
    .withPanel(
      plot(callQueries.rtt, {
        title: 'Round-trip time',
        description: 'STUN round trips on the selected candidate pair of each connection.',
        unit: 'ms',
        scale: qualityScales.rttMs,
        legend: '${__field.labels.participant} ${__field.labels.connection}',
        width: 12,
      }),
    )
    .withPanel(
      bars(callQueries.relayedBytes, {
        title: 'Relayed bytes',
        description: 'Bytes that the relays sent to each participant in each interval, by class of the peer.',
        unit: 'decbytes',
        legend: '${__field.labels.participant} ${__field.labels.class}',
        width: 12,
      }),
    )
    .withPanel(
      grid(callQueries.events, {
        title: 'Events',
        description:
          'States, candidates, tracks, devices, set-ups and first frames, in the order in which they happened.',
        width: 24,
        columns: {
          time: { unit: 'dateTimeAsSystem', width: 190 },
          participant: { width: 140 },
          event: { width: 180 },
          duration: { unit: 'ms', width: 110 },
        },
      }),
    );
}
