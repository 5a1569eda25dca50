/**
 * How those are that post to /v1/egress: each name is a source, known by its first post. Whoever posts says what it carried itself,
 * so its grade is `exact`; objects that it has not called final are expected to be told of.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { EgressReading } from '../contract.ts';
import { ExpectedObjects } from './expected-objects.ts';
import { SourceLoop, type SourceLoopOptions } from './source-loop.ts';

/** Longer than anybody should wait between two posts; the alert waits as long. */
const SILENCE = 600_000;
/** Names that are shown; what others post is stored all the same. */
const MOST = 100;

type LoopOptions = SourceLoopOptions & { readonly clock: Clock };

export interface PostedSourcesOptions extends Omit<LoopOptions, 'settings'> {
  /** Names of sources that are known otherwise: how they are is told there. */
  readonly known: ReadonlySet<string>;
}

export class PostedSources {
  readonly #options: PostedSourcesOptions;
  readonly #sources = new Map<string, PostedSource>();

  constructor(options: PostedSourcesOptions) {
    this.#options = options;
  }

  /** Readings of a source that are stored. */
  heard(name: string, readings: readonly EgressReading[]): void {
    const source = this.#sources.get(name) ?? this.#begin(name);
    source?.heard(readings);
  }

  /** Looks whether any is missed now; by itself this happens every so often. */
  async tick(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.tick()));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.stop()));
  }

  #begin(name: string): PostedSource | undefined {
    if (this.#options.known.has(name) || this.#sources.size >= MOST) return undefined;
    this.#options.metrics.expect(name, 'posted', 'exact');
    const source = new PostedSource({ ...this.#options, settings: { name } });
    this.#sources.set(name, source);
    source.start();
    return source;
  }
}

class PostedSource extends SourceLoop {
  readonly #options: LoopOptions;
  readonly #expected = new ExpectedObjects(SILENCE);

  constructor(options: LoopOptions) {
    super(options);
    this.#options = options;
  }

  heard(readings: readonly EgressReading[]): void {
    const { clock, metrics, settings } = this.#options;
    for (const { boot_id: boot, final, object_id: object, server_id: server } of readings) {
      const key = JSON.stringify([server, boot, object]);
      if (final) this.#expected.ended(key);
      else this.#expected.told(key, clock.now());
    }
    metrics.heard(settings.name, readings.length);
    this.up();
  }

  async tick(): Promise<number> {
    if (this.#expected.areMissing(this.#options.clock.now())) {
      this.down(new Error('no post for ten minutes'), 'the source posts nothing any more');
    }
    return SILENCE / 2;
  }
}
