/** Panels as both dashboards build them: title, sentence, unit and quality steps are never left out. */
import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphDrawStyle,
  StackingMode,
  TableCellDisplayMode,
} from '@grafana/grafana-foundation-sdk/common';
import {
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  TooltipDisplayMode,
  VisibilityMode,
} from '@grafana/grafana-foundation-sdk/common';
import {
  GraphThresholdsStyleConfigBuilder,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  FieldColorBuilder,
  FieldColorModeId,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { DynamicConfigValue } from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder as GaugeBuilder } from '@grafana/grafana-foundation-sdk/gauge';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { qualityColours, risingSteps } from '../quality-steps.ts';
import type { QualityScale } from '../quality-steps.ts';
import { clickhouse, ClickHouseQuery } from './clickhouse-query.ts';
import type { PanelQuery } from './clickhouse-query.ts';

interface PanelText {
  readonly title: string;
  /** What it shows and how to read it; Grafana puts it behind the panel's (i). */
  readonly description: string;
}

interface ValueLook extends PanelText {
  /** Grafana's id of the unit. */
  readonly unit: string;
  readonly decimals?: number;
  readonly scale?: QualityScale;
}

/** The accent of the console: for what is neither good nor bad. */
const ACCENT = '#2456d6';

export function thresholds(scale: QualityScale): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(risingSteps(scale).map(({ from, step }) => ({ value: from, color: qualityColours[step] })));
}

const oneColour = (): ThresholdsConfigBuilder =>
  new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([{ value: null, color: ACCENT }]);

/** One number, or one a row of the query; the columns that are shown are named by `fields`, a regular expression. */
export function stat(
  query: PanelQuery,
  look: ValueLook & { readonly width: number; readonly fields?: string },
): StatBuilder {
  return new StatBuilder()
    .title(look.title)
    .description(look.description)
    .datasource(clickhouse)
    .height(4)
    .span(look.width)
    .unit(look.unit)
    .decimals(look.decimals ?? 0)
    .noValue('–')
    .thresholds(look.scale === undefined ? oneColour() : thresholds(look.scale))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .colorMode(BigValueColorMode.Value)
    .graphMode(BigValueGraphMode.None)
    .reduceOptions(
      new ReduceDataOptionsBuilder()
        .calcs(['lastNotNull'])
        .fields(look.fields ?? '')
        .values(true),
    )
    .withTarget(new ClickHouseQuery(query));
}

/** How much of something limited is used, 0 to 1 and beyond. */
export function gauge(
  query: PanelQuery,
  look: ValueLook & { readonly width: number; readonly field: string },
): GaugeBuilder {
  return new GaugeBuilder()
    .title(look.title)
    .description(look.description)
    .datasource(clickhouse)
    .height(8)
    .span(look.width)
    .unit(look.unit)
    .decimals(look.decimals ?? 1)
    .min(0)
    .max(1)
    .noValue('–')
    .thresholds(look.scale === undefined ? oneColour() : thresholds(look.scale))
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields(`/^${look.field}$/`).values(false))
    .withTarget(new ClickHouseQuery(query));
}

/** Lines over time. `legend` is Grafana's pattern of a series' name, from its labels. */
export function plot(
  query: PanelQuery,
  look: ValueLook & { readonly width: number; readonly legend?: string; readonly min?: number },
): TimeseriesBuilder {
  const panel = new TimeseriesBuilder()
    .title(look.title)
    .description(look.description)
    .datasource(clickhouse)
    .height(8)
    .span(look.width)
    .unit(look.unit)
    .min(look.min ?? 0)
    .lineWidth(2)
    .fillOpacity(0)
    .showPoints(VisibilityMode.Auto)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
    .withTarget(new ClickHouseQuery(query));
  if (look.decimals !== undefined) panel.decimals(look.decimals);
  if (look.legend !== undefined) panel.displayName(look.legend);
  if (look.scale !== undefined) {
    panel
      .thresholds(thresholds(look.scale))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
  }
  return panel;
}

/** Amounts in each interval, stacked. */
export function bars(
  query: PanelQuery,
  look: ValueLook & { readonly width: number; readonly legend?: string },
): TimeseriesBuilder {
  return plot(query, look)
    .drawStyle(GraphDrawStyle.Bars)
    .fillOpacity(70)
    .lineWidth(0)
    .stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
}

/** One column of a table: its unit, steps, or where a click on it leads. */
export interface ColumnLook {
  readonly unit?: string;
  readonly decimals?: number;
  readonly scale?: QualityScale;
  readonly width?: number;
  /** Words that a value is coloured by. */
  readonly words?: Readonly<Record<string, string>>;
  readonly link?: { readonly title: string; readonly url: string };
}

export function grid(
  query: PanelQuery,
  look: PanelText & { readonly width: number; readonly columns: Readonly<Record<string, ColumnLook>> },
): TableBuilder {
  const panel = new TableBuilder()
    .title(look.title)
    .description(look.description)
    .datasource(clickhouse)
    .height(9)
    .span(look.width)
    .filterable(true)
    .noValue('–')
    .withTarget(new ClickHouseQuery(query));
  for (const [name, column] of Object.entries(look.columns)) panel.overrideByName(name, columnProperties(column));
  return panel;
}

function columnProperties(column: ColumnLook): DynamicConfigValue[] {
  const colourText = { id: 'custom.cellOptions', value: { type: TableCellDisplayMode.ColorText } };
  const { unit, decimals, width, scale, words, link } = column;
  return [
    ...(unit === undefined ? [] : [{ id: 'unit', value: unit }]),
    ...(decimals === undefined ? [] : [{ id: 'decimals', value: decimals }]),
    ...(width === undefined ? [] : [{ id: 'custom.width', value: width }]),
    ...(scale === undefined ? [] : [{ id: 'thresholds', value: thresholds(scale).build() }, colourText]),
    ...(words === undefined ? [] : [{ id: 'mappings', value: [wordMapping(words)] }, colourText]),
    ...(link === undefined ? [] : [{ id: 'links', value: [{ ...link, targetBlank: false }] }]),
  ];
}

const wordMapping = (words: Readonly<Record<string, string>>) => ({
  type: 'value',
  options: Object.fromEntries(Object.entries(words).map(([word, color], index) => [word, { color, index }])),
});
