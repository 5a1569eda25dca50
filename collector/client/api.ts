/** What an app sees of the SDK. */

/** Where reports go and the token that allows it, as `generate-ice-servers` answers them. */
export interface Reporting {
  readonly url: string;
  readonly token: string;
}

export interface ObserveOptions {
  /** Call and participant, ≤ 64 UTF-8 bytes each; a token that names them has the last word. */
  readonly call?: string;
  readonly participant?: string;
  /** Milliseconds between two getStats calls: 500 to 60,000. Default: what the collector says, 2,000 before it does. */
  readonly interval?: number;
  /** The element that shows the remote picture: dates the first frame more finely than polling does. */
  readonly video?: HTMLVideoElement;
  /** Told when the connection's quality has become another, as it is felt here: for instance to suggest turning video off. */
  readonly onQuality?: (quality: Quality) => void;
  /** Told of reports that will never arrive. Nothing else in the SDK reaches the app, and nothing is ever thrown. */
  readonly onError?: (error: ReportingError) => void;
}

export interface ReportingError {
  readonly kind: 'refused' | 'dropped' | 'invalid_option';
  /** One sentence for a log. */
  readonly message: string;
  /** HTTP status and `TP_…` code where the collector answered. */
  readonly status?: number;
  readonly code?: string;
}

export type QualityLevel = 'excellent' | 'good' | 'fair' | 'poor';
export type QualityReason =
  | 'disconnected'
  | 'inbound_loss'
  | 'outbound_loss'
  | 'round_trip'
  | 'jitter'
  | 'concealment'
  | 'freezes'
  | 'bandwidth'
  | 'cpu';

export interface Quality {
  /** The observation's `connection`. */
  readonly connection: string;
  readonly level: QualityLevel;
  /** What keeps it from being better, worst first. Empty when it is excellent. */
  readonly reasons: readonly QualityReason[];
}

/** Every connection that a page makes. */
export interface PageObservation {
  /** Observes no further connections, gives the page its own functions back and stops what is observed. */
  stop(): Promise<boolean>;
}

export interface Observation {
  /** Identifies the RTCPeerConnection in every report. */
  readonly connection: string;
  /** As `onQuality` was last told; undefined while there is too little to judge by. */
  readonly quality: Quality | undefined;
  /** Takes a last-minute sample and sends what there is. True once all of it is stored, false while some must be retried. */
  flush(): Promise<boolean>;
  /** Sends what is left, then observes no more. Call it before `pc.close()`; a closed connection stops by itself. */
  stop(): Promise<boolean>;
}
