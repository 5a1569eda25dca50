/** From a command's flags, the environment and the file to one checked configuration. The only place that reads the environment. */
import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import type { Command } from 'commander';
import { TurnpikeError } from '../kernel/errors.ts';
import { loadConfig } from '../kernel/config.ts';
import { bootstrapEnv, checkEnv, configFlags, configSchema, flagValue } from './config.ts';
import type { Config, ConfigFlag } from './config.ts';

/** Adds `--config` and the given configuration flags to a command. */
export function withConfig(command: Command, flags: readonly ConfigFlag[]): Command {
  command.option('--config <file>', 'YAML file; the environment wins over it, flags win over both');
  for (const flag of flags) command.addOption(new Option(flag, configFlags[flag][1]));
  return command;
}

/** The configuration of a command: its flags over TURNPIKE_… over the file. Throws TP_KERNEL_CONFIG with every fault. */
export function settingsOf(command: Command): Config {
  const options: Record<string, unknown> = command.opts();
  const flags = Object.fromEntries(
    Object.entries(configFlags).map(([flag, [path]]) => {
      const value = options[new Option(flag).attributeName()];
      return [path, flagValue(path, value)];
    }),
  );
  return loadConfig(configSchema, {
    ...(typeof options['config'] === 'string' ? { file: readText(options['config']) } : {}),
    env: process.env,
    flags,
    otherEnv: [...Object.keys(bootstrapEnv), ...Object.keys(checkEnv)],
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new TurnpikeError('TP_KERNEL_CONFIG', `The configuration file ${path} cannot be read.`, { cause: error });
  }
}
