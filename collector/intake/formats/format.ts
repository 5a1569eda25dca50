/**
 * What an input format is: one file each, which turns its records into samples and events of connections in the native
 * words. What it says is checked, cut into batches and normalised in one place for all of them (intake/recording.ts).
 */
import type { FormatName } from '../../contract.ts';
import type { ConnectionBatch } from '../../normalise/report.ts';

/** Whose sample or event it is. */
export interface Origin {
  /** Our id of the connection: 8 to 64 characters of A-Z a-z 0-9 _ -. Empty for what happened to the page and to none of them. */
  readonly connection: string;
  /** As the input names them, if it does. */
  readonly call?: string | undefined;
  readonly participant?: string | undefined;
  /** When the connection was first heard of, Unix milliseconds; not known of reports of our own SDK, which tell what follows from it. */
  readonly begun?: number | undefined;
}

/** A sample (`{ t, stats }`) or event as the format understood it; its shape is checked later. `at` is its place in the input. */
export interface Reading {
  readonly origin: Origin;
  readonly at: string;
  readonly sample?: unknown;
  readonly event?: unknown;
}

/** A whole batch of a format that numbers its batches. */
export interface Numbered {
  readonly origin: Origin;
  readonly batch: ConnectionBatch;
}

/** What could not be read, where, and why; or what is to be known about all of it. */
export interface Fault {
  readonly path: string;
  readonly message: string;
  /** Differences to something that is not known here. */
  readonly continuesNothing?: true;
}
export interface Note {
  readonly note: string;
}

export type Said = Reading | Numbered | Fault | Note;

/** Reads the records of one input in their order; the state of a delta-coded stream lives in it. */
export interface FormatReader {
  read(record: unknown, at: string): Iterable<Said>;
  /** What it remembers, for its size. */
  held?(): unknown;
}

export interface Format {
  readonly name: FormatName;
  /** Whether an input that begins with this record is of this format. */
  recognises(first: unknown): boolean;
  open(): FormatReader;
}

export type Members = Readonly<Record<string, unknown>>;

/** A JSON object. Names in it may be any, `__proto__` too: they are read, never assigned to an ordinary object. */
export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object for members of any name: it inherits nothing, so `__proto__` is a member like others. */
export function emptyMembers(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Whether a dictionary is what the far end reported: it has the time at which that came. */
export function isFarEnd(type: unknown): boolean {
  return type === 'remote-inbound-rtp' || type === 'remote-outbound-rtp';
}
