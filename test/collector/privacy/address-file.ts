/**
 * Writes a database of addresses in MaxMind's format (https://maxmind.github.io/MaxMind-DB/), so that tests need nobody's data: a binary
 * tree over the bits of IPv6 addresses, of which IPv4 ones are `::/96`, then the records, then what is said of the file.
 */
import { parseCidr } from '../../../kernel/address.ts';

type Value = string | number | readonly Value[] | { readonly [name: string]: Value };
type Node = [Branch, Branch];
type Branch = Node | { readonly offset: number } | undefined;

export function addressFile(records: Readonly<Record<string, Value>>): Buffer {
  const root: Node = [undefined, undefined];
  const data: Buffer[] = [];
  let offset = 0;
  for (const [network, value] of Object.entries(records)) {
    insert(root, bitsOf(network), { offset });
    const encoded = encode(value);
    data.push(encoded);
    offset += encoded.length;
  }
  const nodes = nodesOf(root);
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [at, node] of nodes.entries()) {
    for (const side of [0, 1] as const) tree.writeUIntBE(recordOf(node[side], nodes), at * 6 + side * 3, 3);
  }
  const metadata = {
    node_count: nodes.length,
    record_size: 24,
    ip_version: 6,
    database_type: 'Turnpike-Test',
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_795_000_000,
    languages: ['en'],
    description: { en: 'Made by a test' },
  };
  return Buffer.concat([
    tree,
    Buffer.alloc(16),
    ...data,
    Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'),
    encode(metadata),
  ]);
}

function bitsOf(network: string): (0 | 1)[] {
  const range = parseCidr(network);
  if (range === undefined) throw new Error(`${network} is no range`);
  const mapped = range.bytes.length === 4;
  const bytes = mapped ? [...new Uint8Array(12), ...range.bytes] : [...range.bytes];
  const bits = bytes.flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => ((byte >> bit) & 1) as 0 | 1));
  return bits.slice(0, range.prefix + (mapped ? 96 : 0));
}

function insert(root: Node, bits: readonly (0 | 1)[], record: { readonly offset: number }): void {
  let node = root;
  for (const bit of bits.slice(0, -1)) {
    const next = node[bit];
    if (Array.isArray(next)) node = next;
    else node = node[bit] = [undefined, undefined];
  }
  node[bits.at(-1) ?? 0] = record;
}

function nodesOf(root: Node): Node[] {
  const nodes: Node[] = [];
  const walk = (branch: Branch): void => {
    if (!Array.isArray(branch)) return;
    nodes.push(branch);
    branch.forEach(walk);
  };
  walk(root);
  return nodes;
}

/** Number of the node, or beyond them the place of the record, or as many as there are nodes for none. */
function recordOf(branch: Branch, nodes: readonly Node[]): number {
  if (branch === undefined) return nodes.length;
  return Array.isArray(branch) ? nodes.indexOf(branch) : nodes.length + 16 + branch.offset;
}

const [STRING, UINT32, MAP, ARRAY] = [2, 6, 7, 11];

function encode(value: Value): Buffer {
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    return Buffer.concat([control(STRING, text.length), text]);
  }
  if (typeof value === 'number') {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(value);
    return Buffer.concat([control(UINT32, 4), number]);
  }
  if (isList(value)) return Buffer.concat([control(ARRAY, value.length), ...value.map(encode)]);
  const members = Object.entries(value);
  return Buffer.concat([
    control(MAP, members.length),
    ...members.flatMap(([name, member]) => [encode(name), encode(member)]),
  ]);
}

const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

/** Types above 7 have 0 in their place, and stand in the next byte; sizes from 29 have 29 there, and the rest behind. */
function control(type: number, size: number): Buffer {
  if (size > 284) throw new Error('is longer than a test needs');
  const extended = type > 7 ? [type - 7] : [];
  const long = size >= 29 ? [size - 29] : [];
  return Buffer.from([((type > 7 ? 0 : type) << 5) | Math.min(size, 29), ...extended, ...long]);
}
