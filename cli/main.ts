#!/usr/bin/env node
/** The command line's entry: parses, runs one command, and turns any failure into one clear line and a non-zero exit code. */
import { CommanderError } from 'commander';
import { TurnpikeError } from '../kernel/errors.ts';
import { tellParent } from './child.ts';
import { createProgram } from './program.ts';

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said its line already
  const text =
    error instanceof TurnpikeError
      ? [`${error.code}: ${error.message}`, ...listIssues(error)].join('\n')
      : String(error instanceof Error ? (error.stack ?? error.message) : error);
  tellParent({ type: 'failed', reason: text });
  process.stderr.write(`turnpike: ${text}\n`);
  return error instanceof TurnpikeError && error.status < 500 ? 2 : 1;
}

/** Configuration errors list their faults in the message already. */
function listIssues(error: TurnpikeError): string[] {
  return error.issues
    .filter(({ message }) => !error.message.includes(message))
    .map(({ path, message }) => `  ${path}: ${message}`);
}
