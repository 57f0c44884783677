/** Candles with volume, or a line, drawn by TradingView's Lightweight Charts. */

import {
  CandlestickSeries,
  createChartEx,
  CrosshairMode,
  defaultHorzScaleBehavior,
  HistogramSeries,
  LineSeries,
  TickMarkType,
  type IChartApi,
  type ISeriesApi,
  type MouseEventParams,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";

import type { Chart, ChartBars } from "../api/types";
import { indexAt, timeAt, withBlanks, type TimeWindow } from "./chart-window";
import { formatExact } from "./format";
import { formatInstant, type Zone } from "./time";

export interface Hover {
  time_s: number;
  open: number | undefined;
  high: number | undefined;
  low: number | undefined;
  close: number | undefined;
  volume: number | null | undefined;
}

export interface SeriesChartEvents {
  onMove(shown: TimeWindow): void;
  onHover(hover: Hover | null): void;
}

/** Places put back for missing bars; more than this and a series is taken as irregular. */
const BLANKS_MAX = 10_000;
const VOLUME_SHARE = 0.22;
const FONT_PX = 12;
/** As wide as a character of a label is at most, in bold. */
const CHARACTER_PX = 0.72 * FONT_PX;

/** An axis of time whose labels depend on where they stand: none is kept from one drawing to the next. */
class TimeAxis extends defaultHorzScaleBehavior() {
  #drawn = 0;

  override cacheKey(): number {
    return (this.#drawn += 1);
  }
}

export class SeriesChart {
  readonly #host: HTMLElement;
  readonly #events: SeriesChartEvents;
  readonly #chart: IChartApi;
  #candles: ISeriesApi<"Candlestick"> | null = null;
  #line: ISeriesApi<"Line"> | null = null;
  #volume: ISeriesApi<"Histogram"> | null = null;
  #bars: ChartBars | null = null;
  /** Where in `#bars` an instant stands. */
  #index = new Map<number, number>();
  /** The axis: the times of the bars, and of the blanks between them. */
  #times: number[] = [];
  #step_s = 1;
  #zone: Zone = "utc";
  /** Set while we move the view ourselves, which is no wish of the person's. */
  #moving = false;

  constructor(host: HTMLElement, events: SeriesChartEvents) {
    this.#host = host;
    this.#events = events;
    this.#chart = createChartEx(host, new TimeAxis(), {
      autoSize: true,
      // The logo brings a <style> element, which the page's policy refuses; Settings names its maker.
      layout: {
        attributionLogo: false,
        fontFamily: getComputedStyle(host).fontFamily,
        fontSize: FONT_PX,
      },
      timeScale: { timeVisible: true, rightOffset: 2, minBarSpacing: 0.5 },
      crosshair: { mode: CrosshairMode.Normal },
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
      const shown = this.window();
      if (!this.#moving && shown !== null) this.#events.onMove(shown);
    });
    this.#chart.subscribeCrosshairMove((param) => this.#events.onHover(this.#hover(param)));
    this.restyle("utc");
  }

  /** Draw `data`, with the view on the stretch `shown`. */
  show(data: Chart, shown: TimeWindow): void {
    const { t, o, h, l, c, v } = data.bars;
    this.#step_s = Math.max(1, data.span_s, nearest(t));
    this.#times = withBlanks(t, this.#step_s, BLANKS_MAX);
    this.#bars = data.bars;
    this.#index = new Map(t.map((time, position) => [time, position]));
    const at = (time: number) => this.#index.get(time);
    this.#moving = true;
    this.#series(data.kind === "bars");
    const precision = pricePrecision(c);
    const priceFormat = {
      type: "custom",
      formatter: priceText(precision),
      minMove: 10 ** -precision,
    } as const;
    this.#candles?.applyOptions({ priceFormat });
    this.#line?.applyOptions({ priceFormat });
    this.#candles?.setData(
      this.#times.map((second) => {
        const i = at(second);
        const time = second as UTCTimestamp;
        if (i === undefined) return { time };
        return { time, open: o[i] ?? 0, high: h[i] ?? 0, low: l[i] ?? 0, close: c[i] ?? 0 };
      }),
    );
    this.#line?.setData(
      this.#times.map((second, place) => {
        const i = at(second);
        const time = second as UTCTimestamp;
        if (i === undefined) return { time };
        // A line is drawn over a gap unless its last point before it is transparent.
        const isLast =
          place + 1 < this.#times.length && at(this.#times[place + 1] ?? 0) === undefined;
        return { time, value: c[i] ?? 0, ...(isLast ? { color: "transparent" } : {}) };
      }),
    );
    this.#volume?.setData(
      this.#times.map((second) => {
        const i = at(second);
        const value = i === undefined ? null : (v[i] ?? null);
        const time = second as UTCTimestamp;
        return value === null ? { time } : { time, value };
      }),
    );
    this.#chart.timeScale().setVisibleLogicalRange({
      from: indexAt(this.#times, this.#step_s, shown.start_s),
      to: indexAt(this.#times, this.#step_s, shown.end_s),
    });
    // The range change is told in the next frame.
    requestAnimationFrame(() => requestAnimationFrame(() => (this.#moving = false)));
  }

  /** The stretch of time in view; null before anything is drawn. */
  window(): TimeWindow | null {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    if (range === null || this.#times.length === 0) return null;
    return {
      start_s: timeAt(this.#times, this.#step_s, range.from),
      end_s: timeAt(this.#times, this.#step_s, range.to),
    };
  }

  /** Take the colours of the theme, and the zone. */
  restyle(zone: Zone): void {
    this.#zone = zone;
    const colour = this.#colours();
    const border = colour("--border");
    this.#chart.applyOptions({
      layout: { background: { color: colour("--bg") }, textColor: colour("--text-soft") },
      grid: { vertLines: { color: border }, horzLines: { color: border } },
      rightPriceScale: { borderColor: border, entireTextOnly: true },
      timeScale: {
        borderColor: border,
        tickMarkFormatter: (time: Time, kind: TickMarkType) =>
          this.#whole(time, this.#tick(Number(time), kind)),
      },
      localization: {
        timeFormatter: (time: Time) => formatInstant(Number(time) * 1000, this.#zone),
      },
      crosshair: {
        vertLine: { color: colour("--border-strong"), labelBackgroundColor: colour("--accent") },
        horzLine: { color: colour("--border-strong"), labelBackgroundColor: colour("--accent") },
      },
    });
    const [up, down] = [colour("--up"), colour("--down")];
    this.#candles?.applyOptions({
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
      borderVisible: false,
    });
    this.#line?.applyOptions({ color: colour("--accent"), lineWidth: 2 });
    this.#volume?.applyOptions({ color: colour("--volume") });
  }

  remove(): void {
    this.#chart.remove();
  }

  #series(bars: boolean): void {
    if (this.#candles !== null || this.#line !== null) return;
    if (bars) {
      this.#volume = this.#chart.addSeries(HistogramSeries, {
        priceScaleId: "volume",
        priceFormat: { type: "volume" },
        lastValueVisible: false,
        priceLineVisible: false,
      });
      this.#candles = this.#chart.addSeries(CandlestickSeries, { priceLineVisible: false });
      this.#chart
        .priceScale("volume")
        .applyOptions({ scaleMargins: { top: 1 - VOLUME_SHARE, bottom: 0 } });
      this.#chart
        .priceScale("right")
        .applyOptions({ scaleMargins: { top: 0.06, bottom: VOLUME_SHARE + 0.04 } });
    } else {
      this.#line = this.#chart.addSeries(LineSeries, { priceLineVisible: false });
    }
    this.restyle(this.#zone);
  }

  #hover(param: MouseEventParams): Hover | null {
    if (param.time === undefined) return null;
    const time_s = Number(param.time);
    const i = this.#index.get(time_s);
    if (i === undefined || this.#bars === null) return null;
    const { o, h, l, c, v } = this.#bars;
    return { time_s, open: o[i], high: h[i], low: l[i], close: c[i], volume: v[i] };
  }

  /** A label that would be cut at an edge is left out. */
  #whole(time: Time, label: string): string {
    const scale = this.#chart.timeScale();
    const middle_px = scale.timeToCoordinate(time) ?? 0;
    const half_px = (label.length * CHARACTER_PX) / 2;
    return middle_px < half_px || middle_px > scale.width() - half_px ? "" : label;
  }

  /** The part of an instant that is new at its mark. */
  #tick(time_s: number, kind: TickMarkType): string {
    const text = formatInstant(time_s * 1000, this.#zone, "second");
    switch (kind) {
      case TickMarkType.Year:
        return text.slice(0, 4);
      case TickMarkType.Month:
        return text.slice(0, 7);
      case TickMarkType.DayOfMonth:
        return text.slice(5, 10);
      case TickMarkType.Time:
        return text.slice(11, 16);
      case TickMarkType.TimeWithSeconds:
        return text.slice(11);
    }
  }

  /** Canvas knows no custom properties: their colours are asked of an element that wears them. */
  #colours(): (token: string) => string {
    const probe = document.createElement("span");
    this.#host.append(probe);
    queueMicrotask(() => probe.remove());
    return (token) => {
      probe.style.color = `var(${token})`;
      return getComputedStyle(probe).color;
    };
  }
}

/** The shortest way between neighbours: of funding rates it is hours, however finely they are asked for. */
function nearest(times: readonly number[]): number {
  let least = Infinity;
  for (let index = 1; index < times.length; index += 1) {
    least = Math.min(least, (times[index] ?? 0) - (times[index - 1] ?? 0));
  }
  return Number.isFinite(least) ? least : 0;
}

/** Digits after the point that tell the values of a series apart, at most ten. */
export function pricePrecision(values: readonly number[]): number {
  let digits = 0;
  const step = Math.max(1, Math.floor(values.length / 200));
  for (let index = 0; index < values.length && digits < 10; index += step) {
    const fraction = formatExact(values[index] ?? 0).split(".")[1] ?? "";
    digits = Math.max(digits, Math.min(10, fraction.length));
  }
  return digits;
}

function priceText(precision: number): (value: number) => string {
  const format = new Intl.NumberFormat(undefined, {
    minimumFractionDigits: Math.min(2, precision),
    maximumFractionDigits: precision,
  });
  // What rounding makes a nought has no sign.
  return (value) => format.format(Math.abs(value) < 0.5 * 10 ** -precision ? 0 : value);
}
