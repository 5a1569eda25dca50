/** docs/cli.md against the commands themselves: every command, argument and option is there, and nothing else. */
import type { Command, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { checkEnv } from '../../cli/config.ts';
import { createProgram } from '../../cli/program.ts';
import { datasourceEnv } from '../../dashboards/grafana/provisioning.ts';
import { code, docPath, filled, markdownTable, readDoc } from './markdown.ts';

const commands = createProgram([]).commands;

function optionWords(option: Option): string[] {
  const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
  const value: unknown = option.defaultValue;
  const standard = option.mandatory ? 'must be given' : typeof value === 'string' ? code(value) : '';
  return [code(option.flags), `${option.description}${choices}`, standard];
}

const usageOf = (command: Command): string => `turnpike ${command.name()} ${command.usage()}`;

const commandTable = (command: Command): string =>
  [code(usageOf(command)), markdownTable(['Option', 'What it does', 'Default'], command.options.map(optionWords))].join(
    '\n\n',
  );

describe('docs/cli.md', () => {
  it('has exactly the commands and options that there are (npm run docs)', async () => {
    const tables = Object.fromEntries(commands.map((command) => [command.name(), commandTable(command)]));
    const overview = markdownTable(
      ['Command', 'What it does'],
      commands.map((command) => [`[${code(command.name())}](#turnpike-${command.name()})`, command.description()]),
    );
    const environment = markdownTable(
      ['Environment', 'What it is'],
      Object.entries(checkEnv).map(([name, what]) => [code(name), what]),
    );
    const all = { commands: overview, ...tables, 'check-environment': environment };
    await expect(await filled('cli.md', all)).toMatchFileSnapshot(docPath('cli.md'));
  });

  it('has a section for every command, and for no other', () => {
    const sections = [...readDoc('cli.md').matchAll(/^## turnpike (\S+)$/gm)].map((match) => match[1]);
    expect(sections).toEqual(commands.map((command) => command.name()));
  });

  it('shows only invocations that the commands accept', () => {
    const lines = [...readDoc('cli.md').matchAll(/^turnpike (.+)$/gm)].map((match) => (match[1] ?? '').split(' '));
    expect(lines.length).toBeGreaterThan(5);
    for (const words of lines) {
      const program = createProgram(words);
      for (const command of program.commands) command.exitOverride().action(() => undefined);
      expect(() => program.parse(words, { from: 'user' })).not.toThrow();
    }
  });

  it('names what Grafana’s data source takes from the environment', () => {
    const named = [...readDoc('cli.md').matchAll(/`(CLICKHOUSE_\w+)`/g)].map((match) => match[1]);
    expect(new Set(named)).toEqual(new Set(Object.keys(datasourceEnv)));
  });
});
