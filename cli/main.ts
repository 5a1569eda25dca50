#!/usr/bin/env node
/** The command line's entry: parses, runs one command, and turns any failure into one clear line and a non-zero exit code. */
import { CommanderError } from 'commander';
import { TurnpikeError } from '../kernel/errors.ts';
import { letGoOfParent, tellParent } from './child.ts';
import { createProgram } from './program.ts';

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = await report(error);
} finally {
  letGoOfParent();
}

/** Says what went wrong, once: the service that started this role says it for it. Returns the exit code. */
async function report(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said its line already
  const text = textOf(error);
  const isKnown = await tellParent({ type: 'failed', reason: text });
  if (!isKnown) process.stderr.write(`turnpike: ${text}\n`);
  return error instanceof TurnpikeError && error.status < 500 ? 2 : 1;
}

/** What the machine refuses (a full disk, a file that is none) is said in its own words; only our own faults show where. */
function textOf(error: unknown): string {
  if (error instanceof TurnpikeError) return [`${error.code}: ${error.message}`, ...listIssues(error)].join('\n');
  if (!(error instanceof Error)) return String(error);
  return 'syscall' in error ? error.message : (error.stack ?? error.message);
}

/** Configuration errors list their faults in the message already. */
function listIssues(error: TurnpikeError): string[] {
  return error.issues
    .filter(({ message }) => !error.message.includes(message))
    .map(({ path, message }) => `  ${path}: ${message}`);
}
