import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { configKeys, loadConfig } from '../../kernel/config.ts';
import { TurnpikeError } from '../../kernel/errors.ts';

const schema = z.strictObject({
  name: z.string().default('relay'),
  turn: z
    .strictObject({
      relayPorts: z.string().default('49152-65535'),
      port: z.int().max(65_535).default(3478),
      peers: z.array(z.string()).default([]),
      verbose: z.boolean().default(false),
    })
    .prefault({}),
});
const nothing = { env: {}, flags: {} };

function faultsOf(run: () => unknown): Record<string, string> {
  try {
    run();
  } catch (error) {
    if (error instanceof TurnpikeError)
      return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]));
  }
  throw new Error('no fault was reported');
}

describe('configuration', () => {
  it('has a default for everything', () => {
    expect(loadConfig(schema, nothing).turn.port).toBe(3478);
  });
  it('lets the environment win over the file, and flags over both', () => {
    const file = 'name: file\nturn: { port: 1, relayPorts: "1-2" }';
    const env = { TURNPIKE_NAME: 'env', TURNPIKE_TURN_PORT: '2' };
    const config = loadConfig(schema, { file, env, flags: { 'turn.port': 3 } });
    expect(config).toMatchObject({ name: 'env', turn: { port: 3, relayPorts: '1-2' } });
  });
  it('reports a section that is no mapping, whatever the environment says of its keys', () => {
    const env = { TURNPIKE_TURN_PORT: '2' };
    expect(Object.keys(faultsOf(() => loadConfig(schema, { file: 'turn: 5', env, flags: {} })))).toEqual(['turn']);
    expect(loadConfig(schema, { file: 'turn:', env, flags: {} }).turn.port).toBe(2);
  });
  it('names environment variables after the path', () => {
    expect(configKeys(schema).map((key) => key.env)).toEqual([
      'TURNPIKE_NAME',
      'TURNPIKE_TURN_RELAY_PORTS',
      'TURNPIKE_TURN_PORT',
      'TURNPIKE_TURN_PEERS',
      'TURNPIKE_TURN_VERBOSE',
    ]);
  });
  it('reads lists from the environment as JSON or separated by commas', () => {
    const peers = (text: string) => loadConfig(schema, { ...nothing, env: { TURNPIKE_TURN_PEERS: text } }).turn.peers;
    expect(peers('a, b')).toEqual(['a', 'b']);
    expect(peers('["a","b"]')).toEqual(['a', 'b']);
    expect(peers('')).toEqual([]);
  });
  it('reports every fault at once, with its path and where it came from', () => {
    const faults = faultsOf(() =>
      loadConfig(schema, {
        file: 'nmae: x\nturn: { port: 70000 }',
        env: { TURNPIKE_TURN_VERBOSE: 'yes', TURNPIKE_TRUN_PORT: '1', HOME: '/' },
        flags: { name: 5 },
      }),
    );
    expect(Object.keys(faults).toSorted()).toEqual([
      '(file)',
      'TURNPIKE_TRUN_PORT',
      'name',
      'turn.port',
      'turn.verbose',
    ]);
    expect(faults['turn.verbose']).toContain('from TURNPIKE_TURN_VERBOSE');
    expect(faults['name']).toContain('from command line');
  });
  it('refuses a file that is no mapping, and one that is no YAML', () => {
    expect(faultsOf(() => loadConfig(schema, { ...nothing, file: '- a' }))['(file)']).toContain('mapping');
    expect(faultsOf(() => loadConfig(schema, { ...nothing, file: 'a: [' }))).toHaveProperty(['(file)']);
  });
  it('is frozen once loaded', () => {
    const config = loadConfig(schema, nothing);
    expect(Object.isFrozen(config) && Object.isFrozen(config.turn) && Object.isFrozen(config.turn.peers)).toBe(true);
  });
});
