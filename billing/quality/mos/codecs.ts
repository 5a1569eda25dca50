/** Impairment factors of codecs as data, each row with its source. A pair belongs to one model and is meaningless on another. */
import type { MosModel } from './parameters.ts';

export interface CodecRow {
  readonly codec: string;
  readonly model: MosModel;
  readonly Ie: number;
  /** Null where ITU publishes none: the codec can then be rated without loss only. */
  readonly Bpl: number | null;
  readonly source: string;
}

const row = (codec: string, model: MosModel, Ie: number, Bpl: number | null, source: string): CodecRow => ({
  codec,
  model,
  Ie,
  Bpl,
  source,
});

const EVS = 'ITU-T G.113 (09/2024) Appendix V with Erratum 1 (01/2026)';
const G113 = 'ITU-T G.113 (09/2024) Appendix I';
/** Browsers conceal lost G.711 frames (NetEq), so the row with concealment is theirs. */
const G711_BROWSER = `${G113}: G.711 with packet-loss concealment, which every browser applies`;

/**
 * Opus is by far the commonest codec of a call, and ITU publishes no Ie or Bpl for it on any scale: it borrows EVS-SWB at
 * 48 kbit/s. Bpl is EVS's 9.6, which supposes concealment and in-band FEC as WebRTC's Opus has them (webrtcmetrics does
 * the same); rtpengine and wire-avs take 4.3, a codec without either. Ask for that with `Bpl=4.3`.
 */
export const codecs: readonly CodecRow[] = [
  row('opus', 'g107.2', 10.2, 9.6, `none published by ITU for Opus; borrowed from EVS-SWB 48 kbit/s (${EVS})`),
  row('PCMU', 'g107', 0, 25.1, G711_BROWSER),
  row('PCMA', 'g107', 0, 25.1, G711_BROWSER),
  row('G.711', 'g107', 0, 4.3, `${G113}: G.711 without packet-loss concealment`),
  row('G.711+PLC', 'g107', 0, 25.1, `${G113}: G.711 with packet-loss concealment`),
  row('G.729A+VAD', 'g107', 11, 19, `${G113}: G.729A with VAD`),
  row('AMR-WB-12.65', 'g107.1', 13, null, 'ITU-T G.113 (09/2024) Table IV.1, monotic; no Bpl is published'),
  row('EVS-48', 'g107.2', 10.2, 9.6, EVS),
  row('EVS-32', 'g107.2', 8.7, 9.3, EVS),
  row('EVS-24.4', 'g107.2', 7.2, 11.4, EVS),
  row('EVS-16.4', 'g107.2', 10.8, 10.3, EVS),
  row('EVS-13.2', 'g107.2', 17.1, 11.7, EVS),
  row('EVS-9.6', 'g107.2', 22.7, 13, EVS),
];

/** The row of a codec, by name without regard to case; of the given model when one is given. */
export function findCodec(name: string, model?: MosModel): CodecRow | undefined {
  const wanted = name.toLowerCase();
  return codecs.find(
    (candidate) => candidate.codec.toLowerCase() === wanted && (model === undefined || candidate.model === model),
  );
}
