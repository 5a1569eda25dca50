/** `turnpike erase`: removes what is kept of a participant. */
import type { Command } from 'commander';
import type { ErasureAnswer } from '../collector/contract.ts';
import { Erasures } from '../collector/erasure/erasures.ts';
import { systemClock as clock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import { systemSleep as sleep } from '../kernel/sleep.ts';
import { textTable } from '../kernel/text-table.ts';
import { identifiersOf } from './privacy-config.ts';
import { settingsOf } from './settings.ts';
import { placeOf, requireStore, withStore } from './store.ts';
import { appOf, nameOf } from './whom.ts';

interface Options {
  readonly participant: string;
  readonly app?: string;
  readonly call?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export async function erase(command: Command): Promise<void> {
  const options = command.opts<Options>();
  const config = settingsOf(command);
  const participant = nameOf('--participant', options.participant) ?? '';
  const person = { app: appOf(config, options.app), participant, call: nameOf('--call', options.call) };
  const identifiers = identifiersOf(config);
  const formsOf = (ofApp: string, name: string) => identifiers.forms(ofApp, name);
  requireStore(config);
  const log = createLog('erase', config.log.level);
  const erased = await withStore(config, log, (store) => {
    const erasures = new Erasures({ store, place: placeOf(config), clock, sleep, log, formsOf });
    return options.dryRun === true ? erasures.count(person) : erasures.erase(person);
  });
  process.stdout.write(options.json === true ? `${JSON.stringify({ erased }, null, 2)}\n` : rendered(erased));
}

function rendered(erased: ErasureAnswer['erased']): string {
  const rows = erased.map(({ table, rows: count, fate }) => [table, String(count), fate]);
  return `${textTable([{ title: 'table' }, { title: 'rows', align: 'right' }, { title: 'fate' }], rows).join('\n')}\n`;
}
