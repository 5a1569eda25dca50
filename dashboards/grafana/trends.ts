/** Trends: how the calls went over weeks and months, from the rollups. */
import { DashboardBuilder, DashboardCursorSync, RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { qualityScales } from '../quality-steps.ts';
import { bars, plot, stat } from './panels.ts';
import { trendAppQuery, trendQueries } from './trend-queries.ts';
import { appVariable, datasourceVariable } from './variables.ts';

const TRENDS_UID = 'turnpike-trends';

/** The least that rollups tell apart. */
const MINUTE = '1m';
const HOUR = '1h';

export function trendsDashboard(): Dashboard {
  const dashboard = new DashboardBuilder('Turnpike: Trends')
    .uid(TRENDS_UID)
    .description('How the calls went over weeks and months. A minute or an hour is in it about two minutes later.')
    .tags(['turnpike'])
    .timezone('browser')
    .time({ from: 'now-30d', to: 'now' })
    .tooltip(DashboardCursorSync.Crosshair)
    .readonly()
    .withVariable(datasourceVariable())
    .withVariable(appVariable(trendAppQuery));
  addNumbers(dashboard);
  addQuality(dashboard);
  addFaults(dashboard);
  addEgress(dashboard);
  return dashboard.build();
}

function addNumbers(dashboard: DashboardBuilder): void {
  dashboard
    .withPanel(
      stat(trendQueries.mosOfRange, {
        title: 'MOS p50 and p10',
        description:
          'Median and 10th percentile of all inbound audio intervals of the range, for each model on its own.',
        unit: 'none',
        decimals: 2,
        scale: qualityScales.mos,
        width: 8,
      }),
    )
    .withPanel(
      stat(trendQueries.successOfRange, {
        title: 'Connections that succeeded',
        description: 'Share of connection set-ups in the range that reached “connected”.',
        unit: 'percentunit',
        decimals: 1,
        scale: qualityScales.successRatio,
        fields: '/^success$/',
        width: 5,
      }),
    )
    .withPanel(
      stat(trendQueries.hoursOfRange, {
        title: 'Hours reported',
        description: 'Length of all connections that clients reported in the range, together.',
        unit: 'h',
        width: 5,
      }),
    )
    .withPanel(
      stat(trendQueries.bytesOfRange, {
        title: 'Egress',
        description:
          'Bytes sent to clients in the range, by relays and SFUs, as metered: what both carried is in it twice.',
        unit: 'decbytes',
        decimals: 2,
        width: 6,
      }),
    );
}

function addQuality(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder('How it sounds and looks'))
    .withPanel(
      plot(trendQueries.mos, {
        title: 'MOS',
        description: 'Median and 10th percentile of inbound audio, one pair of lines for each model.',
        unit: 'none',
        decimals: 2,
        min: 1,
        scale: qualityScales.mos,
        width: 12,
      })
        .max(4.5)
        .interval(MINUTE),
    )
    .withPanel(
      plot(trendQueries.loss, {
        title: 'Packet loss',
        description: 'Lost share of all inbound packets, by kind of media.',
        unit: 'percentunit',
        scale: qualityScales.lossRatio,
        legend: '${__field.labels.media}',
        width: 12,
      }).interval(MINUTE),
    )
    .withPanel(
      plot(trendQueries.jitter, {
        title: 'Jitter',
        description: 'Median and 95th percentile of inbound streams, by kind of media.',
        unit: 'ms',
        scale: qualityScales.jitterMs,
        width: 8,
      }).interval(MINUTE),
    )
    .withPanel(
      plot(trendQueries.rtt, {
        title: 'Round-trip time',
        description: 'Median and 95th percentile of STUN round trips on the selected candidate pairs.',
        unit: 'ms',
        scale: qualityScales.rttMs,
        width: 8,
      }).interval(MINUTE),
    )
    .withPanel(
      plot(trendQueries.firstFrame, {
        title: 'Time to first frame',
        description: 'Median and 95th percentile, from the start of a connection to its first decoded frame of video.',
        unit: 'ms',
        scale: qualityScales.firstFrameMs,
        width: 8,
      }).interval(MINUTE),
    );
}

function addFaults(dashboard: DashboardBuilder): void {
  dashboard
    .withPanel(
      plot(trendQueries.success, {
        title: 'Connections that succeeded',
        description: 'Share of connection set-ups that reached “connected”.',
        unit: 'percentunit',
        scale: qualityScales.successRatio,
        width: 8,
      })
        .max(1)
        .interval(MINUTE),
    )
    .withPanel(
      plot(trendQueries.concealed, {
        title: 'Audio made up',
        description: 'Share of the samples played that the decoder made up, because none had arrived in time.',
        unit: 'percentunit',
        width: 8,
      }).interval(MINUTE),
    )
    .withPanel(
      plot(trendQueries.freezes, {
        title: 'Freezes in an hour of video',
        description: 'Freezes of inbound video, for each hour that was received.',
        unit: 'none',
        width: 8,
      }).interval(MINUTE),
    );
}

function addEgress(dashboard: DashboardBuilder): void {
  dashboard
    .withRow(new RowBuilder('What was carried'))
    .withPanel(
      bars(trendQueries.egressByApp, {
        title: 'Egress by app',
        description: 'Bytes sent to clients, by relays and SFUs, as metered.',
        unit: 'decbytes',
        legend: '${__field.labels.app}',
        width: 12,
      }).interval(HOUR),
    )
    .withPanel(
      bars(trendQueries.egressBySource, {
        title: 'Egress by source',
        description: 'The same by who metered it: “turnpike” are the relays here.',
        unit: 'decbytes',
        legend: '${__field.labels.source}',
        width: 12,
      }).interval(HOUR),
    );
}
