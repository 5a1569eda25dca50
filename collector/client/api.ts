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
  /** Milliseconds between two getStats calls: 500 to 60,000, default 2,000. */
  readonly interval?: number;
  /** The element that shows the remote picture: dates the first frame more finely than polling does. */
  readonly video?: HTMLVideoElement;
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

export interface Observation {
  /** Identifies the RTCPeerConnection in every report. */
  readonly connection: string;
  /** Takes a last-minute sample and sends what there is. True once all of it is stored, false while some must be retried. */
  flush(): Promise<boolean>;
  /** Sends what is left, then observes no more. Call it before `pc.close()`; a closed connection stops by itself. */
  stop(): Promise<boolean>;
}
