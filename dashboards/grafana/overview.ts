/** The Overview: four numbers, what is wrong now, then plots. */
import { DashboardBuilder, DashboardCursorSync, RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import type { RateCard } from '../../billing/contract.ts';
import { qualityColours, qualityScales } from '../quality-steps.ts';
import { CALL_UID } from './call.ts';
import { bars, gauge, grid, plot, stat } from './panels.ts';
import { overviewQueries } from './queries.ts';
import { appVariable, datasourceVariable } from './variables.ts';

export const OVERVIEW_UID = 'turnpike-overview';

const callLink = `/d/${CALL_UID}?\${__url_time_range}&\${datasource:queryparam}&var-app=\${__data.fields.app:percentencode}&var-call=\${__data.fields.call:percentencode}`;

export function overviewDashboard(card: RateCard): Dashboard {
  const dashboard = new DashboardBuilder('Turnpike: Overview')
    .uid(OVERVIEW_UID)
    .description('How the calls sound, what the relays carry and what the month costs.')
    .tags(['turnpike'])
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .readonly()
    .withVariable(datasourceVariable())
    .withVariable(appVariable());
  addNumbers(dashboard, card);
  addFindings(dashboard, card);
  addQuality(dashboard, card);
  addEgress(dashboard, card);
  return dashboard.build();
}

function addNumbers(dashboard: DashboardBuilder, card: RateCard): void {
  const queries = overviewQueries(card);
  dashboard
    .withPanel(
      stat(queries.callsNow, {
        title: 'Calls now',
        description: 'Calls of which something was reported or relayed in the 20 seconds before the end of the range.',
        unit: 'none',
        width: 4,
      }),
    )
    .withPanel(
      stat(queries.mosNow, {
        title: 'MOS p50 and p5',
        description:
          'Median and 5th percentile of all inbound audio intervals of the range, for each model on its own. 1 is bad, 4.5 the most there is.',
        unit: 'none',
        decimals: 2,
        scale: qualityScales.mos,
        width: 6,
      }),
    )
    .withPanel(
      stat(queries.setupSuccess, {
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
      stat(queries.monthEgress, {
        title: 'Egress this month',
        description: `Bytes sent to clients since the first of the month (UTC), SFU and TURN together, what both carried counted as “${card.id}” counts it. The whole account, whatever apps are chosen.`,
        unit: 'decbytes',
        decimals: 2,
        fields: '/^egress$/',
        width: 5,
      }),
    )
    .withPanel(
      stat(queries.monthCost, {
        title: 'Cost this month',
        description: `Cost so far on the rate card “${card.id}” (${card.provider}, as of ${card.asOf}).`,
        unit: `currency${card.currency}`,
        decimals: 2,
        width: 4,
      }),
    );
}

function addFindings(dashboard: DashboardBuilder, card: RateCard): void {
  const queries = overviewQueries(card);
  dashboard
    .withPanel(
      grid(queries.alerts, {
        title: 'What is wrong now',
        description: 'Newest state of every alert that changed in the range; what is firing stands first.',
        width: 18,
        columns: {
          since: { unit: 'dateTimeAsSystem', width: 170 },
          state: {
            width: 90,
            words: { firing: qualityColours.poor, pending: qualityColours.fair, resolved: qualityColours.good },
          },
          severity: { width: 90 },
          value: { decimals: 3, width: 90 },
          threshold: { decimals: 3, width: 90 },
        },
      }),
    )
    .withPanel(
      gauge(queries.monthEgress, {
        title: 'Month against the free tier',
        description: `Share of the ${card.allowanceGb} GB that “${card.id}” gives away each month.`,
        unit: 'percentunit',
        scale: qualityScales.allowanceRatio,
        field: 'used',
        width: 6,
      }).height(9),
    )
    .withPanel(
      grid(queries.worstCalls, {
        title: 'Calls with the worst MOS',
        description: 'In the order of the 5th percentile of MOS; a click on a call opens it.',
        width: 24,
        columns: {
          call: { link: { title: 'Open this call', url: callLink } },
          'MOS p5': { decimals: 2, scale: qualityScales.mos },
          'MOS p50': { decimals: 2, scale: qualityScales.mos },
          loss: { unit: 'percentunit', decimals: 2, scale: qualityScales.lossRatio },
          'last seen': { unit: 'dateTimeAsSystem' },
        },
      }),
    );
}

function addQuality(dashboard: DashboardBuilder, card: RateCard): void {
  const queries = overviewQueries(card);
  dashboard
    .withRow(new RowBuilder('How it sounds and looks'))
    .withPanel(
      plot(queries.mos, {
        title: 'MOS',
        description: 'Median and 5th percentile of inbound audio, one pair of lines for each model.',
        unit: 'none',
        decimals: 2,
        min: 1,
        scale: qualityScales.mos,
        width: 12,
      }).max(4.5),
    )
    .withPanel(
      plot(queries.loss, {
        title: 'Packet loss',
        description: 'Lost share of all inbound packets, by kind of media.',
        unit: 'percentunit',
        scale: qualityScales.lossRatio,
        legend: '${__field.labels.media}',
        width: 12,
      }),
    )
    .withPanel(
      plot(queries.jitter, {
        title: 'Jitter',
        description: 'Interarrival jitter (RFC 3550) of inbound streams, by kind of media.',
        unit: 'ms',
        scale: qualityScales.jitterMs,
        width: 8,
      }),
    )
    .withPanel(
      plot(queries.rtt, {
        title: 'Round-trip time',
        description: 'STUN round trips on the selected candidate pairs.',
        unit: 'ms',
        scale: qualityScales.rttMs,
        width: 8,
      }),
    )
    .withPanel(
      plot(queries.timeToFirstFrame, {
        title: 'Time to first frame',
        description: 'From the start of a connection to its first decoded frame of video.',
        unit: 'ms',
        scale: qualityScales.firstFrameMs,
        width: 8,
      }),
    );
}

function addEgress(dashboard: DashboardBuilder, card: RateCard): void {
  dashboard.withRow(new RowBuilder('What the relays carry')).withPanel(
    bars(overviewQueries(card).relayedBytes, {
      title: 'Relayed bytes',
      description:
        'Bytes that the relays sent to clients in each interval, by class of the peer: the internet, another allocation here, a known SFU, and answers to STUN (control).',
      unit: 'decbytes',
      legend: '${__field.labels.class}',
      width: 24,
    }),
  );
}
